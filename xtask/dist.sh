#!/usr/bin/env bash
# Leaves what is shipped under dist/, with checksums: the command, the C archive, the Go artifact, the wheel and the npm
# package. Each is made by the `dist.sh` of its SDK, which also proves it: installed in a clean place, running a box.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
dist=$root/dist
rm -rf "$dist"
mkdir -p "$dist"

for sdk in c go python node; do
    echo "== $sdk"
    "$root/sdks/$sdk/dist.sh" "$dist"
done

echo "== command"
cargo build --quiet --release --manifest-path "$root/Cargo.toml" --package boxlite-cli --bin boxlite
version=$("$target/release/boxlite" version --format json | sed -n 's/.*"version": *"\([^"]*\)".*/\1/p')
name=boxlite-v$version-$(uname -s | tr '[:upper:]' '[:lower:]')-$(dpkg --print-architecture)
strip -o "$target/boxlite-stripped" "$target/release/boxlite"
tar --create --gzip --file "$dist/$name.tar.gz" --owner=0 --group=0 --transform 's/.*/boxlite/' --directory "$target" boxlite-stripped
rm "$target/boxlite-stripped"

(cd "$dist" && find . -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS)
echo "== dist/"
(cd "$dist" && find . -maxdepth 1 -type f -printf '%10s  %P\n' | sort -k2)
