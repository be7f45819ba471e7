#!/usr/bin/env bash
# Makes the Go artifact of a release: dist.sh DIRECTORY [STAGED], where STAGED is what `sdks/c/stage.sh` left (made by it if
# not given).
#
#   boxlite-c-v<version>-<platform>.tar.gz   what cmd/setup installs: lib/libboxlite.a, include/boxlite.h
#   checksums.txt                            what it pins; the release commits it as cmd/setup/checksums.txt
#   proxy/                                   the module with those checksums, for GOPROXY=file://...
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
staged=${2:-$("$here/../c/stage.sh")}
staged=$(cd "$staged" && pwd)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$here/../../Cargo.toml" | head -1)

cd "$here"
go run ./internal/release -version "v$version" -stage "$staged" -out "$out"
echo "$out"
