# SPDX-License-Identifier: Apache-2.0
"""The faults of mutants.py and mutants_backup.py still fit the source: each piece stands in its file once, and names are unique."""
import pathlib
import sys

from mutants import MUTANTS
from mutants_backup import MUTANTS_BACKUP

ALL = [(name, f"core/{file}", *rest) for name, file, *rest in MUTANTS] + MUTANTS_BACKUP
LEAST = 15  # fewer would be no sample of the core's rules
source = pathlib.Path(__file__).resolve().parents[2] / "src"
wrong = []
for name, file, old, new in ALL:
    count = (source / file).read_text().count(old)
    if count != 1:
        wrong.append(f"'{name}': its piece stands {count} times in src/{file}: {old}")
    if old == new:
        wrong.append(f"'{name}' changes nothing")
if len({name for name, *_ in ALL}) != len(ALL):
    wrong.append("two faults have one name")
if len(MUTANTS) < LEAST:
    wrong.append(f"{len(MUTANTS)} faults are fewer than {LEAST}")
for line in wrong:
    print(line)
print(f"{len(ALL)} faults, {len(wrong)} that do not fit: change tests/mutants with the source" if wrong
      else f"{len(ALL)} faults fit")
sys.exit(1 if wrong else 0)
