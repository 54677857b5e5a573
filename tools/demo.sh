#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/demo.sh [--build DIR] [--short]: boots real guests on a host too small for them and lets ballast balance them.
# Needs no root; ends all it started, also on Ctrl-C. Exit code: 0, or 1 if a safety rule was broken, 77 if this machine
# lacks something.
set -euo pipefail
cd "$(dirname "$0")/.."

build=build
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=${2:?--build needs a directory}; shift 2 ;;
    --short) arguments+=("$1"); shift ;;
    *) echo "usage: tools/demo.sh [--build DIR] [--short]" >&2; exit 2 ;;
    esac
done

python=/usr/bin/python3
[ -x $python ] || python=python3
export BALLAST_BUILD=$build PYTHONDONTWRITEBYTECODE=1
exec $python tests/live/demo.py "${arguments[@]}"
