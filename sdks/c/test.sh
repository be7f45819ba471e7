#!/usr/bin/env bash
# Tests the C library as a C programmer gets it: staged, then compiled against and run, over a registry on loopback and
# real machines. Prints one line for each check; exits with 1 if one fails.
#
#   BOXLITE_TEST_HOME   home that keeps kernel and template between runs; <target>/test-home by default
#   BOXLITE_TEST_SHORT  set: leaves out the runs under valgrind
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
home=${BOXLITE_TEST_HOME:-$target/test-home}
stage=$target/c
work=$(mktemp -d "${TMPDIR:-/tmp}/boxlite-c-XXXXXX")
warnings="-Wall -Wextra -Werror -pedantic"
passed=0
failed=0

finish() {
    [ -n "${registry_pid:-}" ] && kill "$registry_pid" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT

# check NAME COMMAND...: runs a command, whose output is shown only if it fails.
check() {
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "ok      $name"
        passed=$((passed + 1))
    else
        echo "FAILED  $name (status $?)"
        sed 's/^/        /' "$work/log" | tail -40
        failed=$((failed + 1))
    fi
}

# prints TEXT COMMAND...: whether a command succeeds and prints a text.
prints() {
    local text=$1
    shift
    "$@" >"$work/output" 2>&1 || { cat "$work/output"; return 1; }
    cat "$work/output"
    grep -qF -- "$text" "$work/output"
}

# fetches_at_most BYTES COMMAND...: whether a pull succeeds, and fetches something but no more than that.
fetches_at_most() {
    local most=$1 fetched
    shift
    prints "bytes fetched" "$@" || return 1
    fetched=$(sed -n 's/.*, \([0-9]*\) bytes fetched$/\1/p' "$work/output")
    echo "at most $most were to be fetched"
    [ "$fetched" -gt 0 ] && [ "$fetched" -le "$most" ]
}

# ends_with STATUS COMMAND...
ends_with() {
    local expected=$1 status=0
    shift
    "$@" || status=$?
    [ "$status" = "$expected" ]
}

"$here/stage.sh" "$stage" >/dev/null
cargo build --quiet --release --manifest-path "$root/Cargo.toml" --package boxlite-conformance

# The registry takes one request a line, and answers in order; the latest answer is kept.
coproc REGISTRY { exec "$target/release/boxlite-testkit-registry"; }
registry_pid=$REGISTRY_PID
read -r hello <&"${REGISTRY[0]}"
host=$(sed 's/.*"host": *"\([^"]*\)".*/\1/' <<<"$hello")
ask() {
    echo "$1" >&"${REGISTRY[1]}"
    read -r answer <&"${REGISTRY[0]}"
    case $answer in
        *'"error"'*) echo "the registry answers $answer to $1" >&2; return 1 ;;
    esac
}
# Names of its own, since other tests share the home.
box=$host/c-box-$$:1
large=$host/c-large-$$:1
ask '{"id": 1, "op": "push", "name": "c-box-'$$':1", "image": {"base": "busybox"}}'
ask '{"id": 2, "op": "push", "name": "c-large-'$$':1", "image": {"layers": [{"filler_bytes": 4000000, "seed": 7}]}}'
large_bytes=$(sed 's/.*"size_bytes": *\([0-9]*\).*/\1/' <<<"$answer")
# The manifest is fetched anew, and no part of that size.
manifest_bytes=4096

link_shared="-L$stage/lib -lboxlite -Wl,-rpath,$stage/lib"
link_static="$stage/lib/libboxlite.a -lpthread -ldl -lm"
sanitizers="-g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"

# compile COMPILER STANDARD SOURCE OUTPUT MORE...
compile() {
    local language=c
    [ "$1" = g++ ] && language=c++
    # shellcheck disable=SC2086
    "$1" -x $language -std="$2" $warnings -I"$stage/include" "$3" -x none "${@:5}" -o "$work/$4"
}

for example in hello pull many misuse; do
    source=$here/examples/$example.c
    # shellcheck disable=SC2086
    {
        check "$example.c is C99" compile gcc c99 "$source" $example-c $link_shared
        check "$example.c is C++17" compile g++ c++17 "$source" $example-cpp $link_shared
        check "$example.c, linked statically" compile gcc c99 "$source" $example-static $link_static
        check "$example.c, with sanitizers" compile gcc c99 "$source" $example-asan $sanitizers $link_shared
    }
done

# run_examples SUFFIX WRAPPER...: every example, compiled as SUFFIX, run by the wrapper.
run_examples() {
    local suffix=$1
    shift
    check "hello ($suffix)" prints "hello from a box" "$@" "$work/hello-$suffix" "$box" "$home"
    check "200 commands on one queue ($suffix)" prints "200 commands, one thread" "$@" "$work/many-$suffix" "$box" "$home"
    check "misuse tour ($suffix)" prints "0 surprises" "$@" "$work/misuse-$suffix" "$home" "$box"
    ask '{"id": 3, "op": "rule", "rule": {"on": "blobs", "faults": [{"hold_after": [100000, "'"$suffix"'"]}]}}'
    check "a pull is given up ($suffix)" ends_with 130 "$@" "$work/pull-$suffix" "$large" "$work/home-$suffix" cancel
    ask '{"id": 4, "op": "gate_open", "gate": "'"$suffix"'"}'
    ask '{"id": 5, "op": "heal"}'
    # How much had come by then is a matter of speed; under valgrind that may be nothing.
    local kept_bytes
    kept_bytes=$({ cat "$work/home-$suffix"/ingest/*.partial 2>/dev/null || true; } | wc -c)
    check "and goes on the next time ($suffix)" fetches_at_most $((large_bytes + manifest_bytes - kept_bytes)) \
        "$@" "$work/pull-$suffix" "$large" "$work/home-$suffix"
}

run_examples c env
run_examples cpp env
run_examples static env
# Leaks are valgrind's to find: here the library's own threads are still there at the end.
run_examples asan env ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
if [ -z "${BOXLITE_TEST_SHORT:-}" ]; then
    for example in hello pull many misuse; do cp "$work/$example-c" "$work/$example-valgrind"; done
    run_examples valgrind valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,indirect \
        --errors-for-leak-kinds=definite,indirect --child-silent-after-fork=yes
fi

# As other projects find it: by pkg-config, shared and static, and by CMake.
export PKG_CONFIG_PATH=$stage/lib/pkgconfig
by_pkg_config() {
    # shellcheck disable=SC2046
    gcc -std=c99 $warnings "$here/examples/misuse.c" $(pkg-config --cflags --libs boxlite) -o "$work/by-pkg-config" &&
        LD_LIBRARY_PATH=$stage/lib prints "0 surprises" "$work/by-pkg-config" "$work/home-pkg-config"
}
check "pkg-config finds it" by_pkg_config
by_cmake() {
    cmake -S "$here/tests/cmake" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$stage" -DEXAMPLES="$here/examples" &&
        cmake --build "$work/cmake" && prints "0 surprises" "$work/cmake/shared" "$work/home-cmake" &&
        prints "0 surprises" "$work/cmake/static" "$work/home-cmake"
}
check "CMake finds it" by_cmake

# Every snippet of the page, compiled as C99 and C++17 and run.
check "the snippets of docs/c.md" "$here/tests/snippets.sh" "$root/docs/c.md" "$stage" "$work/snippets" "$box" "$home"

# The scenarios that every language runs, through the C interface.
# shellcheck disable=SC2086
check "the adapter compiles" gcc -std=c11 $warnings -I"$stage/include" "$here"/tests/adapter/*.c $link_shared -ljansson \
    -o "$work/adapter"
if [ -x "$work/adapter" ]; then
    check "the scenarios" "$target/release/boxlite-conformance" run --surface c --most-skipped 9 --test-home "$home" \
        --scenarios "$root/api/scenarios" --operations "$root/api/operations.toml" -- "$work/adapter"
    tail -3 "$work/log"
fi

# shellcheck disable=SC2086
check "forget.c is C99" compile gcc c99 "$here/tests/forget.c" forget $link_shared
check "the image is forgotten" "$work/forget" "$home" "$box"

echo "c: $passed passed, $failed failed; libboxlite.a $(stat -c %s "$stage/lib/libboxlite.a") bytes," \
    "libboxlite.so $(stat -L -c %s "$stage/lib/libboxlite.so") bytes"
[ "$failed" = 0 ]
