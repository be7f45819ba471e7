#!/usr/bin/env bash
# Measures the package as its users get it, and prints a table.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac
project=$target/node-bench

cargo build --quiet --release --manifest-path "$root/Cargo.toml" --package boxlite-conformance --bin boxlite-testkit-registry
package=$("$here/build.sh")
rm -rf "$project"
mkdir -p "$project/tests"
cd "$project"
npm pack --silent "$package" > /dev/null
npm init --yes > /dev/null
npm install --no-audit --no-fund --loglevel=error ./*.tgz > /dev/null
cp "$here/benches/bench.mjs" "$here/tests/helpers.mjs" "$here/tests/machines.mjs" .
export BOXLITE_TESTKIT_REGISTRY=$target/release/boxlite-testkit-registry
export BOXLITE_TEST_HOME=${BOXLITE_TEST_HOME:-$target/test-home}
node --expose-gc bench.mjs
