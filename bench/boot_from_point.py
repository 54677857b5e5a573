#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""BENCH=boot-from-point: from the command until a guest runs from a point of the repository.

A guest with two disks (tests/live; 512 MiB of noise on them) is backed up and ends. Then, in turns,

    ballast    ballast backup boot: straight from the repository (nbdkit, a throw-away overlay), ballastd running
    restore    ballast backup restore of both disks, then the same QEMU from the restored images

kernel: until the guest's kernel has written its first line to the serial console; QEMU has started before that, so this is
more than what the goal asks for. agent: until qemu-guest-agent answers; most of it is the guest's own boot, emulated where there is
no KVM. Ending the guest and keeping the result count in ballast's time.

    /usr/bin/python3 bench/boot_from_point.py [--rounds N] [--directory DIR]
"""
import argparse
import json
import os
import shutil
import socket
import statistics
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "live"))
import bench  # noqa: E402
import disks  # noqa: E402
import vm  # noqa: E402

GUEST = "p"
DISK_MIB, NOISE_MIB = 448, 256
FIRST_LINE = "Linux version"
KERNEL_OPTIONS = "ignore_loglevel earlyprintk=ttyS0"
ASK_SEC = 1  # as ballast backup boot does: an agent that isn't up yet loses the question
GOAL_SEC = 2


def timed(function, *arguments):
    begun = time.monotonic()
    function(*arguments)
    return time.monotonic() - begun


def wait_kernel(guest):
    while FIRST_LINE not in guest.console():
        if not guest.is_running():
            raise OSError(f"the restored guest ended: {guest.console()}")
        time.sleep(0.005)


def wait_agent(guest, path):
    channel = vm.Channel(path)
    channel.socket.settimeout(ASK_SEC)
    rest = b""
    while b'{"return": 7}' not in rest:
        if not guest.is_running():
            raise OSError(f"the restored guest ended: {guest.console()}")
        channel.socket.sendall(b'\xff{"execute":"guest-sync-delimited","arguments":{"id":7}}\n')
        try:
            rest += channel.socket.recv(4096)
        except socket.timeout:
            pass
    channel.close()


class Boots:
    def __init__(self, b):
        self.b, self.number = b, 0
        guest, = b.boot((GUEST, {"disks": disks.images(b, GUEST, size_mib=DISK_MIB), "kernel_options": KERNEL_OPTIONS}))
        for path in ("/a/noise", "/b/noise"):
            guest.shell.run(f"stall dirty {path} {NOISE_MIB} && sync")
        self.repository = disks.repository(b)
        self.daemon = b.daemon(disks.config(b, self.repository))
        self.daemon.wait_for(GUEST, quiet=True)
        done = self.daemon.cli("backup", "run", GUEST, "--json", check_code=0)
        self.point = json.loads(done.stdout)["jobs"][0]["point"]
        guest.kill()
        bench.eventually(lambda: not self.daemon.guest(GUEST), None)

    def backup(self, *words):
        return self.daemon.cli("backup", *words, "--repository", self.repository, check_code=0)

    def from_point(self, expect):
        self.backup("boot", self.point, *(("--expect", expect) if expect else ()))

    def restored(self, expect):
        """The command, then QEMU; what follows is not timed."""
        self.number += 1
        directory = os.path.join(self.b.directory, f"restored{self.number}")
        os.mkdir(directory)
        images = [os.path.join(directory, f"vd{letter}.raw") for letter in "ab"]
        for image in images:
            self.backup("restore", self.point, os.path.basename(image).split(".")[0], image)
        guest = self.b.start_guest(f"r{self.number}", monitor=False, guests_dir=directory, disks=images, kernel_options=KERNEL_OPTIONS)
        if expect:
            wait_kernel(guest)
        else:
            wait_agent(guest, os.path.join(directory, f"r{self.number}.qga"))
        return guest, directory

    def time_restored(self, expect):
        begun = time.monotonic()
        guest, directory = self.restored(expect)
        seconds = time.monotonic() - begun
        guest.kill()
        shutil.rmtree(directory)
        return seconds


def report(case, ours, theirs, goal_sec=None):
    value, than = statistics.median(ours), statistics.median(theirs)
    ratio = statistics.median(y / x for x, y in zip(ours, theirs))
    line = {"bench": "boot-from-point", "case": case, "metric": "median", "value": round(value, 2), "unit": "s", "n": len(ours),
            "baseline": "restore, then boot", "baseline_value": round(than, 2), "ratio": round(ratio, 2)}
    if goal_sec:
        line.update(goal=f"<= {goal_sec} s", met=value <= goal_sec)
    print(json.dumps(line), flush=True)
    print(f"{case:7} {value:6.2f} s [{min(ours):.2f}-{max(ours):.2f}] against {than:6.2f} s [{min(theirs):.2f}-{max(theirs):.2f}]"
          f" (restore, then boot)" + (f"  goal {line['goal']}: {'met' if line['met'] else 'MISSED'}" if goal_sec else ""),
          file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
    options = parser.parse_args()
    disks.need_tools()
    tempfile.tempdir = options.directory
    bench.say = lambda text: print(text, file=sys.stderr)  # stdout is for results
    with bench.Bench() as b:
        boots = Boots(b)
        for case, expect, goal in (("kernel", FIRST_LINE, GOAL_SEC), ("agent", None, None)):
            ours, theirs = [], []
            for _ in range(options.rounds):
                ours.append(timed(boots.from_point, expect))
                theirs.append(boots.time_restored(expect))
            report(case, ours, theirs, goal)
    return 0


if __name__ == "__main__":
    sys.exit(main())
