#!/usr/bin/env bash
# The tests of the Node package, as a user gets it: packed by npm, installed in an empty project below the target
# directory, used from there. After its own tests come the scenarios that every language runs. Arguments are files of tests
# that are run instead.
#
#   BOXLITE_TEST_HOME     a home with kernel and template; <target>/test-home by default, made ready if it is not
#   BOXLITE_SOAK_ROUNDS   rounds of the race tests, and a gigabyte instead of some megabytes; a few by default
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac
project=$target/node-project

cargo build --quiet --release --manifest-path "$root/Cargo.toml" --package boxlite-conformance
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
# Milliseconds for one file of tests.
limit=$((${BOXLITE_SOAK_ROUNDS:-0} > 0 ? 36000000 : 600000))
run() {
    node --expose-gc --test --test-reporter=spec --test-timeout=$limit --test-concurrency=1 "$@"
}
if [ $# -gt 0 ]; then
    run "${@/#/tests/}"
else
    run tests/*.test.mjs
    "$target/release/boxlite-conformance" run --surface node --most-skipped 9 --test-home "$BOXLITE_TEST_HOME" -- \
        node --expose-gc "$project/tests/adapter.mjs"
fi
