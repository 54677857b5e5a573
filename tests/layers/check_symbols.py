#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_symbols.py NM LIBRARY...

The core is pure: no I/O, no clock, no allocation, no globals (docs/design.md 3). Whatever its libraries need from
elsewhere must be on a short list, and nothing in them may be writable. Exits with 1 and one line for each violation."""

import subprocess
import sys

ALLOWED = {
    # what compilers call for struct copies
    "memcpy", "memset", "memmove", "memcmp",
    # 128-bit division
    "__udivti3", "__umodti3", "__udivmodti4", "__divti3", "__modti3",
    # position independent code, hardened builds
    "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail", "__memcpy_chk", "__memset_chk",
}
WRITABLE = (".data", ".bss", ".tdata", ".tbss", "*COM*", "COMMON")


def main():
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    nm, libraries = sys.argv[1], sys.argv[2:]
    defined, needed, problems = set(), {}, []
    for library in libraries:
        table = subprocess.run([nm, "--format=sysv", library], check=True, capture_output=True, text=True).stdout
        member = library
        for line in table.splitlines():
            if line.startswith("Symbols from "):
                member = line[len("Symbols from "):].rstrip(":")
            fields = [field.strip() for field in line.split("|")]
            if len(fields) != 7 or fields[0] == "Name":
                continue
            name, kind, section = fields[0], fields[2], fields[6]
            if kind == "U":
                needed.setdefault(name, member)
                continue
            defined.add(name)
            writable = section in WRITABLE or section.startswith((".data.", ".bss."))
            if writable and not section.startswith(".data.rel.ro"):
                problems.append(f"{member}: '{name}' is writable ({section}); the core has no globals, pass it in")
    if not defined:
        problems.append(f"no symbols in {' '.join(libraries)}: nothing was checked")
    for name in sorted(set(needed) - defined - ALLOWED):
        problems.append(f"{needed[name]}: needs '{name}'; the core is pure, let the caller do it")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
