#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: test_verify.py BALLASTD BALLAST REPO_FILL LIBEXEC-DIRECTORY
Damage in a repository is told by the notify command: found by schedule, or by somebody's `ballast backup verify`, also where
no file can be written any more, neither state nor log."""
import glob
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time

BALLASTD, BALLAST, FILL, LIBEXEC = sys.argv[1:5]
LONG_SEC = 100  # ends what hangs; nothing here is timed
TIMES = [f"20260101T0000{n:02}Z" for n in range(60)]


class Bench:
    def __init__(self, directory):
        self.directory, self.points = directory, 0
        self.repository, self.fifo = f"{directory}/repository", f"{directory}/told"
        self.socket, self.config = f"{directory}/run/api.sock", f"{directory}/ballast.yaml"
        self.environment = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS") or k == "PATH"}
        self.environment.update(HOME=directory, XDG_RUNTIME_DIR=directory, XDG_CONFIG_HOME=directory, XDG_STATE_HOME=directory,
                                BALLAST_LIBEXEC_DIR=LIBEXEC)
        os.mkfifo(self.fifo)
        self.reader = os.open(self.fifo, os.O_RDWR)  # so that it has no end
        self.notify = f"{directory}/notify"
        with open(self.notify, "w") as f:
            f.write(f'#!/bin/sh\necho "$BALLAST_EVENT $BALLAST_STATE $BALLAST_SEVERITY $BALLAST_TEXT" >{self.fifo}\n')
        os.chmod(self.notify, 0o755)
        self.run("backup", "init", "--repository", self.repository, "--chunk-size", "64KiB")
        self.image = f"{directory}/image"
        with open(self.image, "wb") as f:
            f.write(os.urandom(4 << 16))
        self.fill()
        self.process = None

    def run(self, *words, code=0):
        done = subprocess.run([BALLAST, "--socket", self.socket, *words], capture_output=True, text=True, env=self.environment,
                              check=False)
        assert done.returncode == code, (words, done)
        return done.stdout

    def fill(self):
        subprocess.run([FILL, self.repository, "g", TIMES[self.points], "-", f"vda={self.image}"], check=True,
                       stdout=subprocess.DEVNULL)
        self.points += 1

    def damage(self):
        """Other content in one chunk; returns its file."""
        path = max((path for path in glob.glob(f"{self.repository}/chunks/*/*") if not path.endswith(".bad")), key=os.path.getsize)
        with open(path, "r+b") as f:
            f.seek(os.path.getsize(path) // 2)
            f.write(b"damage")
        return path

    def start(self, keys="", is_full=False):
        """is_full: no file takes a byte any more as soon as it runs, and the log never does."""
        with open(self.config, "w") as f:
            f.write(f"backup: {{repository: {self.repository}{keys}}}\nnotify: {{command: {self.notify}}}\n")
        with open("/dev/full" if is_full else f"{self.directory}/log", "w") as log:
            self.process = subprocess.Popen([BALLASTD, "--config", self.config, "--runtime-dir", f"{self.directory}/run",
                                             "--state-dir", f"{self.directory}/state"], env=self.environment,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
        self.eventually(lambda: self.asked() is not None, "ballastd answers")
        if is_full:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (0, 0))

    def stop(self):
        self.process.terminate()
        assert self.process.wait(LONG_SEC) == 0

    def asked(self):
        done = subprocess.run(["curl", "-s", "--unix-socket", self.socket, "http://localhost/v1/backup"], capture_output=True, check=False)
        return json.loads(done.stdout)["verify"] if done.returncode == 0 else None

    def told(self):
        """The next message."""
        line, end = b"", time.monotonic() + LONG_SEC
        os.set_blocking(self.reader, False)
        while not line.endswith(b"\n"):
            assert time.monotonic() < end, f"nothing was told: {open(self.directory + '/log').read()}"
            try:
                line += os.read(self.reader, 1)
            except BlockingIOError:
                time.sleep(0.05)
        return line.decode().strip()

    def is_quiet(self):
        os.set_blocking(self.reader, False)
        try:
            return not os.read(self.reader, 1)
        except BlockingIOError:
            return True

    @staticmethod
    def eventually(condition, what):
        end = time.monotonic() + LONG_SEC
        while not condition():
            assert time.monotonic() < end, f"never: {what}"
            time.sleep(0.05)


def test(b):
    # by hand: told within seconds, once; healed: told, too
    b.start()
    b.run("backup", "verify", "--repository", b.repository)
    b.eventually(lambda: b.asked()["last_sec"], "ballastd knows of it")
    path = b.damage()
    b.run("backup", "verify", "--repository", b.repository, code=1)
    line = b.told()
    assert line.startswith("verify-failed begin critical 1 chunks of the backups in") and b.repository in line, line
    assert b.asked()["damaged_chunks"] == 1 and b.asked()["damaged_disks"] == 1, b.asked()
    b.fill()  # stores it again
    assert os.path.exists(path)
    b.run("backup", "verify", "--repository", b.repository)
    assert b.told().startswith("verify-failed end ok no damage"), "healed"
    assert b.is_quiet()
    b.stop()

    # by schedule, with a disk that is full: each write to a file fails, and the log's, too
    b.start(', verify-at: "*:*:0/1", verify-sample: 100 %', is_full=True)
    b.damage()
    line = b.told()
    assert line.startswith("verify-failed begin critical 1 chunks"), f"on a full disk: {line}"
    b.run("notify-test", code=0)
    b.eventually(lambda: b.told().startswith("test "), "other messages are sent, too")
    os.rename(b.repository, b.repository + ".away")
    b.eventually(lambda: "can't be verified" in b.told(), "a repository that is gone is told")
    b.stop()
    assert not os.path.exists(b.repository), "nothing is made in its place"


with tempfile.TemporaryDirectory(prefix="ballast-verify-") as directory:
    bench = Bench(directory)
    try:
        test(bench)
    finally:
        if bench.process and bench.process.poll() is None:
            bench.process.kill()
            bench.process.wait()
