#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/manual.sh CONFIG_MANUAL [--check]
# Writes docs/man/ballast.yaml.5 from its template and the table of keys; --check: tells whether that was done.
set -euo pipefail
manual=$(realpath "$1")
cd "$(dirname "$0")/../docs/man"
if [ "${2:-}" = --check ]; then
    "$manual" <ballast.yaml.5.in | diff -u ballast.yaml.5 - && exit 0
    echo "docs/man/ballast.yaml.5 is not what the table of keys says: run  meson compile -C build manual" >&2
    exit 1
fi
"$manual" <ballast.yaml.5.in >ballast.yaml.5.new
mv ballast.yaml.5.new ballast.yaml.5
