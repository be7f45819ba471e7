#!/usr/bin/env bash
# Puts the npm package together below the target directory: the native module, stripped; `lib` compiled by tsc, whose
# declarations are the types of the package; README and licence. Prints the directory, from which `npm pack` works.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac
out=$target/node-package
tools=$target/node-tools

cargo build --quiet --release --manifest-path "$root/Cargo.toml" --package boxlite-node

mkdir -p "$tools"
if ! cmp --silent "$here/package.json" "$tools/package.json"; then
    cp "$here/package.json" "$tools/package.json"
    if ! npm install --prefix "$tools" --no-audit --no-fund --loglevel=error >&2; then
        rm "$tools/package.json"
        exit 1
    fi
fi

rm -rf "$out"
mkdir -p "$out/lib" "$out/native"
"$tools/node_modules/.bin/tsc" --project "$here" --outDir "$out/lib" --typeRoots "$tools/node_modules/@types" >&2
cp "$here"/lib/error-codes.js "$here"/lib/error-codes.d.ts "$out/lib/"
library=$target/release/libboxlite_node
[ -e "$library.so" ] && library=$library.so || library=$library.dylib
module=$out/native/boxlite-$(node -p '`${process.platform}-${process.arch}`').node
cp "$library" "$module"
strip "$([ "$(uname)" = Darwin ] && echo -x || echo --strip-unneeded)" "$module"
node -e '
    const fields = require(process.argv[1]);
    delete fields.devDependencies;
    require("node:fs").writeFileSync(process.argv[2], JSON.stringify(fields, null, 2) + "\n");
' "$here/package.json" "$out/package.json"
cp "$here/README.md" "$root/LICENSE" "$out/"
echo "$out"
