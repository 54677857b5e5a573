#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make-guest.sh OUT: builds the test guest, OUT/vmlinux and OUT/initramfs.cpio, from Debian's cloud kernel package,
# busybox-static, the programs beside this script, and the agent where it was built (OUT is BUILD/tests/live/guest). Does
# nothing where all of it is there and current. OUT/initramfs-disks.cpio is the same and what a guest with disks needs
# beside: file systems, qemu-guest-agent, a writer. Where this machine has no qemu-ga, it lacks that.
#
# The kernel package is kept in $BALLAST_CACHE_DIR, else $XDG_CACHE_HOME/ballast, else ~/.cache/ballast: once it is
# there, no network is needed. Exit code 77: something this machine lacks, in one sentence; 1: the build
# went wrong.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 1 ] || { echo "usage: make-guest.sh OUT" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)

needed="virtio_pci virtio_blk virtio_console virtio_balloon virtio_mem"
welcome="zram pvpanic-pci"
kernel=linux-image-cloud-amd64

lacks() { echo "make-guest.sh: $*"; exit 77; }

exec 9>"$out/lock"
flock 9

# Only a static one runs there: not that of a build with sanitizers.
agent=$(realpath -m "$out/../../../src/agent/ballast-agent")
if [ ! -x "$agent" ] || ldd "$agent" >/dev/null 2>&1; then agent=/dev/null; fi

stamp=$(cat "$here"/*.* "$here/init" "$here/disks" "$agent" | sha256sum | cut -d' ' -f1)
if [ -s "$out/vmlinux" ] && [ -s "$out/initramfs.cpio" ] && [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi
rm -f "$out/stamp"

[ "$(uname -m)" = x86_64 ] || lacks "the test guest is built for x86_64 only, this machine is $(uname -m)"
busybox=$(command -v busybox) || lacks "busybox is missing: run tools/install-deps.sh (package busybox-static)"
PATH=$PATH:/usr/sbin:/sbin
for tool in dpkg-deb cpio depmod modprobe strip flock; do
    command -v $tool >/dev/null || lacks "$tool is missing: run tools/install-deps.sh"
done

cache=${BALLAST_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/ballast}
mkdir -p "$cache" 2>/dev/null && [ -w "$cache" ] || { cache=$out/cache; mkdir -p "$cache"; }

newest_package() { # nothing where there is none
    find "$cache" -maxdepth 1 -name 'linux-image-*-cloud-amd64_*.deb' -printf '%T@ %p\n' | sort -rn | head -n 1 |
        cut -d' ' -f2-
}

# Downloads beside the cache first: what is in the cache is whole.
download() {
    local name part=$cache/part.$$
    name=$(apt-cache depends $kernel 2>/dev/null | awk '/Depends: linux-image-[0-9]/ {print $2; exit}')
    [ -n "$name" ] || return 1
    mkdir -p "$part"
    (cd "$part" && apt-get download "$name") >"$out/download.log" 2>&1 || { rm -rf "$part"; return 1; }
    mv "$part"/*.deb "$cache/"
    rm -rf "$part"
}

deb=$(newest_package)
if [ -z "$deb" ]; then
    command -v apt-get >/dev/null ||
        lacks "the test guest needs Debian's kernel package: put a linux-image-*-cloud-amd64_*.deb into $cache"
    if ! download; then
        # Package lists may be missing or older than the archive.
        if [ "$(id -u)" -eq 0 ]; then
            apt-get update -qq >"$out/update.log" 2>&1 || true
        elif command -v sudo >/dev/null; then
            sudo -n apt-get update -qq >"$out/update.log" 2>&1 || true
        fi
        download || lacks "cannot download the package that $kernel depends on" \
            "($(tail -n 1 "$out/download.log" 2>/dev/null)): connect to the network, or put it into $cache"
    fi
    deb=$(newest_package)
fi

work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/kernel"
if ! dpkg-deb -x "$deb" "$work/kernel"; then
    rm -f "$deb"
    lacks "the kernel package $deb was damaged and is removed: run this again"
fi
version=$(basename "$work"/kernel/lib/modules/*)
"$here/extract-kernel.py" "$work/kernel/boot/vmlinuz-$version" "$work/vmlinux"

root=$work/root
mkdir -p "$root"/{bin,dev,proc,sys,tmp,run,lib/modules}
cp "$busybox" "$root/bin/busybox"
install -m 755 "$here/init" "$root/init"
for program in load forge relief; do
    ${CC:-cc} -O2 -static -s -Wall -Wextra -Werror -D_GNU_SOURCE -o "$root/bin/$program" "$here/$program.c" -pthread
done

[ "$agent" = /dev/null ] || { cp "$agent" "$root/bin/ballast-agent"; strip "$root/bin/ballast-agent"; }

depmod -b "$work/kernel" "$version"
paths() { # MODULE: it and what it needs, in order; nothing for one built in
    modprobe -d "$work/kernel" -S "$version" --show-depends "$1" | awk '/^insmod/ {print $2}'
}
{
    for module in $needed; do paths "$module"; done
    for module in $welcome; do paths "$module" 2>/dev/null || true; done
} | awk '!seen[$0]++' >"$work/modules"
while read -r path; do
    strip --strip-debug -o "$root/lib/modules/$(basename "$path")" "$path"
    basename "$path" >>"$root/lib/modules/order"
done <"$work/modules"
mkdir "$root/lib/modules/deaf"
"$here/make-deaf.py" "$root/lib/modules/virtio_balloon.ko" "$root/lib/modules/deaf/virtio_balloon.ko" \
    virtballoon_changed

pack() { (cd "$1" && find . -print0 | sort -z | cpio --null -o -H newc -R 0:0 --quiet); }
pack "$root" >"$work/initramfs.cpio"

# What the guests with disks have on top: a second archive behind the first.
disks=$work/disks
mkdir -p "$disks"/{bin,sbin,lib/disks,lib64,etc,var/run,a,b}
install -m 755 "$here/disks" "$disks/disks"
for program in writer stall; do
    ${CC:-cc} -O2 -static -s -Wall -Wextra -Werror -D_GNU_SOURCE -o "$disks/bin/$program" "$here/$program.c"
done
for module in crc32c_generic crc32c-intel xfs ext4 virtio_scsi sd_mod; do paths "$module" 2>/dev/null || true; done | awk '!seen[$0]++' >"$work/modules-disks"
while read -r path; do
    strip --strip-debug -o "$disks/lib/disks/$(basename "$path")" "$path"
    basename "$path" >>"$disks/lib/disks/order"
done <"$work/modules-disks"
for program in qemu-ga fstrim; do
    path=$(command -v $program) || continue
    cp "$path" "$disks/sbin/$program"
    ldd "$path" | grep -o '/[^ ]*' | sort -u | while read -r library; do
        mkdir -p "$disks$(dirname "$library")"
        cp -Lu "$library" "$disks$library"
    done
done
{ cat "$work/initramfs.cpio"; pack "$disks"; } >"$work/initramfs-disks.cpio"
mv "$work/vmlinux" "$work/initramfs.cpio" "$work/initramfs-disks.cpio" "$out/"
echo "$version" >"$out/version"
echo "$stamp" >"$out/stamp"
