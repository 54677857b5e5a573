#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/check-tsan.sh [--build DIR] [--tally FILE]
# Builds with ThreadSanitizer and runs what has threads: the log's, the journal's and the notify command's threads, the pool
# that reads smaps, and the real ballastd. A race is a failed test.
set -uo pipefail
cd "$(dirname "$0")/.."
build=build-tsan tally=""
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=$2; shift 2 ;;
    --tally) tally=$2; shift 2 ;;
    *) echo "usage: tools/check-tsan.sh [--build DIR] [--tally FILE]" >&2; exit 2 ;;
    esac
done

tests="daemon journal smaps_pool notify api ballastd operate"
[ -f "$build/build.ninja" ] ||
    meson setup -Dwerror=true -Db_sanitize=thread -Db_lundef=false "$build" >"$build.setup.log" 2>&1 ||
    { cat "$build.setup.log"; echo "meson setup failed"; exit 1; }
rm -f "$build.setup.log"
known=" $(meson introspect "$build" --tests | grep -o '"name": "[^"]*"' | cut -d'"' -f4 | tr '\n' ' ')"
names=""
for name in $tests; do
    [[ "$known" != *" $name "* ]] || names="$names $name"
done
# Only what these need: the whole build takes four times as long. Names of tests are those of their programs.
targets="src/daemon/ballastd src/cli/ballast"
for name in $names; do
    [ ! -f "tests/unit/test_$name.c" ] || targets="$targets tests/unit/test_$name"
done
# shellcheck disable=SC2086
ninja -C "$build" $targets >"$build.log" 2>&1 || { cat "$build.log"; echo "the build failed"; exit 1; }
rm -f "$build.log"
# A thread that hangs in the kernel is left behind on purpose (log_writer.c, journal.c, notify.c): no leak of ours.
export TSAN_OPTIONS="halt_on_error=1:exitcode=66:report_thread_leaks=0:${TSAN_OPTIONS:-}"
# shellcheck disable=SC2086
meson test -C "$build" --no-rebuild --print-errorlogs $names
status=$?
count=$(wc -w <<<"$names")
if [ -n "$tally" ]; then
    if [ $status -eq 0 ]; then echo "$count 0 0"; else echo "0 1 0"; fi >>"$tally"
fi
exit $status
