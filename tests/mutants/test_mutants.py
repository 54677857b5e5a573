# SPDX-License-Identifier: Apache-2.0
"""The faults of mutants.py still fit the core: each piece stands in its file once, and names are unique."""
import pathlib
import sys

from mutants import MUTANTS

LEAST = 15  # fewer would be no sample of the core's rules
core = pathlib.Path(__file__).resolve().parents[2] / "src" / "core"
wrong = []
for name, file, old, new in MUTANTS:
    count = (core / file).read_text().count(old)
    if count != 1:
        wrong.append(f"'{name}': its piece stands {count} times in src/core/{file}: {old}")
    if old == new:
        wrong.append(f"'{name}' changes nothing")
if len({name for name, *_ in MUTANTS}) != len(MUTANTS):
    wrong.append("two faults have one name")
if len(MUTANTS) < LEAST:
    wrong.append(f"{len(MUTANTS)} faults are fewer than {LEAST}")
for line in wrong:
    print(line)
print(f"{len(MUTANTS)} faults, {len(wrong)} that do not fit: change tests/mutants/mutants.py with the core" if wrong
      else f"{len(MUTANTS)} faults fit")
sys.exit(1 if wrong else 0)
