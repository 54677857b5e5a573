#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""BENCH=boot-from-point: from the command until a guest runs from a point of the repository.

A guest with two disks (tests/live; 512 MiB of noise on them) is backed up and ends. Then, in turns,

    ballast    ballast backup start: straight from the repository (nbdkit), what it writes goes elsewhere; ballastd runs
    restore    ballast backup restore of both disks, then QEMU from the restored images

started: until QEMU's monitor says that the guest runs; of ballast until the command says so, which asks it, too. agent: until
qemu-guest-agent answers; most of it is the guest's own boot, emulated where there is no KVM.

    /usr/bin/python3 bench/boot_from_point.py [--rounds N] [--directory DIR]
"""
import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
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
ASK_SEC = 0.2  # an agent that isn't up yet loses the question
GOAL_SEC = 2


def wait_started(path):
    monitor = vm.Monitor(path)
    while monitor.ask("query-status")["status"] != "running":
        time.sleep(0.005)
    monitor.close()


def wait_agent(path):
    channel, rest = vm.Channel(path), b""
    channel.socket.settimeout(ASK_SEC)
    end = time.monotonic() + bench.LONG_SEC
    while b'{"return": 7}' not in rest:
        if time.monotonic() > end:
            raise OSError("the guest's agent never answers")
        try:
            channel.socket.send(b'\xff{"execute":"guest-sync-delimited","arguments":{"id":7}}\n', socket.MSG_DONTWAIT)
            answer = channel.socket.recv(4096)
            if not answer:
                raise OSError("the guest ended before its agent answered")
            rest += answer
        except (socket.timeout, BlockingIOError):  # nobody reads there yet
            time.sleep(ASK_SEC / 10)
    channel.close()


class Boots:
    def __init__(self, b):
        self.b, self.number = b, 0
        guest, = b.boot((GUEST, {"disks": disks.images(b, GUEST, size_mib=DISK_MIB)}))
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

    def from_point(self):
        """Seconds until started, until the agent answers."""
        begun = time.monotonic()
        process = subprocess.Popen([bench.CLI, "--socket", self.daemon.socket, "backup", "start", self.point, "again", "--repository",
                                    self.repository, "--json"], stdout=subprocess.PIPE, text=True, env=bench.CLEAN_ENVIRONMENT,
                                   preexec_fn=vm._die_with_parent)  # pylint: disable=protected-access
        try:
            told = json.loads(process.stdout.readline())
            started = time.monotonic() - begun
            wait_agent(told["agent"])
            return started, time.monotonic() - begun
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(bench.LONG_SEC)

    def restored(self):
        self.number += 1
        name, directory = f"r{self.number}", os.path.join(self.b.directory, f"restored{self.number}")
        os.mkdir(directory)
        images = [os.path.join(directory, f"vd{letter}.raw") for letter in "ab"]
        begun = time.monotonic()
        for image in images:
            self.backup("restore", self.point, os.path.basename(image).split(".")[0], image)
        guest = self.b.start_guest(name, monitor=False, guests_dir=directory, disks=images)
        wait_started(f"{guest.directory}/test.qmp")
        started = time.monotonic() - begun
        wait_agent(os.path.join(directory, name + ".qga"))
        answered = time.monotonic() - begun
        guest.kill()
        shutil.rmtree(directory)
        return started, answered


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
        boots, ours, theirs = Boots(b), [], []
        for _ in range(options.rounds):
            ours.append(boots.from_point())
            theirs.append(boots.restored())
    for i, (case, goal) in enumerate((("started", GOAL_SEC), ("agent", None))):
        report(case, [row[i] for row in ours], [row[i] for row in theirs], goal)
    return 0


if __name__ == "__main__":
    sys.exit(main())
