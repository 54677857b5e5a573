#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# test_vectors.sh PROGRAM: the vector runner itself: what agrees, what differs, what is refused in one sentence.
set -uo pipefail
program=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

# run NAME EXPECTED-EXIT PATTERN-IN-OUTPUT FILE-CONTENT
run() {
    local text code
    printf '%s' "$4" >"$dir/case.json"
    text=$("$program" "$dir/case.json" 2>&1)
    code=$?
    if [ "$code" -ne "$2" ] || ! grep -qF -- "$3" <<<"$text"; then
        printf '%s: exit %s instead of %s, or no "%s" in:\n%s\n' "$1" "$code" "$2" "$3" "$text"
        failed=1
    fi
    if [ "$2" -eq 2 ] && [ "$(wc -l <<<"$text")" -ne 1 ]; then
        printf '%s: more than one line:\n%s\n' "$1" "$text"
        failed=1
    fi
}
weight() { printf '{"about":"x","cases":[{"name":"n","in":%s,"out":%s}]}' "$1" "$2"; }
good='{"priority":"1","active_ppm":1000000,"tax_ppm":"0"}'

run "agrees, strings and numbers" 0 "1 cases agree" "$(weight "$good" '{"valid":1,"weight":"1000000"}')"
run "a wrong value" 1 "got:      1000000" "$(weight "$good" '{"valid":1,"weight":1000001}')"
run "a missing key" 1 "field:    weight" "$(weight "$good" '{"valid":1}')"
run "an unknown key in out" 1 "field:    more" "$(weight "$good" '{"valid":1,"weight":1000000,"more":[1]}')"
run "accepted, should be refused" 1 "field:    valid" "$(weight "$good" '{"valid":0}')"
run "refused, should be accepted" 1 "got:      0" \
    "$(weight '{"priority":0,"active_ppm":0,"tax_ppm":0}' '{"valid":1,"weight":1}')"
run "refused" 0 "agree" "$(weight '{"priority":"999999999999999999999","active_ppm":0,"tax_ppm":0}' '{"valid":0}')"
share() {
    printf '{"cases":[{"name":"n","in":{"capacity_kib":%s,"pool_kib":0,"lower_kib":[5],"floor_kib":[6],"head_kib":[7],' "$1"
    printf '"top_kib":[8],"keep_kib":[9],"weight":%s},"out":%s}]}' "$2" "$3"
}
run "a list" 0 "agree" "$(share 6 '[1]' '{"step":4,"given_kib":[6],"free_kib":0,"over_kib":0}')"
run "a wrong list entry" 1 "given_kib[0]" "$(share 6 '[1]' '{"step":4,"given_kib":[5],"free_kib":0,"over_kib":0}')"
run "a list too short" 1 "a list of 0" "$(share 6 '[1]' '{"step":4,"given_kib":[],"free_kib":0,"over_kib":0}')"
run "lists of different length" 0 "agree" "$(share 6 '[1,1]' '{"valid":0}')"
run "a fraction" 2 "'active_ppm'" "$(weight '{"priority":1,"active_ppm":1.5,"tax_ppm":0}' '{"valid":0}')"
run "a missing input" 2 "'priority' is missing" "$(weight '{"active_ppm":1,"tax_ppm":0}' '{"valid":0}')"
run "an unknown input" 2 "unknown key 'x'" "$(weight '{"priority":1,"active_ppm":1,"tax_ppm":0,"x":1}' '{"valid":0}')"
run "an unknown rule" 2 "fit no rule" "$(weight '{"foo":1}' '{"valid":0}')"
run "charges" 2 "charging" "$(weight '{"tariffs":[]}' '{"valid":0}')"
run "cut off" 2 "ends too early" '{"cases":['
run "text behind" 2 "no JSON" "$(weight "$good" '{"valid":1}') x"
run "an empty file" 2 "no JSON" ''
run "no cases" 2 "empty" '{"cases":[]}'
run "not of this form" 2 "no list" '[1]'
run "a case without a name" 2 "entry 0" '{"cases":[{"in":{},"out":{}}]}'
run "deeply nested" 2 "nesting" "$(head -c 100000 /dev/zero | tr '\0' '[')"
"$program" "$dir/absent.json" 2>"$dir/text"
[ $? -eq 2 ] && grep -q "cannot open" "$dir/text" || { echo "absent file: $(cat "$dir/text")"; failed=1; }
exit $failed
