#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""S12. Whatever ballastd writes into its state directory hangs (hold_writes.c), and nobody reads its log: the pipe is full.
A burst in a guest is relieved all the same."""
import os

import bench
from bench import check, eventually, main

HOLD = os.path.join(bench.BUILD, "tests", "live", "libhold_writes.so")


def full_pipe(path):
    """A named pipe that holds no further byte; the descriptor keeps it open."""
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        while True:
            os.write(fd, b"x" * 4096)
    except BlockingIOError:
        return fd


class HeldDaemon(bench.Daemon):
    def start(self, wait=True):
        self.gate = os.path.join(self.directory, "gate")
        self.environment = {"LD_PRELOAD": HOLD, "HOLD_DIR": self.state_dir, "HOLD_GATE": self.gate}
        self.pipe = full_pipe(self.log_path)
        return super().start(wait)

    def log(self):
        return "(its log is held)"

    def held(self):
        """Who waits for the disk, a line for each call."""
        try:
            with open(self.gate + ".held") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []


def test(b):
    guest, = b.boot(("a", {"boot_mib": 384, "agent": True}))
    guest.monitor.ask("balloon", value=128 << 20)
    eventually(lambda: guest.balloon_mib() == 128, "the guest has lent most of its memory")
    total = guest.total_mib()
    d = HeldDaemon(b.directory, b.guests_dir, 0, bench.config_text(b.guests_dir, memory_mib=b.host_mib(384)),
                   ["--log-level", "debug"])
    b.daemons.append(d)
    d.wait_for("a")
    eventually(d.held, "the disk hangs with ballastd's first write")
    decisions = d.host()["decisions"]

    guest.load.grow(150, rate_mib=50)
    eventually(lambda: guest.total_mib() > total + 40, "meanwhile the guest in a burst gets memory", explain=d.log)
    check(guest.load.checksum_kib() == 150 * 1024 and guest.oom_kills() == 0, "and has all it asked for")
    check(d.host()["decisions"] > decisions, "decisions went on")
    check(not os.listdir(d.state_dir) or "learned.json" not in os.listdir(d.state_dir), "nothing was written yet")
    check(d.held() and not [line for line in d.held() if "loop" in line], f"only other threads wait: {d.held()}")

    with open(d.gate, "w"):
        pass
    eventually(lambda: "learned.json" in os.listdir(d.state_dir), "the disk is back, and all is written")
    check(d.terminate() == 0, "it stops, though its log still hangs")


main(test)
