#!/usr/bin/env bash
# Tests the Python package as its users get it: the wheel is built and installed in an environment of its own, below the
# target directory. After its own tests come the scenarios that every language runs. Arguments go to pytest.
#
#   BOXLITE_TEST_HOME     a home with kernel and template; <target>/test-home by default, made ready if it is not
#   BOXLITE_SOAK_ROUNDS   rounds of the race tests; a few by default
set -euo pipefail
cd "$(dirname "$0")"

# shellcheck source=tools/environment.sh
. tools/environment.sh
environment "$target/python/test" "maturin>=1.9,<2" pytest==9.2.0 mypy==2.4.1 ruff==0.17.6

conformance
wheel "$target/python/wheels"
python -m pip install --quiet --no-deps --force-reinstall "$target/python/wheels"/boxlite-*.whl

python tools/blocking.py --check
ruff check --quiet .
ruff format --quiet --check .
mypy --no-error-summary python/boxlite tests/typing_sample.py
python -m mypy.stubtest --concise boxlite._native
python -m pytest -q -p no:cacheprovider "$@"

"$target/release/boxlite-conformance" run --surface python --most-skipped 8 --test-home "$BOXLITE_TEST_HOME" -- python tests/adapter.py
