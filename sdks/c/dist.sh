#!/usr/bin/env bash
# Makes the C archive: dist.sh DIRECTORY. Proves it by unpacking it in a clean place, compiling an example against that and
# nothing else, and running a box.
#
#   boxlite-c-v<version>-<platform>.tar.gz   include/, lib/ with both libraries, pkg-config and CMake files
set -euo pipefail
[ $# = 1 ] || { echo "usage: dist.sh DIRECTORY" >&2; exit 2; }

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
home=${BOXLITE_TEST_HOME:-$target/test-home}
mkdir -p "$1"
out=$(cd "$1" && pwd)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -1)
archive=$out/boxlite-c-v$version-linux-$(dpkg --print-architecture).tar.gz

clean=$(mktemp -d "${TMPDIR:-/tmp}/boxlite-c-dist-XXXXXX")
finish() {
    [ -n "${registry_pid:-}" ] && kill "$registry_pid" 2>/dev/null
    rm -rf "$clean"
}
trap finish EXIT

"$here/stage.sh" "$clean/stage" >/dev/null
# The same files make the same bytes.
tar --create --directory "$clean/stage" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 include lib |
    gzip --no-name --best >"$archive"

mkdir "$clean/unpacked"
tar --extract --file "$archive" --directory "$clean/unpacked"
export PKG_CONFIG_PATH=$clean/unpacked/lib/pkgconfig
# shellcheck disable=SC2046
gcc -std=c99 "$here/examples/hello.c" $(pkg-config --cflags --libs boxlite) -o "$clean/hello"

cargo build --quiet --release --manifest-path "$root/Cargo.toml" --package boxlite-conformance --bin boxlite-testkit-registry
coproc REGISTRY { exec "$target/release/boxlite-testkit-registry"; }
registry_pid=$REGISTRY_PID
read -r hello <&"${REGISTRY[0]}"
host=$(sed 's/.*"host": *"\([^"]*\)".*/\1/' <<<"$hello")
echo '{"id": 1, "op": "push", "name": "dist:1", "image": {"base": "busybox"}}' >&"${REGISTRY[1]}"
read -r _ <&"${REGISTRY[0]}"
LD_LIBRARY_PATH=$clean/unpacked/lib "$clean/hello" "$host/dist:1" "$home" | grep -qF "hello from a box"

echo "$(basename "$archive"): $(stat -c %s "$archive") bytes, unpacked in a clean place, ran a box"
