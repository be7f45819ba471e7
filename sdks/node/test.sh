#!/usr/bin/env bash
# The tests of the Node package, as a user gets it: packed by npm, installed in an empty project below the target
# directory, used from there. Arguments are files of tests; all of them by default.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac
project=$target/node-project

cargo build --quiet --release --manifest-path "$root/Cargo.toml" --package boxlite-conformance --bin boxlite-testkit-registry
package=$("$here/build.sh")

rm -rf "$project"
mkdir -p "$project"
cd "$project"
npm pack --silent "$package" > /dev/null
npm init --yes > /dev/null
npm install --no-audit --no-fund --loglevel=error ./*.tgz
cp -r "$here/tests" tests
cp "$root/docs/node.md" "$here/README.md" "$root/api/errors.toml" "$root/api/operations.toml" .

export BOXLITE_TESTKIT_REGISTRY=$target/release/boxlite-testkit-registry
export BOXLITE_TEST_HOME=${BOXLITE_TEST_HOME:-$target/test-home}
export BOXLITE_NODE_TOOLS=$target/node-tools
if [ $# -gt 0 ]; then
    files=("${@/#/tests/}")
else
    files=(tests/*.test.mjs)
fi
node --expose-gc --test --test-timeout=300000 --test-concurrency=1 "${files[@]}"
