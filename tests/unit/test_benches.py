#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_benches.py SOURCE: every benchmark that tools/bench.sh names is there and tells its options, a name that is none is refused,
and what the repository's benchmark takes for a change between two points is one. Nothing is measured."""
import os
import random
import re
import subprocess
import sys
import unittest

SOURCE = sys.argv.pop(1)
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(SOURCE, "bench"))
import guest_days  # noqa: E402
from guest_days import BLOCK, MIB  # noqa: E402


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                          env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})


class Benches(unittest.TestCase):
    def test_each_tells_its_options(self):
        with open(os.path.join(SOURCE, "tools", "bench.sh"), encoding="utf-8") as f:
            scripts = re.findall(r"^ +\[[a-z-]+\]=.*(bench/\w+\.py)", f.read(), re.M)
        self.assertGreaterEqual(len(scripts), 6)
        for script in scripts:
            done = run(sys.executable, os.path.join(SOURCE, script), "--help")
            self.assertEqual(done.returncode, 0, f"{script}: {done.stderr}")
            self.assertIn("usage:", done.stdout + done.stderr)

    def test_no_benchmark(self):
        done = run("bash", os.path.join(SOURCE, "tools", "bench.sh"), "no-such")
        self.assertEqual(done.returncode, 2)
        self.assertIn("backup-stall", done.stderr)


class Days(unittest.TestCase):
    def test_changed(self):
        before = bytearray(b"x" * 3 * MIB)
        after = bytearray(before)
        after[MIB - 1:MIB + 1] = b"yy"  # two blocks, beside each other
        after[2 * MIB + BLOCK:2 * MIB + 3 * BLOCK] = bytes(2 * BLOCK)
        after[2 * MIB + 3 * BLOCK] = 0  # beside the zeroes, and data
        self.assertEqual(guest_days.changed(before, after),
                         [(MIB - BLOCK, 2 * BLOCK), (2 * MIB + BLOCK, 2 * BLOCK), (2 * MIB + 3 * BLOCK, BLOCK)])

    def test_changed_is_all(self):
        r = random.Random(1)
        before = bytearray(4 * MIB)
        after = bytearray(before)
        for _ in range(40):
            at, length = r.randrange(len(after) - 2 * BLOCK), r.randrange(2 * BLOCK)
            after[at:at + length] = r.randbytes(length)
        for offset, length in guest_days.changed(before, after):
            before[offset:offset + length] = after[offset:offset + length]
        self.assertEqual(before, after)


unittest.main()
