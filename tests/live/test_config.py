#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Wrong configuration: exit code 2 and one sentence that says where; without ballastd: exit code 3. No guest is
needed."""
import os
import subprocess
import tempfile

import bench
from bench import check, run_cli

# Each with words the sentence must hold.
WRONG = [
    ("host:\n  memory: 4 GiBi\n", ["2", "memory"]),
    ("host:\n  memory: -5\n", ["2", "memory"]),
    ("host:\n  memory: 12\n", ["2", "memory", "unit"]),
    ("host:\n  memmory: 4 GiB\n", ["2", "memmory"]),
    ("host:\n  memory: 4 GiB\n  memory: 5 GiB\n", ["3", "memory"]),
    ("hots:\n  memory: 4 GiB\n", ["1", "hots"]),
    ("guests:\n  web:\n    minimum: 2 GiB\n    maximum: 1 GiB\n", ["web", "minimum", "maximum"]),
    ("guests:\n  web:\n    priority: 0\n", ["3", "priority", "10000"]),
    ("guests:\n  web:\n    mode: turbo\n", ["3", "mode", "auto"]),
    ("host: [\n", ["2"]),
    ("host:\n  memory: 1 GiB\nguests:\n  a: {minimum: 700 MiB}\n  b: {minimum: 700 MiB}\n", ["minimum"]),
]


def start(directory, path):
    return subprocess.run([bench.DAEMON, "--config", path, "--runtime-dir", f"{directory}/run", "--state-dir",
                           f"{directory}/state"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def main():
    if not (os.path.exists(bench.DAEMON) and os.path.exists(bench.CLI)):
        raise SystemExit(f"{bench.DAEMON} is not built")
    with tempfile.TemporaryDirectory(prefix="ballast-") as directory:
        path = os.path.join(directory, "ballast.yaml")
        for text, words in WRONG:
            with open(path, "w") as f:
                f.write(text)
            daemon = start(directory, path)
            check(daemon.returncode == 2, f"ballastd refuses {text!r} ({daemon.returncode}): {daemon.stderr.strip()}")
            for word in [path] + words:
                check(word in daemon.stderr, f"and says '{word}'")
            check(len(daemon.stderr.strip().splitlines()) <= 3, "in a sentence or two")
            tool = run_cli("check-config", path)
            check(tool.returncode == 2, f"check-config says the same: {tool.stderr.strip() or tool.stdout.strip()}")
        missing = start(directory, f"{directory}/none.yaml")
        check(missing.returncode == 2 and "none.yaml" in missing.stderr,
              f"a missing file is refused: {missing.stderr.strip()}")
        with open(path, "w") as f:
            f.write("host:\n  memory: 4GiB\nguests:\n  web:\n    maximum: 64 TiB\n")
        check(run_cli("check-config", path).returncode in (0, 4),
              "4GiB is as good as 4 GiB, and a maximum may exceed the host")
        away = run_cli("--socket", f"{directory}/none.sock", "status")
        check(away.returncode == 3 and "none.sock" in away.stderr, f"without ballastd: code 3: {away.stderr.strip()}")
        check(run_cli("frobnicate").returncode == 2, "an unknown command: code 2")


main()
