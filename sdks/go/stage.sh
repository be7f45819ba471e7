#!/usr/bin/env bash
# Builds the native library of this checkout and puts it where `cmd/setup` would: libboxlite.a and include/boxlite.h here,
# both ignored by git. Prints the settings with which the go command notices that they changed.
#
#   settings=$(sdks/go/stage.sh) && eval "$settings" && cd sdks/go && go test ./...
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
staged=$("$here/../c/stage.sh" "$target/c")

# Renamed into place, so that whoever builds meanwhile finds whole files.
place() {
    cmp --silent "$1" "$2" && return
    mkdir -p "$(dirname "$2")"
    cp "$1" "$2.new.$$"
    mv -f "$2.new.$$" "$2"
}
place "$staged/include/boxlite.h" "$here/include/boxlite.h"
place "$staged/lib/libboxlite.a" "$here/libboxlite.a"

# The go command looks at the files of a package, not at what its cgo directives name: a definition nobody reads changes
# with them.
sum=$(cat "$here/include/boxlite.h" "$here/libboxlite.a" | sha256sum | cut -c1-16)
echo "export CGO_CFLAGS='-O2 -g -DBOXLITE_LIBRARY_SUM=0x$sum'"
