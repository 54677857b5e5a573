#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what building, testing and the demo need on Debian 12. Does nothing where all of it is there.
set -euo pipefail

packages="gcc clang meson ninja-build pkg-config python3
libcmocka-dev libsystemd-dev libjson-c-dev libyaml-dev libmicrohttpd-dev libcurl4-openssl-dev libncurses-dev libzstd-dev libssl-dev zstd libfuse3-dev fuse3
libclang-rt-14-dev cppcheck valgrind
qemu-system-x86 qemu-utils libnbd-bin nbdkit nbdkit-plugin-dev seabios busybox-static cpio lz4 kmod xz-utils qemu-guest-agent e2fsprogs xfsprogs"

missing=""
for p in $packages; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "These packages are missing:$missing" >&2
    echo "This script installs them on Debian only: install your distribution's counterparts and try again." >&2
    exit 1
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Not root and no sudo: run as root:  apt-get install$missing" >&2; exit 1; }
    sudo=sudo
fi
echo "installing:$missing" >&2
$sudo apt-get update -qq >&2
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >&2
