#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test_api_docs.sh ROOT: docs/api.md names every route, every field and every flag there is.
set -u
root=$1 missing=0 found=0

look() {
    found=$((found + 1))
    grep -qF "\`$1\`" "$root/docs/api.md" || { echo "docs/api.md does not name '$1'"; missing=1; }
}

for field in $(sed -n 's/^ *[DHG](.*/&/p' "$root/src/wire/wire_status.c" | grep -o '[DHG]([A-Z0-9]*, [a-z_]*)' | sed 's/.*, //; s/)//'); do
    look "$field"
done
for field in $(grep -o '[WE]([A-Z0-9]*, [a-z_]*)' "$root/src/wire/wire_why.c" | sed 's/.*, //; s/)//'); do
    look "$field"
done
for word in $(sed -n 's/^    \[GUEST_REASON_.*\] = "\(.*\)",/\1/p' "$root/src/daemon/why_text.c"); do
    look "$word"
done
for flag in $(grep -o 'flag(ret, "[a-z-]*"' "$root/src/daemon/status_reasons.c" | sed 's/.*"\(.*\)"/\1/'); do
    look "$flag"
done
grep -oE '\{"(GET|POST)", "[^"]*"' "$root/src/daemon/api_routes.c" | sed 's/{"\(.*\)", "\(.*\)"/\1 \2/' >"${TMPDIR:-/tmp}/routes.$$"
while read -r route; do
    look "$route"
done <"${TMPDIR:-/tmp}/routes.$$"
rm -f "${TMPDIR:-/tmp}/routes.$$"
[ "$found" -gt 100 ] || { echo "only $found names were found in the sources: the patterns above are out of date"; exit 1; }
exit $missing
