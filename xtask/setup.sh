#!/bin/sh
# Installs the Debian packages that are missing, and says what else is. Does nothing, quickly, when all is there.
#
#   qemu-system-x86                      runs the boxes
#   e2fsprogs                            mke2fs makes the boxes' disks
#   gcc, make                            compile the C parts of the dependencies (SQLite, zstd, ring)
#   busybox-static, docker-registry      the demo: an image, and a registry to pull it from
#   erofs-utils, umoci, skopeo, debootstrap   tests: independent implementations, and a whole Debian, to compare with
#   podman                               benches only: a peer to compare with
set -eu

needed="qemu-system-x86 e2fsprogs gcc libc6-dev make busybox-static docker-registry erofs-utils umoci skopeo debootstrap"
[ "${BOXLITE_SETUP_PEERS:-}" = 1 ] && needed="$needed podman"

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

command -v cargo >/dev/null || {
    echo "error: cargo is not installed" >&2
    echo "hint: install Rust 1.95 or later with rustup" >&2
    exit 1
}
