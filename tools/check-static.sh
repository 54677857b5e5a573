#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/check-static.sh: cppcheck over src/, clean but for the rows of tools/cppcheck.suppressions. Exit 77 where it is missing.
set -uo pipefail
cd "$(dirname "$0")/.."
command -v cppcheck >/dev/null || { echo "cppcheck is missing: run tools/install-deps.sh"; exit 77; }
# shellcheck disable=SC2046
cppcheck --quiet --error-exitcode=1 -j"$(nproc)" --std=c11 --enable=warning,performance,portability --template=gcc \
    --suppress=missingIncludeSystem --suppressions-list=tools/cppcheck.suppressions -D_GNU_SOURCE '-DBALLAST_VERSION="0"' \
    $(find src -type d -printf '-I%p ') src && echo "cppcheck found nothing"
