#!/usr/bin/env bash
# Makes the npm package: dist.sh DIRECTORY. Proves it by installing it, and nothing else, in an empty project without the
# network, and running a box from there.
set -euo pipefail
[ $# = 1 ] || { echo "usage: dist.sh DIRECTORY" >&2; exit 2; }
mkdir -p "$1"
dist=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac

cargo build --quiet --release --manifest-path "$root/Cargo.toml" --package boxlite-conformance --bin boxlite-testkit-registry
package=$("$here/build.sh")
rm -f "$dist"/boxlite-ai-boxlite-*.tgz
tarball=$dist/$(cd "$dist" && npm pack --silent "$package")
size=$(wc -c < "$tarball")
[ "$size" -lt 10000000 ] || { echo "error: $(basename "$tarball") has $size bytes, more than 10 MB" >&2; exit 1; }

clean=$(mktemp -d)
trap 'rm -rf "$clean"' EXIT
cp "$here/tools/prove.mjs" "$clean"
cd "$clean"
npm init --yes > /dev/null
npm install --offline --no-audit --no-fund --loglevel=error "$tarball" > /dev/null
node prove.mjs "$target/release/boxlite-testkit-registry" "${BOXLITE_TEST_HOME:-$target/test-home}"
module=$(wc -c < node_modules/@boxlite-ai/boxlite/native/*.node)
echo "$(basename "$tarball"): $size bytes, its native module $module; installed in an empty project, ran a box"
