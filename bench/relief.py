#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long a guest in a burst waits for memory: make bench BENCH=relief

A real guest holds 200 MiB and has what ballast would give it. A burst then takes more than its headroom. t0:
MemAvailable falls below the watermark that ballastd told the agent (before that it uses its own headroom); t1: the
balloon has given 32 MiB since. Both by the guest's own clock, read each millisecond (tests/live/guest/relief.c).

Case F: the host has free memory. Case T: it must be taken from another guest first. Beside them, in the same run and
the same guest: a loop over balloon statistics once a second with ballast's rule for the size, and one of 10 s with
steps of 100 MiB.

Each burst meets a ballastd that has just found its guests: one that runs longer learns bursts, keeps headroom for them,
and there is nothing left to measure.

    relief.py [--bursts N] [--baseline N] [--cases FT]

With --backup no older loops are measured but three states of the same guests in turn: no backup, one of the guest in the
burst, one of the other guest. The repository lies on a disk of DISK_MIB a second (a throttled QEMU storage daemon's export
below a loop device, so it needs root), and the copy lasts longer than the burst. The goal is the ratio of medians.

    relief.py --backup [--bursts N] [--cases FT]
"""
import argparse
import json
import os
import random
import re
import signal
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "live"))

import bench  # noqa: E402  pylint: disable=wrong-import-position
from relief_backup import BACKED_UP, Backups  # noqa: E402

MIB = 1 << 20
HELD_MIB = 200          # what the guest needs at rest
BOOT_MIB = 768
SWAP_MIB = 512          # else a burst that is not relieved in time is one OOM kill and no figure
DONOR_SPARE_MIB = 320   # what the other guest has beyond its need
FREE_MIB = 8            # what the host has free in case T: no relief
RELIEF_MIB = 32
BEYOND_MIB = 96         # how far below the watermark the burst goes
RATE_MIB = 200          # a second, as far as the guest's processor makes it
WAIT_MS = 15000         # a burst that was not relieved until then counts as this long
BUFFER = 0.20           # of demand: ballast's default
SLOW_STEP_MIB = 100     # the other loop: as Proxmox VE's, 10 s and 100 MiB


def say(text):
    print(text, file=sys.stderr, flush=True)


def quantile(values, percent):
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


class Bursts:
    """What was measured of one case."""

    def __init__(self, name):
        self.name, self.ms, self.cold_ms, self.stalled_ms = name, [], [], []
        self.swapped_mib = self.kills = self.unrelieved = self.absorbed = self.skipped = 0

    def add(self, line):
        v = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", line)}
        if not v.get("t0"):
            self.absorbed += 1  # it was given memory before it fell below the watermark
            return
        self.ms.append((v["t1"] - v["t0"]) / 1000 if v["t1"] else WAIT_MS)
        if not v["early"]:
            self.cold_ms.append(self.ms[-1])  # nothing was on its way when it fell below the watermark
        self.unrelieved += not v["t1"]
        self.stalled_ms.append(v["full"] / 1000)
        self.swapped_mib += v["swapped_in"] / 1024
        self.kills += v["oom_kills"]

    def tell(self):
        if not self.ms:
            say(f"{self.name}: no burst fell below the watermark")
            return
        say(f"{self.name:48} n {len(self.ms):3}  median {quantile(self.ms, 50):8.1f} ms  "
            f"p99 {quantile(self.ms, 99):8.1f} ms  max {max(self.ms):8.1f} ms  "
            f"median of {len(self.cold_ms)} unforeseen {quantile(self.cold_ms or [0], 50):.1f} ms  "
            f"stalled {sum(self.stalled_ms) / len(self.ms):7.1f} ms a burst  "
            f"swapped in {self.swapped_mib:6.1f} MiB  OOM kills {self.kills}  never relieved {self.unrelieved}  "
            f"absorbed before {self.absorbed}  not set up {self.skipped}")


class Bench:
    def __init__(self, b, backups=None):
        self.b, self.backups = b, backups
        self.overhead_mib = 160  # of both guests; measured with the first ballastd
        disks = {name: {"disks": backups.images(name)} if backups else {} for name in ("a", "donor")}
        self.swap = "/dev/vdc" if backups else "/dev/vda"  # behind the disks that are backed up
        swap = os.path.join(b.directory, "swap")
        with open(swap, "wb") as f:
            f.truncate(SWAP_MIB * MIB)
        self.guest, self.donor = b.boot(
            ("a", {"boot_mib": BOOT_MIB, "agent": True,
                   "extra": ("-drive", f"file={swap},if=virtio,format=raw,cache=unsafe"), **disks["a"]}),
            ("donor", {"boot_mib": 512, "agent": True, **disks["donor"]}))
        if backups:
            backups.fill(self.guest, self.donor)
        self.guest.shell.run(f"mkswap {self.swap} && swapon {self.swap}")
        self.guest.load.grow(HELD_MIB)
        self.guest.load.touch()

    def used_mib(self, guest):
        return guest.balloon_mib() - guest.load.meminfo()["MemAvailable"] / 1024

    def resize(self, guest, size_mib):
        guest.monitor.ask("balloon", value=int(size_mib) * MIB)
        bench.eventually(lambda: abs(guest.balloon_mib() - int(size_mib)) <= 1, None)

    def settle(self):
        """The guest has its demand and its buffer: as ballast would have left it."""
        self.guest.shell.run(f"swapoff {self.swap}; swapon {self.swap}")  # back what the last burst pushed out
        self.resize(self.guest, self.used_mib(self.guest) * (1 + BUFFER))
        self.resize(self.guest, self.used_mib(self.guest) * (1 + BUFFER))

    def watermark_kib(self):
        """Half of the buffer, 16 to 64 MiB: what ballastd tells."""
        buffer_mib = int(self.used_mib(self.guest) * BUFFER / 2)
        return min(max(buffer_mib, 16), 64) * 1024

    def burst(self, watermark_kib):
        return self.guest.shell.run(f"relief {watermark_kib} {BEYOND_MIB} {RATE_MIB} {WAIT_MS}", timeout=120)

    def run(self, bursts, n, one, at_most=None):
        """Until there are n of them, or it was tried at_most times."""
        for _ in range(at_most or 2 * n):
            line = one()
            if os.environ.get("RELIEF_DEBUG"):
                say(line)
            if line is None or "error" in line:
                bursts.skipped += 1
                continue
            bursts.add(line)
            if len(bursts.ms) % 10 == 0 and not at_most:
                bursts.tell()
            if len(bursts.ms) == n:
                break
        return bursts

    # ballast
    def config(self, memory_mib):
        # Lazy: else the other guest would have given all it has to spare until a backup copies.
        return bench.config_text(self.b.guests_dir, memory_mib=memory_mib, guests={"*": {"minimum": "96 MiB"}},
                                 defaults={"mode": "auto", "reclaim": "lazy" if self.backups else "eager"})

    def shrink(self, d):
        """QEMU takes more for itself once it copies: the host becomes as small as case T wants it only now."""
        host = d.host()
        memory = int((host["held_bytes"] + host["overhead_bytes"]) / MIB) + bench.RESERVE_MIB + FREE_MIB
        d.configure(self.config(memory) + self.backups.text)
        os.kill(d.pid, signal.SIGHUP)
        bench.eventually(lambda: d.host()["memory_bytes"] == memory * MIB, None, explain=d.log)

    def ballast(self, taken, backed_up=None):
        """One burst; None where the host was not as the case wants it. backed_up: a guest whose backup runs meanwhile."""
        self.settle()
        memory = 4096
        donor_mib = self.donor.balloon_mib()
        if taken:
            donor_mib = int(self.used_mib(self.donor) * (1 + BUFFER)) + DONOR_SPARE_MIB
            self.resize(self.donor, donor_mib)
            held = sum(max(g.balloon_mib(), g.resident_mib()) for g in (self.guest, self.donor))
            memory = int(held + self.overhead_mib + bench.RESERVE_MIB + FREE_MIB)
        d = self.b.daemon(self.config(4096 if self.backups else memory) + (self.backups.config() if self.backups else ""))
        backup = None
        try:
            bench.eventually(lambda: [g.get("demand_source") for g in d.guests().values()] == ["agent", "agent"], None,
                             explain=d.log)
            backup = self.backups.start(d, backed_up) if self.backups else None
            if backup and taken:
                self.shrink(d)
            time.sleep(1.2 + random.uniform(0, 1))  # the watermark is told on the tick; the burst comes between two
            host = d.host()
            free_mib = (host["capacity_bytes"] - host["held_bytes"]) / MIB
            self.overhead_mib = host["overhead_bytes"] / MIB
            if taken and not (abs(self.donor.balloon_mib() - donor_mib) <= 2 and 0 <= free_mib < RELIEF_MIB):
                if os.environ.get("RELIEF_DEBUG"):
                    say(f"free {free_mib:.0f} MiB, the other guest has {self.donor.balloon_mib()} of {donor_mib} MiB")
                return None  # it was more, or the other guest had given already
            line = self.burst(self.watermark_kib())
            return line if not backup or backup.holds() else None  # it was over too early
        finally:
            if backup:
                backup.end()
            d.kill()
            if os.environ.get("RELIEF_DEBUG"):
                say(d.log())

    # the older ways, by the test's own monitor
    def by_loop(self, period, rule):
        self.settle()
        watermark = self.watermark_kib()
        monitor, device = self.guest.monitor, "/machine/peripheral/balloon0"
        monitor.ask("qom-set", path=device, property="guest-stats-polling-interval", value=1)
        stop = threading.Event()

        def loop():
            stop.wait(random.uniform(0, period))
            while not stop.is_set():
                stats = monitor.ask("qom-get", path=device, property="guest-stats")["stats"]
                have = monitor.ask("query-balloon")["actual"] >> 20
                want = rule(have, stats["stat-available-memory"] / MIB)
                if want > have:
                    monitor.ask("balloon", value=min(int(want), BOOT_MIB) * MIB)
                stop.wait(period)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            time.sleep(random.uniform(0.5, 1.5))
            return self.burst(watermark)
        finally:
            stop.set()
            thread.join()

    def statistics(self):
        return self.by_loop(1, lambda have, available: (have - available) * (1 + BUFFER) if is_low(have, available)
                            else have)

    def slow_steps(self):
        return self.by_loop(10, lambda have, available: have + SLOW_STEP_MIB if is_low(have, available) else have)


def is_low(have_mib, available_mib):
    """A quarter of the buffer is gone."""
    return available_mib < have_mib * BUFFER / (1 + BUFFER) * 0.75


def report(case, bursts, goals, baselines):
    """Unforeseen: the tick or a heartbeat had not seen the burst coming before it fell below the watermark."""
    for metric, percent, goal, of in (("median", 50, goals[0], lambda x: x.ms), ("p99", 99, goals[1], lambda x: x.ms),
                                      ("median of unforeseen bursts", 50, goals[0], lambda x: x.cold_ms)):
        if not of(bursts):
            continue
        value = quantile(of(bursts), percent)
        for name, other in baselines:
            than = quantile(of(other) or [0], percent)
            print(json.dumps({"bench": "relief", "case": case, "metric": metric, "value": round(value, 1), "unit": "ms",
                              "n": len(of(bursts)), "baseline": name, "baseline_value": round(than, 1),
                              "ratio": round(than / value, 2) if value else None, "goal": f"<= {goal} ms",
                              "met": value <= goal}), flush=True)
    for metric, unit, value in (("stalled (PSI full) per burst", "ms", lambda x: sum(x.stalled_ms) / len(x.ms)),
                                ("swapped in per burst", "MiB", lambda x: x.swapped_mib / len(x.ms)),
                                ("OOM kills per burst", "kills", lambda x: x.kills / len(x.ms)),
                                ("never relieved", "share of bursts", lambda x: x.unrelieved / len(x.ms))):
        for name, other in baselines:
            a, than = round(value(bursts), 3), round(value(other), 3)
            print(json.dumps({"bench": "relief", "case": case, "metric": metric, "value": a, "unit": unit,
                              "n": len(bursts.ms), "baseline": name, "baseline_value": than,
                              "ratio": round(than / a, 2) if a else None}), flush=True)


def report_backup(case, of):
    """of: {None or the guest that is backed up: Bursts}"""
    for metric, percent in (("median", 50), ("p99", 99)):
        without = quantile(of[None].ms, percent)
        for name, what in BACKED_UP[1:]:
            value = quantile(of[name].ms, percent)
            ratio = round(value / without, 2)
            print(json.dumps({"bench": "relief", "case": f"{case}, {what}", "metric": metric, "value": round(value, 1),
                              "unit": "ms", "n": len(of[name].ms), "baseline": "no backup",
                              "baseline_value": round(without, 1), "ratio": ratio,
                              **({"goal": "<= 1.2 x", "met": ratio <= 1.2} if percent == 50 else {})}), flush=True)


def measure_backup(b, options, stdout):
    with Backups(b) as backups:
        x = Bench(b, backups)
        for case, name in (("F", "F: the host has free memory"), ("T", "T: taken from another guest first")):
            if case not in options.cases:
                continue
            of = {guest: Bursts(f"{case}, {what}") for guest, what in BACKED_UP}
            for _ in range(2 * options.bursts):
                for guest, bursts in of.items():
                    if len(bursts.ms) < options.bursts:
                        x.run(bursts, 1, lambda g=guest: x.ballast(case == "T", g), at_most=1)
            for bursts in of.values():
                bursts.tell()
            if all(bursts.ms for bursts in of.values()):
                sys.stdout = stdout
                report_backup(name, of)
                sys.stdout = sys.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bursts", type=int, default=100)
    parser.add_argument("--baseline", type=int, default=20)
    parser.add_argument("--cases", default="FT", choices=("F", "T", "FT"))
    parser.add_argument("--backup", action="store_true")
    options = parser.parse_args()
    sys.stdout, stdout = sys.stderr, sys.stdout  # what the bench of the live tests says is for people
    with bench.Bench() as b:
        if options.backup:
            measure_backup(b, options, stdout)
            return
        x = Bench(b)
        statistics = x.run(Bursts("balloon statistics each second"), options.baseline, x.statistics)
        steps = x.run(Bursts("10 s loop, steps of 100 MiB"), options.baseline, x.slow_steps)
        cases = []
        if "F" in options.cases:
            free = x.run(Bursts("ballast, case F: the host has free memory"), options.bursts,
                         lambda: x.ballast(False))
            cases.append(("F: the host has free memory", free, (100, 250)))
        if "T" in options.cases:
            taken = x.run(Bursts("ballast, case T: taken from another guest first"), options.bursts,
                          lambda: x.ballast(True))
            cases.append(("T: taken from another guest first", taken, (300, 1000)))
        baselines = (("balloon statistics each second", statistics), ("10 s loop, steps of 100 MiB", steps))
        say("")
        for bursts in (statistics, steps, *(c[1] for c in cases)):
            bursts.tell()
        say(f"load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; "
            f"{' '.join(b.accelerator[:2])}")
        sys.stdout = stdout
        for case, bursts, goals in cases:
            if bursts.ms:
                report(case, bursts, goals, baselines)
        sys.stdout = sys.stderr


main()
