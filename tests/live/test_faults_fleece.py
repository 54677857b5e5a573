#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The place where the guest's old data is kept during a copy runs full, or hangs: the guest's writes go on within the timeout, the
backup fails and says why, QEMU is not asked for what would hang it, and the next backup is right."""
import os
import signal
import subprocess
import time

import disks
import vm
from bench import BUILD, check, eventually, main, skip
from faults import Lab, fill, mounted, unmount

BAD_FUSE = os.path.join(BUILD, "tests", "unit", "bad_fuse")
TIMEOUT_SEC = 2


def noise(g, how=""):
    """Seconds that the guest needed to write over data the copy still wants."""
    began = time.monotonic()
    g.shell.run(f"dd if=/dev/urandom of=/b/noise bs=1M count=12 conv=notrunc,fsync {how} 2>/dev/null", 120)
    return time.monotonic() - began


def full(lab, where):
    check(mounted("-t", "tmpfs", "-o", "size=80m", "tmpfs", where), "fleecing images have 80 MiB")
    noise(lab.g)
    run = lab.begin(at="push")
    filler = fill(where, leave_kib=256)
    noise(lab.g)
    check(disks.is_writable(lab.g), "the place for old data is full: the guest writes on")
    lab.go_on()
    job = lab.failed(run, "could not be kept in", "full")
    check(job["hint"] is not None, job["hint"])
    lab.check_clean("full")
    lab.failed(lab.begin(), "are free in", "are needed")
    lab.check_clean("full from the start")
    os.unlink(filler)
    lab.good("full", "incremental")
    unmount(where)


def stalled(lab, where):
    below = f"{lab.b.directory}/below"
    os.mkdir(below)
    server = vm.spawn([BAD_FUSE, below, "none", where], f"{lab.b.directory}/fuse.log")
    try:
        eventually(lambda: os.path.ismount(where), "fleecing images lie on a file system that can hang")
        noise(lab.g)
        lab.daemon(hold="pushed")
        run = lab.begin(at="pushed")
        eventually(lambda: all(job["status"] == "concluded" for job in lab.g.monitor.ask("query-jobs")), "all is copied")
        os.kill(server.pid, signal.SIGSTOP)
        seconds = noise(lab.g)
        eventually(lambda: disks.is_writable(lab.g), f"the place for old data hangs: the guest writes on after {seconds:.1f} s")
        lab.go_on()
        job = run.end()
        check(job["state"] == "done" and "does not answer" in job["left"], f"what it put into QEMU stays there, and is said: {job['left']}")
        check(disks.is_writable(lab.g), "QEMU and the guest do not hang with it")
        lab.failed(lab.begin(), "fleece', where the old data", "does not answer")
        check(disks.is_writable(lab.g), "nor at the next backup")
        os.kill(server.pid, signal.SIGCONT)
        lab.good("stalled", "incremental")
    finally:
        os.kill(server.pid, signal.SIGCONT)
        unmount(where)
        vm.end(server)


def test(b):
    if os.geteuid() != 0:
        skip("only root may mount")
    lab = Lab(b, keys={"fleece_timeout": f"{TIMEOUT_SEC} s", "stall_timeout": "5 s"})
    lab.boot()
    lab.daemon(hold="push")
    where = f"{lab.d.state_dir}/fleece"
    try:
        lab.g.shell.run("dd if=/dev/urandom of=/b/noise bs=1M count=12 2>/dev/null; sync", 60)
        lab.good("first", "full")
        full(lab, where)
        if not os.access("/dev/fuse", os.R_OK | os.W_OK) or not os.path.exists(BAD_FUSE):
            print("no FUSE here: a place that hangs is not tried")
            return
        stalled(lab, where)
    finally:
        lab.g.kill()
        unmount(where)


main(test)
