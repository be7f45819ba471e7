#!/usr/bin/env bash
# Makes the wheel: dist.sh DIRECTORY. Proves it by installing it, and nothing else, in a clean environment, and running a box
# from there.
set -euo pipefail
[ $# = 1 ] || { echo "usage: dist.sh DIRECTORY" >&2; exit 2; }
mkdir -p "$1"
dist=$(realpath "$1")
cd "$(dirname "$0")"

# shellcheck source=tools/environment.sh
. tools/environment.sh
environment "$target/python/build" "maturin>=1.9,<2"
conformance
wheel "$dist"
wheel=$(echo "$dist"/boxlite-*.whl)

# A small wheel is a promise.
size=$(stat -c %s "$wheel")
[ "$size" -lt 10000000 ] || { echo "error: $(basename "$wheel") has $size bytes, more than 10 MB" >&2; exit 1; }

clean=$(mktemp -d)
trap 'rm -rf "$clean"' EXIT
python -m venv "$clean/environment"
"$clean/environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-index "$wheel"
proof=$(realpath tools/prove.py)
cd "$clean"
"$clean/environment/bin/python" "$proof" "$BOXLITE_TEST_REGISTRY" "$BOXLITE_TEST_HOME"
echo "$(basename "$wheel"): $size bytes, installed in a clean environment, ran a box"
