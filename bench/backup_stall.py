#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""BENCH=backup-stall: how long a guest's writes stand still while it is backed up.

Two equal guests (tests/live: a kernel and busybox, qemu-guest-agent, an ext4 and an xfs disk), one of ballast's, one of
libvirt's, which virtnbdbackup -z backs up; both freeze through the agent. One after the other, round by round, each is
backed up under three writers, and the other one stands still (tests/live/guest/stall.c):

    sync       512 bytes, fdatasync, on ext4, where the dirty pages are
    buffered   4 KiB without a sync, there
    xfs        512 bytes, fdatasync, on xfs

    idle       an incremental backup; nothing else is going on
    dirty      the same with 128 MiB of dirty page cache on ext4 at the moment of the command
    copy       a full backup, while sync overwrites blocks that are not copied yet (copy-before-write); ballast without a
               freeze, so that what is seen comes from the copy. virtnbdbackup always freezes
    none       no backup: what the writers show by themselves

A value is the longest time from one record to the next in a round, by the guest's clock, and what QEMU stood still in
beside (that clock stands still, too). Reported: the median over the rounds; the worst round.

    /usr/bin/python3 bench/backup_stall.py [--rounds N] [--directory DIR]
"""
import argparse
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time

import memory
import virtnbd

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "live"))
import bench  # noqa: E402
import disks  # noqa: E402
import vm  # noqa: E402

BOOT_MIB = 640
DISK_MIB = 448
DIRTY_MIB = 128
OLD_MIB = 160        # what copy overwrites, and what a full has to copy
BEFORE_SEC = 0.5     # the writers run alone
NONE_SEC = 2
DOMAIN = "ballast-stall"
WRITERS = {"sync": "sync /a/sync", "buffered": "buffered /a/buffered", "xfs": "sync /b/sync"}
COPY_WRITERS = {"sync": "over /a/old", "buffered": "buffered /a/buffered", "xfs": "over /b/old"}
GOALS_MS = {"idle": 300, "dirty": 1000}


class Writers:
    """In the guest, until asked."""

    def __init__(self, shell, modes):
        self.shell, self.names = shell, list(modes)
        for name, mode in modes.items():
            shell.run(f"stall {mode} </dev/null >/tmp/stall.{name} 2>&1 & echo $! >/tmp/pid.{name}")
        time.sleep(BEFORE_SEC)

    def end(self):
        """{name: longest in ms}"""
        pids = " ".join(f"$(cat /tmp/pid.{name})" for name in self.names)
        self.shell.run(f"kill {pids}; wait {pids}; rm -f /a/sync /a/buffered /b/sync")
        found = {}
        for name in self.names:
            text = self.shell.run(f"cat /tmp/stall.{name}")
            match = re.search(r"longest (\d+) us", text)
            if not match:
                raise OSError(f"the writer '{name}' failed: {text}")
            found[name] = int(match.group(1)) / 1000
        return found


def guest_prepare(shell):
    """Old data on both disks; dirty pages stay dirty until somebody syncs."""
    for name in ("/a/old", "/b/old"):
        shell.run(f"stall dirty {name} {OLD_MIB // 2} >/dev/null")
    shell.run("sync; sysctl -w vm.dirty_bytes=419430400 vm.dirty_background_bytes=314572800 vm.dirty_expire_centisecs=60000"
              " >/dev/null; echo 3 >/proc/sys/vm/drop_caches")


def guest_dirty(shell):
    dirty_kib = int(shell.run(f"stall dirty /a/dirty {DIRTY_MIB}").split()[-1])
    if dirty_kib < DIRTY_MIB * 1024 * 9 // 10:
        raise OSError(f"only {dirty_kib} KiB are dirty")


class Ours:
    name = "ballast"

    def __init__(self, b):
        self.guest = b.start_guest("g", boot_mib=BOOT_MIB, balloon=False, disks=disks.images(b, "g", size_mib=DISK_MIB))
        self.guest.wait_up()
        self.shell, self.monitor = self.guest.shell, self.guest.monitor
        repository = disks.repository(b)
        self.daemon = b.daemon(disks.config(b, repository))
        bench.eventually(lambda: self.daemon.guest("g"), None)
        self.job = None

    def backup(self, freeze):
        done = self.daemon.cli("backup", "run", "g", "--freeze", freeze, "--json", check_code=0)
        self.job = json.loads(done.stdout)["jobs"][0]
        return self.job["stall_ms"]

    def incremental(self):
        stopped_ms = self.backup("require")
        if any(disk["read"] != "incremental" for disk in self.job["disks"]):
            raise OSError(f"it was no incremental: {self.job}")
        return stopped_ms

    def full(self):
        for node in self.monitor.ask("query-named-block-nodes", flat=True):
            for bitmap in node.get("dirty-bitmaps", []):
                self.monitor.ask("block-dirty-bitmap-remove", node=node["node-name"], name=bitmap["name"])
        return self.backup("never")

    def wake(self):
        self.monitor.ask("cont")

    def rest(self):
        self.monitor.ask("stop")


class Theirs:
    name = "virtnbdbackup"

    def __init__(self, b, v):
        self.v, self.out, self.fulls = v, os.path.join(v.directory, "out"), 0
        images = disks.images(b, "v", size_mib=DISK_MIB)
        for file in ("vmlinux", "initramfs-disks.cpio"):  # libvirt makes them its own
            shutil.copy(os.path.join(bench.GUEST_DIR, file), v.directory)
        ports = {name: os.path.join(v.directory, name) for name in ("shell", "load")}
        devices = "".join(virtnbd.disk_xml(image, "vd" + "ab"[i]) for i, image in enumerate(images))
        devices += virtnbd.channel_xml("org.qemu.guest_agent.0")
        devices += "".join(virtnbd.channel_xml(f"test.{name}", path) for name, path in ports.items())
        devices += f"<serial type='file'><source path='{v.directory}/console.log'/><target port='0'/></serial>"
        options = "console=ttyS0 quiet panic=1 psi=1 init_on_alloc=0 mitigations=off nokaslr random.trust_cpu=on tsc=unstable"
        system = (f"<kernel>{v.directory}/vmlinux</kernel><initrd>{v.directory}/initramfs-disks.cpio</initrd>"
                  f"<cmdline>{options}</cmdline>")
        tcg = b.accelerator[1].startswith("tcg")
        more = "<features><acpi/>" + ("<tcg><tb-cache unit='MiB'>16</tb-cache></tcg></features><cpu mode='maximum'/>" if tcg else
                                      "</features><cpu mode='host-passthrough'/>")
        v.start(DOMAIN, virtnbd.domain_xml(DOMAIN, devices, BOOT_MIB, "qemu" if tcg else "kvm", system, more))
        self.shell = vm.Shell(ports["shell"])
        self.shell.wait_ready(bench.LONG_SEC)
        bench.eventually(lambda: "org.qemu.guest_agent.0' state='connected'" in v.run("virsh", "dumpxml", DOMAIN), None)

    def incremental(self):
        self.check(self.v.backup(self.out, "inc", DOMAIN))
        return 0

    def full(self):
        if self.fulls:
            shutil.rmtree(self.out)
        self.fulls += 1
        self.check(self.v.backup(self.out, "full", DOMAIN))
        return 0

    def check(self, said):
        if not re.search(r"[Ff]reezed \[?[1-9]", said):
            raise OSError(f"virtnbdbackup froze nothing: {said}")

    def wake(self):
        self.v.run("virsh", "resume", DOMAIN)

    def rest(self):
        self.v.run("virsh", "suspend", DOMAIN)


def once(side, case):
    """{writer: ms} of one round."""
    if case == "dirty":
        guest_dirty(side.shell)
    writers = Writers(side.shell, COPY_WRITERS if case == "copy" else WRITERS)
    stopped_ms = 0
    if case == "none":
        time.sleep(NONE_SEC)
    else:
        stopped_ms = side.full() if case == "copy" else side.incremental()
    found = writers.end()
    side.shell.run("rm -f /a/dirty; sync")
    return {name: ms + stopped_ms for name, ms in found.items()}


def measure(b, v, rounds):
    """{(side, case): [{writer: ms}]}; the most memory in MiB"""
    sides = [Ours(b)] + ([Theirs(b, v)] if v else [])
    results = {}
    for side in sides:
        guest_prepare(side.shell)
        side.full()
        side.incremental()  # programs and caches are warm
        side.rest()
    for i in range(rounds):
        for case in ("none", "idle", "dirty", "copy"):
            for side in sides:
                side.wake()
                row = once(side, case)
                if case == "copy":
                    side.incremental()  # what it overwrote is not the next round's
                side.rest()
                results.setdefault((side.name, case), []).append(row)
                print(f"{i + 1} {case:6} {side.name:14} " + " ".join(f"{name} {ms:.0f}" for name, ms in row.items()) + " ms",
                      file=sys.stderr)
    sides[0].wake()
    with memory.Memory(bench.BUILD) as m:
        sides[0].full()
    return results, m.most_mib


def report(case, metric, value, unit, n, baseline=None, than=None, goal=None, met=None):
    line = {"bench": "backup-stall", "case": case, "metric": metric, "value": round(value, 1), "unit": unit, "n": n}
    if baseline:
        line.update(baseline=baseline, baseline_value=round(than, 1), ratio=round(than / value, 2) if value else None)
    if goal:
        line.update(goal=goal, met=met)
    print(json.dumps(line), flush=True)
    print(f"{case:6} {metric:32} {value:8.1f} {unit:4}" + (f" against {than:8.1f} ({baseline})" if baseline else "") +
          (f"  goal {goal}: {'met' if met else 'MISSED'}" if goal else ""), file=sys.stderr)


def tell(results, most_mib, rounds):
    for case in ("none", "idle", "dirty", "copy"):
        ours, theirs = results[("ballast", case)], results.get(("virtnbdbackup", case))
        for writer in WRITERS:
            for metric, of in (("median", statistics.median), ("worst", max)):
                value = of(row[writer] for row in ours)
                goal = GOALS_MS.get(case) if metric == "median" else None
                report(case, f"longest stall, {writer}, {metric}", value, "ms", rounds, "virtnbdbackup -z" if theirs else None,
                       of(row[writer] for row in theirs) if theirs else None, goal and f"<= {goal} ms", goal and value <= goal)
    report("copy", "most PSS", most_mib, "MiB", 1, goal="< 64 MiB", met=most_mib < 64)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
    options = parser.parse_args()
    disks.need_tools()
    tempfile.tempdir = options.directory
    bench.say = lambda text: print(text, file=sys.stderr)  # stdout is for results
    why_not = virtnbd.missing()
    if why_not:
        print(why_not, file=sys.stderr)
    with bench.Bench() as b:
        if why_not:
            results, most_mib = measure(b, None, options.rounds)
        else:
            with virtnbd.Virtnbd(b.directory) as v:
                results, most_mib = measure(b, v, options.rounds)
        tell(results, most_mib, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
