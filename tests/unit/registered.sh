#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each tests/unit/test_NAME.c must be in meson.build: as 'NAME' in the list, or by its file name. So must each
# tests/live/test_NAME.py, in the list of live tests or, where it needs no guest, by its file name.
cd "$(dirname "$0")" || exit 1
missing=0
for file in test_*.c; do
    name=${file%.c}
    grep -qE "^  '${name#test_}': |'$file'" meson.build && continue
    echo "tests/unit/$file is in no line of tests/unit/meson.build"
    missing=1
done
for file in ../live/test_*.py; do
    name=$(basename "$file" .py)
    grep -qE "^    '${name#test_}': " ../live/meson.build && continue
    grep -q "files('$name.py')" ../live/meson.build && continue
    echo "tests/live/$name.py is in no line of tests/live/meson.build"
    missing=1
done
exit $missing
