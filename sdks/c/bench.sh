#!/usr/bin/env bash
# Measures what the C interface costs, over a registry on loopback and a real machine; one line for each measurement.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
home=${BOXLITE_TEST_HOME:-$target/test-home}
work=$(mktemp -d "${TMPDIR:-/tmp}/boxlite-c-bench-XXXXXX")

finish() {
    [ -n "${registry_pid:-}" ] && kill "$registry_pid" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT

"$here/stage.sh" "$target/c" >/dev/null
cargo build --quiet --release --manifest-path "$root/Cargo.toml" --package boxlite-conformance \
    --bin boxlite-testkit-registry
gcc -std=c99 -O2 -Wall -Wextra -Werror -pedantic -I"$target/c/include" "$here/bench/bench.c" \
    -L"$target/c/lib" -lboxlite -Wl,-rpath,"$target/c/lib" -o "$work/bench"

coproc REGISTRY { exec "$target/release/boxlite-testkit-registry"; }
registry_pid=$REGISTRY_PID
read -r hello <&"${REGISTRY[0]}"
host=$(sed 's/.*"host": *"\([^"]*\)".*/\1/' <<<"$hello")
echo '{"id": 1, "op": "push", "name": "bench:1", "image": {"base": "busybox"}}' >&"${REGISTRY[1]}"
read -r _ <&"${REGISTRY[0]}"
"$work/bench" "$home" "$host/bench:1"
