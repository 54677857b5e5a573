#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""embed.py NAME INPUT OUTPUT: INPUT's text as a C string NAME in the header OUTPUT."""
import sys

name, source, target = sys.argv[1:4]
with open(source, encoding="ascii") as f:
    lines = f.read().split("\n")[:-1]
with open(target, "w", encoding="ascii") as f:
    f.write("/* SPDX-License-Identifier: Apache-2.0 */\n#pragma once\n\n")
    f.write(f"static const char {name}[] =\n")
    for line in lines:
        escaped = line.replace("\\", "\\\\").replace('"', '\\"')
        f.write(f'    "{escaped}\\n"\n')
    f.write("    ;\n")
