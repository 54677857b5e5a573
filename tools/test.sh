#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/test.sh [--build DIR] [--live | --live-tests "NAME ..."] [--tally FILE] [--build-only] [-- MESON SETUP FLAGS]
# Configures and builds DIR, runs the suites quick ones first, and ends with "N passed, N failed, N skipped".
# --live boots real guests for all live tests, --live-tests for some of them.
# --tally appends the three numbers to FILE instead (for .ci/run, which adds several runs up). --build-only runs none.
set -uo pipefail
cd "$(dirname "$0")/.."

build=build live=false live_tests="" tally="" only_build=false flags=()
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=$2; shift 2 ;;
    --live) live=true; shift ;;
    --live-tests) live=true live_tests=$2; shift 2 ;;
    --tally) tally=$2; shift 2 ;;
    --build-only) only_build=true; shift ;;
    --) shift; flags=("$@"); break ;;
    *) echo "usage: tools/test.sh [--build DIR] [--live | --live-tests \"NAME ...\"] [--tally FILE] [--build-only] [-- MESON SETUP FLAGS]" >&2; exit 2 ;;
    esac
done

if [ ! -f "$build/build.ninja" ]; then
    meson setup "${flags[@]}" -Dlive=$live "$build" >"$build.setup.log" 2>&1 ||
        { cat "$build.setup.log"; echo "meson setup failed"; exit 1; }
    rm -f "$build.setup.log"
else
    meson configure -Dlive=$live "$build" >/dev/null || exit 1
fi
meson compile -C "$build" || { echo "the build failed"; exit 1; }
[ "$only_build" = false ] || exit 0

# malloc() fills what it gives and what it gets back: whoever reads what he did not write sees it. Random, and said, so that a
# failure can be repeated.
export MALLOC_PERTURB_=${MALLOC_PERTURB_:-$((RANDOM % 255 + 1))}
echo "memory is filled with $MALLOC_PERTURB_ (MALLOC_PERTURB_)"

suites="layers unit scenario"
[ "$live" = false ] || suites="$suites live"
passed=0 failed=0 skipped=0
for suite in $suites; do
    meson introspect "$build" --tests | grep -q "\"ballast:$suite\"" || continue
    echo "== $suite"
    rm -f "$build/meson-logs/testlog.json"
    names="" jobs=""
    # Guests wait most of the time, for ticks and for each other: one more at once than there are processors.
    [ "$suite" != live ] || names=$live_tests jobs="--num-processes $(($(nproc) + 1))"
    # shellcheck disable=SC2086
    meson test -C "$build" --no-rebuild --suite "$suite" $jobs --print-errorlogs $names ||
        true # the counts below tell
    counts=$(/usr/bin/python3 - "$build/meson-logs/testlog.json" <<'P'
import json, sys
passed = failed = skipped = 0
for line in open(sys.argv[1]):
    t = json.loads(line)
    if t["result"] == "SKIP":
        skipped += 1
        reason = (t.get("stdout") or "").strip().splitlines()
        print("skipped:", t["name"], "-", reason[-1] if reason else "no reason given", file=sys.stderr)
    elif t["result"] == "OK" or t["result"] == "EXPECTEDFAIL":
        passed += 1
    else:
        failed += 1
        print("failed:", t["name"], file=sys.stderr)
print(passed, failed, skipped)
P
    ) || counts="0 1 0"
    read -r p f s <<<"$counts"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
if [ -n "$tally" ]; then
    echo "$passed $failed $skipped" >>"$tally"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
