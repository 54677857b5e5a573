#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/check-valgrind.sh [--build DIR]
# Unit tests of what runs for months (ballastd's and the agent's parts), then a real ballastd over two real guests, under
# valgrind: no error, and no memory that nobody points to any more. Some minutes; no part of CI.
set -uo pipefail
cd "$(dirname "$0")/.."
build=build
[ "${1:-}" != --build ] || build=${2:?"usage: tools/check-valgrind.sh [--build DIR]"}
command -v valgrind >/dev/null || { echo "valgrind is missing: run tools/install-deps.sh"; exit 77; }
[ -f "$build/build.ninja" ] || meson setup "$build" >/dev/null || exit 1
ninja -C "$build" >/dev/null || { echo "the build failed"; exit 1; }

# Without test_notify: valgrind 3.19 knows no pidfd_open(2), and no command can be started under it.
# Children are the business of others: the shell of a notify command, programs that Python starts.
export VALGRIND_OPTS="--error-exitcode=33 --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite --num-callers=25 --trace-children=no"
status=0
for name in base units text config config_files config_bad demand decide engine engine_agent lever hv_qmp qmp_answer qmp_client \
            agent_link agent_line wire status history why api notify_watch journal keeper smaps_pool push proc_text; do
    program=$build/tests/unit/test_$name
    [ -x "$program" ] || continue
    if valgrind --quiet "$program" >"$build/valgrind.log" 2>&1; then
        echo "ok $name"
    else
        echo "FAILED $name"
        grep -E '^==|FAILED|ERROR' "$build/valgrind.log" | head -40
        status=1
    fi
done
BALLAST_BUILD=$(realpath "$build") /usr/bin/python3 tests/live/check_valgrind.py || status=1
exit $status
