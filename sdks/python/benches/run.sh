#!/usr/bin/env bash
# Measures the package as its users get it, and prints a table.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=../tools/environment.sh
. tools/environment.sh
environment "$target/python/bench" "maturin>=1.9,<2"
conformance
wheel "$target/python/wheels"
python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall "$target/python/wheels"/boxlite-*.whl
python benches/bench.py
