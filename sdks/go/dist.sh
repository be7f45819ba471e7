#!/usr/bin/env bash
# Makes the Go artifact below a directory, and proves it: a program outside any checkout installs it from there, and runs a
# box. dist.sh DIRECTORY [STAGED]; see release.sh for what it is.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

"$here/release.sh" "$@"
BOXLITE_TEST_RELEASE=$(cd "$1" && pwd)
export BOXLITE_TEST_RELEASE

cargo build --quiet --release --manifest-path "$root/Cargo.toml" --package boxlite-conformance --bin boxlite-testkit-registry
export BOXLITE_TEST_REGISTRY="$target/release/boxlite-testkit-registry"
export BOXLITE_TEST_HOME=${BOXLITE_TEST_HOME:-$target/test-home}
mkdir -p "$BOXLITE_TEST_HOME"
cd "$here"
go test -count=1 ./internal/outside
