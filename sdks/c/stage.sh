#!/usr/bin/env bash
# Builds the C library and lays it out as it is installed: stage.sh [PREFIX], `<target>/c` by default.
#
#   include/boxlite.h          lib/libboxlite.a           lib/pkgconfig/boxlite.pc
#                              lib/libboxlite.so[.1]      lib/cmake/boxlite/*.cmake
#
# The static library is one object in which only the functions of the header are visible, so that the SQLite, zstd and
# others in it cannot meet those of the program. Debug information is left out; BOXLITE_STAGE_DEBUG=1 keeps it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
prefix=${1:-$target/c}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -1)
abi=$(sed -n 's/^#define BOXLITE_ABI_VERSION //p' "$root/crates/boxlite-ffi/include/boxlite.h")

cargo build --quiet --release --manifest-path "$root/Cargo.toml" --package boxlite-ffi

# Made beside the prefix and moved into place, so that whoever links meanwhile finds whole files.
mkdir -p "$prefix"
staging=$(mktemp -d "$prefix/.staging-XXXXXX")
trap 'rm -rf "$staging"' EXIT
mkdir -p "$staging/include" "$staging/lib/pkgconfig" "$staging/lib/cmake/boxlite"

install -m 644 "$root/crates/boxlite-ffi/include/boxlite.h" "$staging/include/"
install -m 755 "$target/release/libboxlite_ffi.so" "$staging/lib/libboxlite.so.$abi"
ln -s "libboxlite.so.$abi" "$staging/lib/libboxlite.so"

# One object of everything that the functions of the header need. Its sections are merged, since a symbol table for sixty
# thousand of them is larger than the code; the compiler's intermediate code in the Rust standard library is left out.
nm -D --defined-only "$staging/lib/libboxlite.so.$abi" | awk '$3 ~ /^boxlite_/ { print $3 }' >"$staging/symbols"
cat >"$staging/merge.ld" <<'END'
SECTIONS
{
    .text 0 : { *(.text .text.*) }
    .rodata 0 : { *(.rodata .rodata.*) }
    .gcc_except_table 0 : { *(.gcc_except_table .gcc_except_table.*) }
    .data.rel.ro 0 : { *(.data.rel.ro .data.rel.ro.*) }
    .tdata 0 : { *(.tdata .tdata.*) }
    .tbss 0 : { *(.tbss .tbss.*) }
    .data 0 : { *(.data .data.*) }
    .bss 0 : { *(.bss .bss.* COMMON) }
}
END
keep=$(sed 's/^/--undefined=/' "$staging/symbols" | tr '\n' ' ')
# shellcheck disable=SC2086
ld --relocatable --gc-sections --force-group-allocation --script "$staging/merge.ld" $keep \
    -o "$staging/boxlite.o" "$target/release/libboxlite_ffi.a"
objcopy --keep-global-symbols="$staging/symbols" \
    --remove-section=.llvmbc --remove-section=.llvmcmd --remove-section=.comment "$staging/boxlite.o"
if [ "${BOXLITE_STAGE_DEBUG:-}" != 1 ]; then
    strip --strip-unneeded "$staging/boxlite.o" "$staging/lib/libboxlite.so.$abi"
fi
(cd "$staging" && ar rcsD lib/libboxlite.a boxlite.o)
rm "$staging/boxlite.o" "$staging/symbols" "$staging/merge.ld"

for template in "$here"/package/*; do
    name=$(basename "$template" .in)
    case $name in
        *.pc) to="$staging/lib/pkgconfig/$name" ;;
        *) to="$staging/lib/cmake/boxlite/$name" ;;
    esac
    sed -e "s/@VERSION@/$version/" -e "s/@ABI@/$abi/" "$template" >"$to"
done

(cd "$staging" && find . ! -type d) | while read -r file; do
    mkdir -p "$prefix/$(dirname "$file")"
    mv -f "$staging/$file" "$prefix/$file"
done
echo "$prefix"
