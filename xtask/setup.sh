#!/bin/sh
# Installs the Debian packages that are missing for a purpose, and says what else is. Does nothing, quickly, when all is there.
#
#   setup.sh build   to build the command and run the demo: qemu-system-x86 and e2fsprogs (run the boxes and make their
#                    disks), gcc and make (the C parts of the dependencies), busybox-static and docker-registry (an image,
#                    and a registry to pull it from)
#   setup.sh test    also what the tests compare with (erofs-utils, umoci, skopeo, debootstrap) and what the languages
#                    need (g++, valgrind, cmake, pkg-config, libjansson-dev, python3-venv); checks Go, Python and Node
#   setup.sh bench   also podman, a peer to compare with
set -eu

purpose=${1:-build}
needed="qemu-system-x86 e2fsprogs gcc libc6-dev make busybox-static docker-registry"
[ "$purpose" = build ] ||
    needed="$needed erofs-utils umoci skopeo debootstrap g++ valgrind cmake pkg-config libjansson-dev python3-venv"
[ "$purpose" != bench ] || needed="$needed podman"

missing=
for package in $needed; do
    [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] ||
        missing="$missing $package"
done

if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || { echo "error: needed, but not installed:$missing" >&2; exit 1; }
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    echo "installing:$missing"
    $sudo apt-get update --quiet --quiet
    # A registry is only wanted as a program here, not as a service of the machine.
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install --quiet --quiet --yes --no-install-recommends $missing >/dev/null
fi

# The toolchains the distribution has too old, or not at all.
require() { # program, what to install
    command -v "$1" >/dev/null && return
    echo "error: \`$1\` is not installed" >&2
    echo "hint: install $2" >&2
    exit 1
}
require cargo "Rust 1.95 or later, with rustup"
[ "$purpose" = build ] && exit
require go "Go 1.24 or later"
require python3 "CPython 3.10 or later"
require npm "Node.js 20 or later, with npm"
