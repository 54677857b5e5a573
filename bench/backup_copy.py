#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""BENCH=backup-copy: what a full backup of one disk costs.

The same snapshot (copy-before-write filter and snapshot-access, as in a real backup) of a 1 GiB disk with 480 MiB of files
of this machine's /usr is read by

    ballast raw     QEMU pushes into ballast-copy, which writes a raw file: receiving and putting together, no hash, no zstd
    ballast         the same into a new repository: SHA-256 and zstd as well
    nbdcopy         from an NBD export of QEMU's into a raw file
    qemu-img        convert -W -m 16, the same

    virtnbdbackup   -z (lz4) of a libvirt domain with the same content, where root and the packages are there (virtnbd.py)

one after the other, several rounds, all targets on one file system (tmpfs where there is one: processors are measured, not
disks). CPU seconds are those of QEMU and of the other side together. Memory is the sum of both processes' PSS (memory.py).

    /usr/bin/python3 bench/backup_copy.py [--rounds N] [--directory DIR]
"""
import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import copy_bench  # noqa: E402
import memory  # noqa: E402
import virtnbd  # noqa: E402
from copy_bench import MIB, run  # noqa: E402

BUILD = os.path.abspath(os.environ.get("BALLAST_BUILD", os.path.join(ROOT, "build")))
SIZE = 1024 * MIB
DATA = 480 * MIB
PART = 16 * MIB  # written at once: qemu-io keeps it in memory
TICK = os.sysconf("SC_CLK_TCK")


def files_of_usr(path):
    """What a guest's disk holds: files, one after the other."""
    with open(path, "wb") as out:
        for directory, _, names in sorted(os.walk("/usr")):
            for name in sorted(names):
                file = os.path.join(directory, name)
                if os.path.islink(file) or not os.path.isfile(file):
                    continue
                try:
                    with open(file, "rb") as f:
                        data = f.read(8 * MIB)
                except OSError:
                    continue
                out.write(data + bytes(-len(data) % 4096))
                if out.tell() >= DATA:
                    out.truncate(DATA)
                    return
        missing = DATA - out.tell()
        out.write(os.urandom(missing))  # a small /usr: the rest does not compress


def process_cpu(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Bench(copy_bench.Bench):
    def setup(self):
        self.q = self.qemu({"vda": SIZE})
        noise = os.path.join(self.directory, "files")
        files_of_usr(noise)
        part = os.path.join(self.directory, "part")
        with open(noise, "rb") as f:
            for at in range(0, DATA, PART):
                with open(part, "wb") as g:
                    g.write(f.read(PART))
                self.q.io("vda", f"write -s {part} {2 * at // MIB}M {PART // MIB}M")
        os.unlink(noise)
        fleece = self.image("fleece", SIZE)
        self.q.ask("blockdev-add", {"driver": "qcow2", "node-name": "fl", "file": {"driver": "file", "filename": fleece}})
        self.q.ask("blockdev-add", {"driver": "copy-before-write", "node-name": "cbw", "file": "vda", "target": "fl"})
        self.q.ask("qom-set", {"path": "/machine/peripheral/dev-vda/virtio-backend", "property": "drive", "value": "cbw"})
        self.q.ask("blockdev-add", {"driver": "snapshot-access", "node-name": "acc", "file": "cbw"})
        self.target = os.path.join(self.directory, "target.raw")
        self.reference = None
        self.nbd = os.path.join(self.directory, "nbd.sock")
        self.q.ask("nbd-server-start", {"addr": {"type": "unix", "data": {"path": self.nbd}}})
        self.q.ask("block-export-add", {"type": "nbd", "id": "e", "node-name": "acc", "name": "acc"})
        self.url = f"nbd+unix:///acc?socket={self.nbd}"

    def measured(self, function, qemu=None):
        """(wall seconds, CPU seconds of QEMU, of the other side)"""
        pid = qemu or self.q.process.pid
        begun = (time.monotonic(), process_cpu(pid), children_cpu())
        function()
        return (time.monotonic() - begun[0], process_cpu(pid) - begun[1], children_cpu() - begun[2])

    def check(self):
        """All raw targets are the same; the first one is the reference."""
        if self.reference is None:
            self.reference = self.target + ".reference"
            os.rename(self.target, self.reference)
        else:
            copy_bench.same(self.reference, self.target)
            os.unlink(self.target)

    def push(self, **target):
        if "raw" in target:
            c = self.copy([self.disk("vda", SIZE, raw=target["raw"])], repository=None)
        else:
            c = self.copy([self.disk("vda", SIZE)], repository=target["repository"])
        self.q.attach("vda", c.socket("vda"))
        self.q.ask("blockdev-backup", {"job-id": "job-vda", "device": "acc", "target": "tg-vda", "sync": "full",
                                       "auto-dismiss": False, "x-perf": {"max-workers": 8}})
        error = self.q.end("vda")
        assert error == "", error
        return c.finish()

    def ballast_raw(self):
        self.push(raw=self.target)

    def ballast(self):
        repository = os.path.join(self.directory, f"r{self.points}")
        run(self.tool, "init", repository, str(MIB))
        self.last = (repository, self.push(repository=repository))

    def nbdcopy(self):
        run("nbdcopy", "--flush", self.url, self.target)

    def qemu_img(self):
        run("qemu-img", "convert", "-n", "-W", "-m", "16", "-f", "raw", "-O", "raw", self.url, self.target)

    def virtnbdbackup(self, v):
        out = os.path.join(self.directory, "virt-out")
        v.backup(out)
        size_mib = int(run("du", "-sk", out).split()[0]) / 1024
        run("rm", "-rf", out)
        return size_mib

    def against_virtnbdbackup(self, rounds):
        """Rounds of both in turns: rows of ballast, of virtnbdbackup, MiB that it stored; None: it can't be measured here."""
        why_not = virtnbd.missing()
        if why_not:
            print(why_not, file=sys.stderr)
            return None
        image = os.path.join(self.directory, "virt.qcow2")
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", self.reference, image)
        ours, theirs, sizes = [], [], []
        with virtnbd.Virtnbd(self.directory, image) as v:
            for i in range(rounds + 1):
                theirs.append(self.measured(lambda: sizes.append(self.virtnbdbackup(v)), v.qemu_pid))
                ours.append(self.measured(self.ballast))
                run("rm", "-rf", self.last[0])
        return ours[1:], theirs[1:], sizes[-1]

    def restored(self):
        """The repository's last point is right, and how many bytes it takes."""
        repository, point = self.last
        out = self.target + ".restored"
        run(self.tool, "restore", repository, copy_bench.GUEST, point, "vda", out)
        copy_bench.same(self.reference, out)
        os.unlink(out)
        return int(run("du", "-sk", repository).split()[0]) / 1024


def report(case, metric, value, unit, n, baseline, than, goal=None, met=None):
    line = {"bench": "backup-copy", "case": case, "metric": metric, "value": round(value, 3), "unit": unit, "n": n,
            "baseline": baseline, "baseline_value": round(than, 3), "ratio": round(than / value, 2) if value else None}
    if goal:
        line.update(goal=goal, met=met)
    print(json.dumps(line), flush=True)
    print(f"{case:12} {metric:18} {value:8.2f} {unit:4} against {than:8.2f} ({baseline})" +
          (f"  goal {goal}: {'met' if met else 'MISSED'}" if goal else ""), file=sys.stderr)


def tell(results, rounds):
    median = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in results.items()}
    for name, rows in results.items():
        wall, cpu = [r[0] for r in rows], [r[1] + r[2] for r in rows]
        print(f"{name:12} wall {median[name][0]:.2f} [{min(wall):.2f}-{max(wall):.2f}] s  CPU QEMU {median[name][1]:.2f} + "
              f"{median[name][2]:.2f} = {statistics.median(cpu):.2f} [{min(cpu):.2f}-{max(cpu):.2f}] s", file=sys.stderr)

    def paired(a, b, of):
        """Median over the rounds of the ratio within one round: what disturbs one round disturbs both."""
        return statistics.median(of(x) / of(y) for x, y in zip(results[a], results[b]))

    def cpu_of(row):
        return row[1] + row[2]

    def wall_of(row):
        return row[0]

    for other in ("nbdcopy", "qemu-img"):
        for metric, of, most in (("CPU", cpu_of, 1.1), ("wall", wall_of, 1.3)):
            ratio = paired("ballast raw", other, of)
            values = [statistics.median(of(r) for r in results[n]) for n in ("ballast raw", other)]
            goal = (f"<= {most} x", ratio <= most) if other == "nbdcopy" else (None, None)
            report("no hash", metric, values[0], "s", rounds, other, values[1], *goal)
    for metric, of in (("CPU", cpu_of), ("wall", wall_of)):
        values = [statistics.median(of(r) for r in results[n]) for n in ("ballast", "nbdcopy")]
        report("hash + zstd", metric, values[0], "s", rounds, "nbdcopy, which does neither", values[1])


def tell_virtnbd(ours, theirs, rounds):
    name = "virtnbdbackup -z"
    for metric, of in (("CPU", lambda r: r[1] + r[2]), ("wall", lambda r: r[0])):
        a, than = (statistics.median(of(r) for r in rows) for rows in (ours, theirs))
        met = statistics.median(of(x) / of(y) for x, y in zip(ours, theirs)) < 1
        report("hash + zstd", metric, a, "s", rounds, name, than, *(("less CPU", met) if metric == "CPU" else (None, None)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--directory", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
    options = parser.parse_args()
    copy_bench.need("qemu-system-x86_64", "qemu-img", "nbdcopy", "cmp")
    tempfile.tempdir = options.directory
    results = {"ballast raw": [], "nbdcopy": [], "qemu-img": [], "ballast": []}
    with Bench(os.path.join(BUILD, "src/copy/ballast-copy"), os.path.join(BUILD, "tests/unit/repo_tool")) as b:
        b.setup()
        for i in range(options.rounds + 1):
            for name, function in (("nbdcopy", b.nbdcopy), ("ballast raw", b.ballast_raw), ("qemu-img", b.qemu_img),
                                   ("ballast", b.ballast)):
                if name == "qemu-img":
                    run("truncate", "-s", str(SIZE), b.target)
                row = b.measured(function)
                if i > 0:  # the first round warms caches up
                    results[name].append(row)
                if name != "ballast":
                    b.check()
                else:
                    run("rm", "-rf", b.last[0])
        with memory.Memory(BUILD) as m:
            b.ballast()
        stored_mib = b.restored()
        tell(results, options.rounds)
        report("memory", "most PSS", m.most_mib, "MiB", 1, "goal", 64, "< 64 MiB", m.most_mib < 64)
        report("size", "repository", stored_mib, "MiB", 1, "data on the disk", DATA / MIB)
        virt = b.against_virtnbdbackup(options.rounds)
        if virt:
            tell_virtnbd(virt[0], virt[1], options.rounds)
            report("size", "repository", stored_mib, "MiB", 1, "virtnbdbackup -z", virt[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
