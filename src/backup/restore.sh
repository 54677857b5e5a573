#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Restores a disk from this repository without ballast, on the worst day: needs a POSIX shell, coreutils and zstd.
#
#   sh restore.sh                                       lists the points and their disks
#   sh restore.sh GUEST/TIME DISK FILE                  writes that disk to FILE, a raw image (sparse)
#   sh restore.sh GUEST/TIME                            prints what the point knows of its guest
#
# Every piece is proven by its SHA-256 before it is written. docs/repository-format.md of ballast tells the format.
set -eu
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)

fail() {
    echo "restore.sh: $*" >&2
    exit 1
}

for tool in zstd sha256sum dd od sed tr truncate; do
    command -v "$tool" >/dev/null || fail "'$tool' is missing: install zstd and coreutils"
done

if [ $# -eq 0 ]; then
    for manifest in "$here"/vm/*/*/manifest.json; do
        [ -f "$manifest" ] || fail "there are no points in $here"
        point=${manifest#"$here"/vm/}
        echo "${point%/manifest.json}"
        sed -n 's/^{"name":"\([^"]*\)".*"size_bytes":\([0-9]*\).*/    disk \1, \2 bytes/p' "$manifest"
    done
    exit 0
fi

point=${1#vm/}
case $point in
    */* ) ;;
    * ) fail "'$1' is no point: GUEST/TIME; without arguments they are listed" ;;
esac
manifest=$here/vm/$point/manifest.json
[ -f "$manifest" ] || fail "there is no point '$point'; without arguments they are listed"

# The last line is the SHA-256 of all before it.
wanted=$(sed -n '$s/^,"sha256":"\([0-9a-f]*\)"}$/\1/p' "$manifest")
got=$(sed '$d' "$manifest" | sha256sum | cut -c 1-64)
[ -n "$wanted" ] && [ "$wanted" = "$got" ] || fail "$manifest was changed or damaged: take another point"

if [ $# -eq 1 ]; then
    cat "$manifest"
    exit 0
fi
[ $# -eq 3 ] || fail "usage: sh restore.sh GUEST/TIME DISK FILE"
disk=$2
out=$3
[ ! -e "$out" ] || fail "'$out' is there already: give another name"

head=$(grep -F "{\"name\":\"$disk\"," "$manifest" | sed -n '/^{"name":/p') || fail "point '$point' has no disk '$disk'"
size=$(echo "$head" | sed -n 's/.*"size_bytes":\([0-9]*\).*/\1/p')
chunk_bytes=$(sed -n '1s/.*"chunk_bytes":\([0-9]*\).*/\1/p' "$manifest")
[ -n "$size" ] && [ -n "$chunk_bytes" ] || fail "point '$point' has no disk '$disk'"
zero=0000000000000000000000000000000000000000000000000000000000000000

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM HUP

# chunk ID: its plain content, proven, in $scratch/plain
chunk() {
    rest=${1#??}
    file=$here/chunks/${1%"$rest"}/$rest
    [ -f "$file" ] || file=$file.gone # a sweep was about to take it
    zstd -dcq <"$file" >"$scratch/plain" || fail "chunk $1 is damaged or missing: take another point"
    [ "$(sha256sum <"$scratch/plain" | cut -c 1-64)" = "$1" ] || fail "chunk $1 is damaged: take another point"
}

# The index of the disk: parts of it are chunks themselves, 32 bytes for each chunk of the disk.
sed -n "/^{\"name\":\"$disk\",/,/^\\]}/s/^\"\\([0-9a-f]*\\)\",*\$/\\1/p" "$manifest" >"$scratch/parts"
while read -r part; do
    if [ "$part" = "$zero" ]; then
        truncate -s 0 "$scratch/plain"
        truncate -s "$chunk_bytes" "$scratch/plain" # may be too long at the end: zeroes are skipped below
    else
        chunk "$part"
    fi
    od -An -v -tx1 -w32 "$scratch/plain" | tr -d ' '
done <"$scratch/parts" >"$scratch/ids"

truncate -s "$size" "$out"
n=0
while read -r id; do
    if [ "$id" != "$zero" ]; then
        chunk "$id"
        dd if="$scratch/plain" of="$out" bs="$chunk_bytes" seek="$n" conv=notrunc status=none
    fi
    n=$((n + 1))
done <"$scratch/ids"
echo "restore.sh: '$out' is disk '$disk' of point '$point', $size bytes" >&2
