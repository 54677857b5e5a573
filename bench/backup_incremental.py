#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""BENCH=backup-incremental: an incremental backup, from the command to durable.

A 1 GiB disk with 480 MiB of files of this machine's /usr; in each round the same 32 pieces of 64 KiB, spread over the disk,
are overwritten with noise; then

    ballast         ballast backup run --freeze never: ballastd, ballast-copy, a repository
    virtnbdbackup   -l inc -z of a libvirt domain with the same content (virtnbd.py)

each back it up. Neither guest has an agent, so nobody waits for a freeze. Everything lies on one file system (tmpfs where
there is one). At the end the last point is restored and compared with the disk.

    /usr/bin/python3 bench/backup_incremental.py [--rounds N] [--directory DIR]
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

import backup_copy
import memory
import virtnbd
from backup_copy import DATA, ROOT, SIZE
from copy_bench import LONG_SEC, eventually, need, run, same

sys.path.insert(0, os.path.join(ROOT, "tests", "live"))
import vm  # noqa: E402

BUILD = backup_copy.BUILD
PIECES, PIECE = 32, 64 << 10


class Ballast:
    """ballastd with one guest that boots nothing."""

    def __init__(self, directory, image):
        self.directory = os.path.join(directory, "ballast")
        self.guests = os.path.join(self.directory, "guests")
        os.makedirs(self.guests)
        self.repository = os.path.join(self.directory, "repository")
        self.environment = {"PATH": os.environ["PATH"], "HOME": self.directory,
                            "BALLAST_LIBEXEC_DIR": os.path.join(BUILD, "src/copy")}
        self.cli("backup", "init")
        mine = os.path.join(self.directory, "mine.qmp")
        self.processes = [vm.spawn(
            ["qemu-system-x86_64", "-name", "g", "-nodefaults", "-display", "none", "-accel", "tcg", "-m", "64", "-M", "q35",
             "-qmp", f"unix:{mine},server=on,wait=off", "-qmp", f"unix:{self.guests}/g.qmp,server=on,wait=off",
             "-blockdev", json.dumps({"driver": "qcow2", "node-name": "vda", "discard": "unmap",
                                      "file": {"driver": "file", "filename": image}}),
             "-device", "virtio-blk-pci,drive=vda,id=vda"], os.path.join(self.directory, "qemu.log"))]
        self.monitor = vm.Monitor(mine)
        configuration = os.path.join(self.directory, "ballast.yaml")
        with open(configuration, "w", encoding="utf-8") as f:
            f.write(f"host: {{reserve: 64 MiB}}\ndiscover:\n  - qmp-directory: {self.guests}\n"
                    f"backup: {{repository: {self.repository}}}\n")
        self.processes.append(vm.spawn(
            [os.path.join(BUILD, "src/daemon/ballastd"), "--config", configuration,
             "--runtime-dir", os.path.join(self.directory, "run"), "--state-dir", os.path.join(self.directory, "state")],
            os.path.join(self.directory, "log"), env=self.environment))

    def cli(self, *words, code=(0, 4)):
        where = ("--repository", self.repository) if words[:2] != ("backup", "run") and words[0] == "backup" else ()
        done = subprocess.run([os.path.join(BUILD, "src/cli/ballast"),
                               "--socket", os.path.join(self.directory, "run/api.sock"), *words, *where], capture_output=True, text=True, timeout=LONG_SEC, check=False, env=self.environment)
        if code and done.returncode not in code:
            raise OSError(f"ballast {words}: {done.returncode} {done.stdout}{done.stderr}")
        return done

    def known(self):
        done = self.cli("status", "--json", code=None)
        return done.returncode in (0, 4) and any(g["name"] == "g" for g in json.loads(done.stdout)["guests"])

    def backup(self):
        return json.loads(self.cli("backup", "run", "g", "--freeze", "never", "--json").stdout)["jobs"][0]

    def write(self, command):
        self.monitor.ask("human-monitor-command",
                         command_line=f'qemu-io -d /machine/peripheral/vda/virtio-backend "{command}"')

    def end(self):
        self.monitor.ask("quit")
        self.processes[0].wait(LONG_SEC)
        for process in self.processes:
            vm.end(process)


class Libvirt(virtnbd.Virtnbd):
    def write(self, command):
        self.run("virsh", "qemu-monitor-command", virtnbd.NAME, "--hmp",
                 f'qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend "{command}"')

    def backup_level(self, level):
        self.backup(os.path.join(self.directory, "out"), level)


def timed(function, *arguments):
    begun = time.monotonic()
    result = function(*arguments)
    return time.monotonic() - begun, result


def measure(directory, rounds):
    """Seconds of ballast, of virtnbdbackup (None: not measured here), the last job of ballast, its most PSS in MiB."""
    files, image, other = (os.path.join(directory, name) for name in ("files", "vda.qcow2", "virt.qcow2"))
    backup_copy.files_of_usr(files)
    run("truncate", "-s", str(SIZE), files)
    for path in (image, other):
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", files, path)
    os.unlink(files)
    why_not = virtnbd.missing()
    if why_not:
        print(why_not, file=sys.stderr)
    ours, theirs, job = [], [], None
    b = Ballast(directory, image)
    v = None if why_not else Libvirt(directory, other)
    try:
        if v:
            v.__enter__()
            v.backup_level("full")
        eventually(b.known, "ballastd knows the guest")
        b.backup()
        noise = os.path.join(directory, "noise")
        for i in range(rounds + 1):
            with open(noise, "wb") as f:
                f.write(random.Random(i).randbytes(PIECE))
            os.chmod(noise, 0o644)
            for piece in range(PIECES):
                command = f"write -s {noise} {piece * (DATA // PIECES)} {PIECE}"
                b.write(command)
                if v:
                    v.write(command)
            seconds, job = timed(b.backup)
            ours.append(seconds)
            if v:
                theirs.append(timed(v.backup_level, "inc")[0])
        with memory.Memory(BUILD) as m:
            job = b.backup()
        b.end()
        reference, restored = os.path.join(directory, "reference.raw"), os.path.join(directory, "restored.raw")
        run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, reference)
        b.cli("backup", "restore", job["point"], "vda", restored)
        same(reference, restored)
    finally:
        for process in b.processes:
            vm.end(process)
        if v:
            v.__exit__()
    return ours[1:], theirs[1:] if v else None, job, m.most_mib  # the first round warms caches up


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
    options = parser.parse_args()
    need("qemu-system-x86_64", "qemu-img", "cmp")
    with tempfile.TemporaryDirectory(prefix="ballast-incremental-", dir=options.directory) as directory:
        os.chmod(directory, 0o755)
        ours, theirs, job, most_mib = measure(directory, options.rounds)
    print(f"ballast {[round(s, 2) for s in ours]} s, virtnbdbackup {[round(s, 2) for s in theirs or []]} s; {job}", file=sys.stderr)
    value = statistics.median(ours)
    line = {"bench": "backup-incremental", "case": f"{PIECES} x 64 KiB of 1 GiB", "metric": "median", "value": round(value, 3),
            "unit": "s", "n": len(ours)}
    if theirs:
        than = statistics.median(theirs)
        ratio = statistics.median(y / x for x, y in zip(ours, theirs))
        line.update(baseline="virtnbdbackup -l inc -z", baseline_value=round(than, 3), ratio=round(ratio, 2), goal=">= 3 x faster",
                    met=ratio >= 3)
    print(json.dumps(line), flush=True)
    print(json.dumps({"bench": "backup-incremental", "case": "memory", "metric": "most PSS", "value": round(most_mib, 1), "unit": "MiB",
                      "n": 1, "goal": "< 64 MiB", "met": most_mib < 64}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
