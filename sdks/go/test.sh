#!/usr/bin/env bash
# Proves the Go SDK: builds the native library and the registry of the tests, then lints, unit tests under the race
# detector with real virtual machines, a program outside any checkout that installs a release and uses it, and the scenarios
# that every language runs. Arguments go to `go test`.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

cargo build --quiet --release --manifest-path "$root/Cargo.toml" --package boxlite-conformance
export BOXLITE_TEST_REGISTRY="$target/release/boxlite-testkit-registry"
export BOXLITE_TEST_HOME=${BOXLITE_TEST_HOME:-$target/test-home}
mkdir -p "$BOXLITE_TEST_HOME"

settings=$("$here/stage.sh")
eval "$settings"
cd "$here"

unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || { echo "error: not formatted: $unformatted" >&2; exit 1; }
go vet ./...

work=$(mktemp -d "${TMPDIR:-/tmp}/boxlite-go-test-XXXXXX")
trap 'rm -rf "$work"' EXIT
./release.sh "$work/release" "$target/c"
export BOXLITE_TEST_RELEASE="$work/release"

# A test that waits for what never comes is to be found by its stack, not by a job's time limit.
go test -race -count=1 -timeout 15m "$@" ./...

go build -race -o "$work/adapter" ./internal/conformance
"$target/release/boxlite-conformance" run --surface go --most-skipped 9 --test-home "$BOXLITE_TEST_HOME" -- "$work/adapter"
