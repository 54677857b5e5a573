#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""extract-kernel.py VMLINUZ VMLINUX: unpacks the kernel in a bzImage. A guest without hardware virtualization starts
twice as fast when it need not unpack it itself."""
import subprocess
import sys

TOOLS = [(b"\x02\x21\x4c\x18", ["lz4", "-d", "-c"]), (b"\xfd7zXZ\x00", ["xz", "-d", "-c"]),
         (b"\x28\xb5\x2f\xfd", ["zstd", "-d", "-c"]), (b"\x1f\x8b\x08", ["gzip", "-d", "-c"])]


def unpack(image):
    """The ELF file inside image, or None. Trailing bytes make the tools complain, so only what they wrote counts."""
    for magic, tool in TOOLS:
        at = image.find(magic)
        while at >= 0:
            try:
                out = subprocess.run(tool, input=image[at:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
            except FileNotFoundError:
                break
            if out[:4] == b"\x7fELF":
                return out
            at = image.find(magic, at + 1)
    return None


def main():
    with open(sys.argv[1], "rb") as f:
        kernel = unpack(f.read())
    if kernel is None:
        sys.exit(f"extract-kernel.py: no kernel found in {sys.argv[1]}: is lz4, xz or zstd missing?")
    with open(sys.argv[2], "wb") as f:
        f.write(kernel)


main()
