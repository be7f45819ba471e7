#!/usr/bin/env bash
# Compiles every fenced block of a page that is marked `c` as C99 and as C++17, runs it, and holds what it prints against
# the block marked `output` that follows it, if one does: snippets.sh PAGE STAGE WORK IMAGE HOME
#
# A block is the inside of a function with `runtime` open, `images` and `image` (a reference that can be pulled) at hand and
# `error` for what fails; the helpers of snippet.h are what the page shows first.
set -euo pipefail

page=$1 stage=$2 work=$3 image=$4 home=$5
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$work"
rm -f "$work"/*

awk -v work="$work" '
    /^```/ {
        if (inside) { inside = 0; close(file); next }
        kind = substr($0, 4)
        if (kind == "c") { number++; file = sprintf("%s/%02d.inc", work, number); inside = 1; next }
        if (kind == "output") { file = sprintf("%s/%02d.expected", work, number); inside = 1; next }
        inside = 2; file = "/dev/null"; next
    }
    inside { print > file }
' "$page"

count=0
for snippet in "$work"/*.inc; do
    name=$(basename "$snippet" .inc)
    for compiler in "gcc -x c -std=c99" "g++ -x c++ -std=c++17"; do
        # shellcheck disable=SC2086
        $compiler -Wall -Wextra -Werror -pedantic -I"$stage/include" -DSNIPPET="\"$snippet\"" "$here/snippet.c" -x none \
            -L"$stage/lib" -lboxlite -Wl,-rpath,"$stage/lib" -o "$work/$name"
        "$work/$name" "$image" "$home" >"$work/$name.printed"
        if [ -f "$work/$name.expected" ]; then
            diff "$work/$name.expected" "$work/$name.printed"
        fi
        count=$((count + 1))
    done
done
[ "$count" -gt 0 ]
echo "$count runs of $((count / 2)) snippets"
