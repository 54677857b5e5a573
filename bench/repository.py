#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""BENCH=repository: what the points of two guests take, and what removing them costs.

Two guests made from one image (256 MiB of files of this machine's /usr) with data of their own, 8 points each. What happens
between two points, the same in all stores (guest_days.py):

    ext4        a file system: packages are upgraded, logs and files grow, a database changes pages, old files go, fstrim
    scattered   no file system: 24 places of 4 KiB change all over the system, 2 MiB of new data, 4 MiB are trimmed. The worst
                that large chunks can meet

    ballast         the repository's own library (tests/lib/repo_fill.c), as ballast-copy does; chunks of 1 MiB, which is the
                    default, and of 256 KiB
    virtnbdbackup   -z (lz4), a full and 7 incrementals of each guest, really run: libvirt domains with the same content that
                    boot nothing and are written to by their monitors (virtnbd.py). Its data files are counted, nothing else

Without root, libvirt or loop devices, what needs them is left out and said.

    /usr/bin/python3 bench/repository.py [--directory DIR]
"""
import argparse
import glob
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import guest_days
import virtnbd

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(os.environ.get("BALLAST_BUILD", os.path.join(ROOT, "build")))
sys.path.insert(0, os.path.join(ROOT, "tests", "live"))
import vm  # noqa: E402

BALLAST = os.path.join(BUILD, "src", "cli", "ballast")
FILL = os.path.join(BUILD, "tests", "unit", "repo_fill")
POINTS, GUESTS = 8, ("one", "two")
CHUNK_SIZES = ("1 MiB", "256 KiB")
QEMU_NAMESPACE = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
DEVICE = "/machine/peripheral/virtio-disk0/virtio-backend"


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Repository:
    def __init__(self, directory, chunk_size):
        self.chunk_size, self.path = chunk_size, os.path.join(directory, "repo-" + chunk_size.replace(" ", ""))
        self.full_cpu = None
        self.ballast("init", "--chunk-size", chunk_size)

    def ballast(self, *words):
        """Its answer, seconds, seconds of processor."""
        begun = (time.monotonic(), children_cpu())
        done = subprocess.run([BALLAST, "backup", *words, "--repository", self.path, "--json"], capture_output=True, text=True, check=True)
        return json.loads(done.stdout), time.monotonic() - begun[0], children_cpu() - begun[1]

    def store(self, guest, n, image):
        begun = children_cpu()
        parent = f"2026010{n}T000000Z" if n else "-"
        subprocess.run([FILL, self.path, guest, f"2026010{n + 1}T000000Z", parent, "vda=" + image], check=True, stdout=subprocess.DEVNULL)
        if self.full_cpu is None:
            self.full_cpu = children_cpu() - begun  # a first full, all of it new

    def chunks(self):
        return {p: (os.stat(p).st_ino, os.stat(p).st_mtime_ns, os.stat(p).st_size) for p in glob.glob(self.path + "/chunks/??/*")}


class Chain:
    """One guest as a libvirt domain, backed up by virtnbdbackup."""

    def __init__(self, v, guest, image):
        self.v, self.name = v, f"ballast-{guest}"
        self.out = os.path.join(v.directory, "out-" + guest)
        disk, sockets = os.path.join(v.directory, guest + ".qcow2"), os.path.join(v.directory, "sockets-" + guest)
        os.mkdir(sockets)
        os.chmod(sockets, 0o777)
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", image, disk], check=True)
        xml = virtnbd.domain_xml(self.name, virtnbd.disk_xml(disk, "vda"))
        xml = xml.replace("<domain ", f"<domain {QEMU_NAMESPACE} ").replace(
            "</domain>", f"<qemu:commandline><qemu:arg value='-qmp'/><qemu:arg value='unix:{sockets}/qmp,server=on,wait=off'/>"
            "</qemu:commandline></domain>")
        v.start(self.name, xml, "--paused")
        self.monitor = vm.Monitor(f"{sockets}/qmp")
        self.piece = os.path.join(sockets, "piece")
        v.backup(self.out, "full", self.name)

    def command(self, command):
        said = self.monitor.ask("human-monitor-command", command_line=f'qemu-io -d {DEVICE} "{command}"')
        if "ailed" in said or "rror" in said:
            raise OSError(f"qemu-io {command}: {said}")

    def next_point(self, runs, disk):
        for offset, length in runs:
            data = disk[offset:offset + length]
            if not any(data):
                self.command(f"discard {offset} {length}")
                continue
            with open(self.piece, "wb") as f:
                f.write(data)
            self.command(f"write -s {self.piece} {offset} {length}")
        self.v.backup(self.out, "inc", self.name)

    def stored(self):
        return sum(os.path.getsize(p) for p in glob.glob(self.out + "/*.data"))

    def end(self):
        self.monitor.close()
        self.v.forget(self.name)
        shutil.rmtree(self.out)


def report(case, metric, value, unit, baseline=None, than=None, goal=None, met=None):
    line = {"bench": "repository", "case": case, "metric": metric, "value": value, "unit": unit, "n": 1, "baseline": baseline,
            "baseline_value": than, "ratio": round(than / value, 3) if than and value else None}
    if goal:
        line.update(goal=goal, met=met)
    print(json.dumps(line), flush=True)
    share = f" against {than} ({baseline}): {100 * value / than:.0f} %" if than else ""
    print(f"{case:20} {metric:44} {value:>12} {unit:5}{share}" + (f"  goal {goal}: {'met' if met else 'MISSED'}" if goal else ""), file=sys.stderr)


def fill(name, days, directory, repositories, v):
    """All points of both guests; the bytes of virtnbdbackup's chains, or None."""
    image, stored = os.path.join(directory, "image"), 0
    for guest in GUESTS:
        before, chain = None, None
        for n, disk in enumerate(days(guest, POINTS)):
            with open(image, "wb") as f:
                f.write(disk)
            for repository in repositories:
                repository.store(guest, n, image)
            if v and n == 0:
                chain = Chain(v, f"{name}-{guest}", image)
            elif v:
                chain.next_point(guest_days.changed(before, disk), disk)
            before = disk
        if chain:
            stored += chain.stored()
            chain.end()
    return stored or None


def tell(name, repository, chain):
    case = f"{name}, {repository.chunk_size}"
    states = repository.chunks()
    stored = sum(size for _, _, size in states.values())
    report(case, f"stored, {len(GUESTS)} guests x {POINTS} points", stored, "B", chain and "virtnbdbackup -z", chain,
           chain and "<= 60 %", chain and stored <= 0.6 * chain)
    report(case, "chunks", len(states), "files")
    report(case, "CPU of the first full", round(repository.full_cpu, 2), "s")
    answer, seconds, cpu = repository.ballast("verify")
    report(case, "verify", round(seconds, 2), "s")
    report(case, "CPU of verify", round(cpu, 2), "s")
    pruned, seconds, _ = repository.ballast("prune", "--keep", "last=2")
    report(case, f"prune {pruned['removed']} of {len(GUESTS) * POINTS} points", round(seconds, 3), "s", goal="< 1 s", met=seconds < 1)
    swept, seconds, _ = repository.ballast("sweep")
    report(case, f"sweep {swept['removed']} of {swept['chunks']} chunks", round(seconds, 3), "s")
    after = repository.chunks()
    rewritten = sum(states.get(p) != s for p, s in after.items())
    report(case, "rewritten by prune and sweep", rewritten, "files", goal="0", met=rewritten == 0)
    return answer["ok"] and repository.ballast("verify")[0]["ok"]


def run(name, days, directory, v):
    where = os.path.join(directory, name)
    os.mkdir(where)
    repositories = [Repository(where, size) for size in CHUNK_SIZES]
    chain = fill(name, days, where, repositories, v)
    is_whole = all([tell(name, repository, chain) for repository in repositories])
    shutil.rmtree(where)
    return is_whole


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
    parser.add_argument("--case", choices=("ext4", "scattered"))
    options = parser.parse_args()
    why_not, is_whole = virtnbd.missing(), True
    with tempfile.TemporaryDirectory(prefix="ballast-repository-", dir=options.directory) as directory:
        cases = {"scattered": lambda: guest_days.scattered}
        if guest_days.why_no_ext4():
            print(guest_days.why_no_ext4(), file=sys.stderr)
        else:
            cases = {"ext4": lambda: guest_days.Ext4(directory), **cases}
        if why_not:
            print(why_not, file=sys.stderr)
        v = None if why_not else virtnbd.Virtnbd(directory)
        try:
            if v:
                v.__enter__()
            for name in [options.case] if options.case else list(cases):
                is_whole = run(name, cases[name](), directory, v) and is_whole
        finally:
            if v:
                v.__exit__()
    if not is_whole:
        print("the repository is damaged after it", file=sys.stderr)
    return 0 if is_whole else 1


if __name__ == "__main__":
    sys.exit(main())
