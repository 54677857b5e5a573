#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make-deaf.py MODULE OUT FUNCTION: a kernel module like MODULE in which FUNCTION returns at once.

For the guest that is stuck: with virtballoon_changed() silenced, the balloon driver answers statistics and never
hears of a target. Written is one `ret` behind the tracing call each function starts with."""
import struct
import sys

RET = b"\xc3"
ENDBR64 = b"\xf3\x0f\x1e\xfa"
CALL = b"\xe8"
SHT_SYMTAB = 2


def function_offset(elf, name):
    """Where the function's code starts in the file (ELF64 little-endian, relocatable)."""
    table = struct.unpack_from("<Q", elf, 40)[0]
    entry_size, count = struct.unpack_from("<HH", elf, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", elf, table + i * entry_size) for i in range(count)]
    for section in sections:
        if section[1] != SHT_SYMTAB:
            continue
        names = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 24):
            text, _info, _other, index, value, _size = struct.unpack_from("<IBBHQQ", elf, at)
            end = elf.index(b"\0", names + text)
            if elf[names + text:end] == name.encode():
                return sections[index][4] + value
    sys.exit(f"make-deaf.py: no function '{name}'")


def main():
    with open(sys.argv[1], "rb") as f:
        elf = bytearray(f.read())
    at = function_offset(elf, sys.argv[3])
    if elf[at:at + 4] == ENDBR64:
        at += 4
    if elf[at:at + 1] != CALL:
        sys.exit(f"make-deaf.py: '{sys.argv[3]}' does not start as expected")
    at += 5
    elf[at:at + 1] = RET
    with open(sys.argv[2], "wb") as f:
        f.write(elf)


main()
