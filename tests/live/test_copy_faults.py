#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_copy_faults.py BALLAST_COPY REPO_TOOL [TEST ...]: whatever happens to ballast-copy or its repository, QEMU's job
ends, QEMU goes on answering (also to what drains its disks), nothing is committed, nothing is left running, and the next
backup is right."""
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import copy_bench  # noqa: E402
from copy_bench import MIB, eventually  # noqa: E402

SIZE = 48 * MIB  # twice the buffers: whoever stands still is noticed
STALL_MS = 1000
SLOW = 8 * MIB   # of a job that is to be caught in the middle


def random_disk(b, iothread=False):
    """A QEMU whose disk is full of what does not compress."""
    q = b.qemu({"vda": SIZE}, iothread=iothread)
    path = os.path.join(b.directory, "noise")
    for at in range(0, SIZE // MIB, 16):
        with open(path, "wb") as f:
            f.write(os.urandom(16 * MIB))
        q.io("vda", f"write -s {path} {at}M 16M")
    return q


def begin(b, q, speed=0, **more):
    c = b.copy([b.disk("vda", SIZE)], stall_ms=STALL_MS, **more)
    q.attach("vda", c.socket("vda"))
    if speed:
        q.start("vda", speed=speed)
        while c.wait("progress")["progress"]["received_bytes"] == 0:
            pass
    return c


def gone(pid):
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), f"process {pid} ends")


def after(b, q, worker=None):
    """All is well again, and the next backup is right."""
    if worker:
        gone(worker)
    assert b.point_list() == [], b.point_list()
    q.alive()
    c = b.copy([b.disk("vda", SIZE)])
    q.push("vda", c)
    point = c.finish()
    q.quit()
    b.check_image("vda", point)


def test_killed(b):
    q = random_disk(b, iothread=True)
    c = begin(b, q, speed=SLOW)
    worker = c.worker()
    c.process.kill()
    assert q.end("vda") != ""
    after(b, q, worker)


def test_worker_killed(b):
    q = random_disk(b)
    c = begin(b, q, speed=SLOW)
    worker = c.worker()
    os.kill(worker, signal.SIGKILL)
    c.fail("the process that writes into the repository ended")
    assert q.end("vda") != ""
    assert c.close() == 1
    after(b, q, worker)


def stops_reading(b, iothread):
    """The receiver is stopped while data is sent: nothing in QEMU could end that job. Its child does."""
    q = random_disk(b, iothread)
    c = begin(b, q)
    worker = c.worker()
    os.kill(c.process.pid, signal.SIGSTOP)
    q.start("vda")
    assert q.end("vda") != ""
    assert c.process.wait(copy_bench.LONG_SEC) == -signal.SIGKILL
    after(b, q, worker)


def test_stops_reading(b):
    stops_reading(b, iothread=False)


def test_stops_reading_iothread(b):
    stops_reading(b, iothread=True)


def test_store_hangs(b):
    """As with a server that is gone: QEMU is told after stall_ms, by a process that can't hang with it."""
    q = random_disk(b)
    c = begin(b, q)
    worker = c.worker()
    os.kill(worker, signal.SIGSTOP)
    q.start("vda")
    line = c.fail("the repository took nothing for 1 s")
    assert "hung" in line["hint"], line
    assert q.end("vda") != ""
    assert c.process.wait(copy_bench.LONG_SEC) == 1  # by itself: after another stall_ms the sockets close in any case
    after(b, q, worker)


def test_store_hangs_and_daemon_ends(b):
    q = random_disk(b)
    c = begin(b, q)
    worker = c.worker()
    os.kill(worker, signal.SIGSTOP)
    q.start("vda")
    c.process.stdin.close()
    assert q.end("vda") != ""
    assert c.process.wait(copy_bench.LONG_SEC) == 1
    after(b, q, worker)


def test_store_is_late(b):
    """Within stall_ms that is no failure."""
    q = random_disk(b)
    c = b.copy([b.disk("vda", SIZE)], stall_ms=60000)
    os.kill(c.worker(), signal.SIGSTOP)
    q.attach("vda", c.socket("vda"))
    q.start("vda")
    while c.wait("progress")["progress"]["received_bytes"] < 24 * MIB:
        pass
    assert q.concluded("vda") is None
    os.kill(c.worker(), signal.SIGCONT)
    assert q.end("vda") == ""
    point = c.finish()
    q.quit()
    b.check_image("vda", point)


def test_full(b):
    """The file system takes no more: QEMU hears ENOSPC, the job ends at once."""
    q = random_disk(b)
    c = begin(b, q, options={"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512 << 10, 512 << 10))})
    worker = c.worker()
    q.start("vda")
    line = c.fail("File too large")
    assert line["hint"], line
    assert "No space left" in q.end("vda")
    assert c.close() == 1
    after(b, q, worker)


def test_vanished(b):
    q = random_disk(b)
    c = begin(b, q, speed=SLOW)
    worker = c.worker()
    shutil.rmtree(b.repository)
    c.fail("")
    assert q.end("vda") != ""
    assert c.close() == 1
    copy_bench.run(b.tool, "init", b.repository, str(MIB))
    after(b, q, worker)


def read_only_program(b):
    """For root, whom no mode stops: a ballast-copy that sees the repository mounted read-only; None: this root may not."""
    script = os.path.join(b.directory, "read-only")
    mounts = f"mount --bind {b.repository} {b.repository} && mount -o remount,ro,bind {b.repository}"
    with open(script, "w", encoding="utf-8") as f:
        f.write(f"#!/bin/sh\nexec unshare -m sh -c '{mounts} && exec {b.program} \"$@\"' sh \"$@\"\n")
    os.chmod(script, 0o755)
    return script if subprocess.run([script, "--version"], capture_output=True, check=False).returncode == 0 else None


def test_read_only(b):
    """Told before QEMU is asked for anything."""
    q = random_disk(b)
    program = b.program
    if os.geteuid() == 0:
        b.program = read_only_program(b)
        if not b.program:
            print("   read-only: not tried, this root may not mount")
            return
    else:
        for directory, _, _ in os.walk(b.repository):
            os.chmod(directory, 0o555)
    c = b.copy([b.disk("vda", SIZE)], ready=False)
    assert "writable" in c.fail("")["hint"], c.lines
    assert c.close() == 1
    b.program = program
    for directory, _, _ in os.walk(b.repository):
        os.chmod(directory, 0o755)
    after(b, q)


def test_qemu_killed(b):
    """A disk that never comes: nothing is committed, the process does as it is told."""
    q = random_disk(b)
    c = begin(b, q, speed=SLOW)
    q.process.kill()
    q.process.wait()
    while c.wait("progress")["progress"]["connected"]:
        pass
    c.fail("chunks came", finish=True)
    assert c.close() == 1
    assert b.point_list() == []


def test_two_at_once(b):
    """Two backups of two guests into one repository at once; the same chunks are stored once."""
    q = random_disk(b)
    first = b.copy([b.disk("vda", SIZE)])
    second = b.copy([b.disk("vda", SIZE, socket=os.path.join(b.directory, "second.sock"))], guest="other")
    q.attach("vda", first.socket("vda"))
    q.start("vda", speed=4 * SLOW)
    p = b.qemu({"vda": SIZE})
    p.push("vda", second)
    second.finish()
    assert q.end("vda") == ""
    point = first.finish()
    q.quit()
    b.images["vda"] = b.images["vda"].replace("vda-1", "vda-0")
    b.check_image("vda", point)
    p.quit()


if __name__ == "__main__":
    sys.exit(copy_bench.main(globals(), sys.argv))
