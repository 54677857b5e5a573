# SPDX-License-Identifier: Apache-2.0
"""How much memory the processes of a backup take at once: PSS, where pages that they share count once."""
import os
import threading

LOOK_SEC = 0.02
PROGRAMS = ("ballast", "ballast-copy", "ballast-guardian", "ballast-prepare")  # ballastd is there without a backup, too


def pss_mib(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("Pss:")) / 1024
    except (OSError, StopIteration):
        return 0


def processes_of(build):
    """Pids of PROGRAMS that were built there."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            path = os.readlink(f"/proc/{pid}/exe")
        except OSError:
            continue
        if path.startswith(build + "/") and os.path.basename(path) in PROGRAMS:
            found.append(int(pid))
    return found


class Memory(threading.Thread):
    """The most that all of them had at one moment: with Memory(build) as m: ...; m.most_mib. Looking costs a tenth of a
    processor: not in a round that is timed."""

    def __init__(self, build):
        super().__init__(daemon=True)
        self.build, self.most_mib, self.over = build, 0, threading.Event()

    def run(self):
        while not self.over.wait(LOOK_SEC):
            self.most_mib = max(self.most_mib, sum(map(pss_mib, processes_of(self.build))))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
