#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make demo, the short one, without a terminal: plain lines, a report, and each safety rule held."""
import os
import subprocess
import sys

import bench
from bench import check


def main():
    bench.guest_build()
    script = os.path.join(bench.ROOT, "tools", "demo.sh")
    done = subprocess.run([script, "--short", "--build", bench.BUILD], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    if done.returncode == bench.EXIT_SKIP:
        sys.exit(bench.EXIT_SKIP)
    check(done.returncode == 0, f"exit code {done.returncode}")
    check("checks held" in done.stdout and "BROKEN" not in done.stdout, "all rules held")
    check("\033[" not in done.stdout, "no escape sequences without a terminal")
    check(done.stdout.count("verified word by word") == 5, "each guest's memory is verified")


main()
