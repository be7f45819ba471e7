#!/usr/bin/env bash
# Measures what the Go binding costs, over a registry on loopback and a real machine. Arguments go to `go test`.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

cargo build --quiet --release --manifest-path "$root/Cargo.toml" --package boxlite-conformance --bin boxlite-testkit-registry
export BOXLITE_TEST_REGISTRY="$target/release/boxlite-testkit-registry"
export BOXLITE_TEST_HOME=${BOXLITE_TEST_HOME:-$target/test-home}
mkdir -p "$BOXLITE_TEST_HOME"

settings=$("$here/stage.sh")
eval "$settings"
cd "$here"
# Without the race detector, which is what the tests have and measurements do not want.
go test -run '^$' -bench . "$@" .
