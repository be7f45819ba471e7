#!/usr/bin/env bash
# Makes what a release of this module is: release.sh DIRECTORY [STAGED], where STAGED is what `sdks/c/stage.sh` left (made by
# it if not given). An archive that is in DIRECTORY already, made by the C SDK, is the one that is pinned.
#
#   boxlite-c-v<version>-<platform>.tar.gz   what cmd/setup installs: lib/libboxlite.a, include/boxlite.h
#   checksums.txt                            what it pins; the release commits it as cmd/setup/checksums.txt
#   proxy/                                   the module with those checksums, for GOPROXY=file://...
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$here/../../Cargo.toml" | head -1)
staged=${2:-}
if [ -z "$staged" ] && ! [ -e "$out/boxlite-c-v$version-$(go env GOOS)-$(go env GOARCH).tar.gz" ]; then
    staged=$("$here/../c/stage.sh")
fi
[ -z "$staged" ] || staged=$(cd "$staged" && pwd)

cd "$here"
go run ./internal/release -version "v$version" -stage "$staged" -out "$out"
