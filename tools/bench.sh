#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/bench.sh [--build DIR] [NAME|all]
# Runs one benchmark or all of them: one JSON line a result on stdout, a table for people on stderr. A missed goal shows
# as "met":false and is no failure; a benchmark that can't run is (exit 1). No optimisation, no figures: use a plain build.
set -uo pipefail
cd "$(dirname "$0")/.."

# name -> what runs it, with $build replaced by the build directory
declare -A benches=(
    [decide]='$build/bench/decide'
    [relief]='BALLAST_BUILD=$build /usr/bin/python3 bench/relief.py' # about half an hour
    [backup-stall]='BALLAST_BUILD=$build /usr/bin/python3 bench/backup_stall.py' # four minutes
    [boot-from-point]='BALLAST_BUILD=$build /usr/bin/python3 bench/boot_from_point.py' # two minutes
    [relief-backup]='BALLAST_BUILD=$build /usr/bin/python3 bench/relief.py --backup --bursts 12' # a quarter of an hour, as root
    [backup-copy]='BALLAST_BUILD=$build /usr/bin/python3 bench/backup_copy.py' # a minute
    [backup-incremental]='BALLAST_BUILD=$build /usr/bin/python3 bench/backup_incremental.py' # a minute
    [repository]='BALLAST_BUILD=$build /usr/bin/python3 bench/repository.py' # four minutes
    [footprint]='BALLAST_BUILD=$build /usr/bin/python3 bench/footprint.py' # a quarter of an hour
)

build=build
if [ "${1:-}" = --build ]; then
    build=${2:?"usage: tools/bench.sh [--build DIR] [NAME|all]"}
    shift 2
fi
wanted=${1:-all}
names=$(printf '%s\n' "${!benches[@]}" | sort | tr '\n' ' ')
if [ "$wanted" != all ] && [ -z "${benches[$wanted]:-}" ]; then
    echo "bench: no benchmark is called '$wanted'; known: ${names}or all" >&2
    exit 2
fi
status=0
for name in $names; do
    if [ "$wanted" = all ] || [ "$wanted" = "$name" ]; then
        build=$build bash -c "${benches[$name]}" || { echo "bench: '$name' did not run to its end" >&2; status=1; }
    fi
done
exit $status
