#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The repository runs full, becomes read-only, hangs, is gone, while a guest under a writer is copied: the guest does not notice,
the backup fails and says why, and once the repository is back the next one is right and incremental. ballast-copy stopped or
killed in mid-copy: the same."""
import os
import signal
import subprocess

import disks
import vm
from bench import BUILD, check, eventually, main, run_cli, skip
from faults import Lab, fill, mounted, unmount

BAD_FUSE = os.path.join(BUILD, "tests", "unit", "bad_fuse")


def dirty(lab):
    lab.g.shell.run("dd if=/dev/urandom of=/b/noise bs=1M count=12 conv=notrunc,fsync 2>/dev/null", 120)


def broken(lab, what, breaks, mends, *words):
    """Something happens to the repository just before the data comes."""
    dirty(lab)
    run = lab.begin(at="push")
    breaks()
    try:
        lab.go_on()
        job = lab.failed(run, *words)
        check(bool(job["hint"]), f"{what}: {job['hint']}")
        lab.check_clean(what)
    finally:
        mends()
    lab.good(what, "incremental")


def on_tmpfs(lab, where):
    broken(lab, "full", lambda: fill(where), lambda: os.unlink(f"{where}/filler"), "No space left")
    check(mounted("-o", "remount,ro", where), "the repository's file system is read-only")
    lab.failed(lab.begin(), "Read-only file system")
    lab.check_clean("read-only")
    check(mounted("-o", "remount,rw", where), "and writable again")
    lab.good("writable again", "incremental")
    away = f"{where}/away"
    os.rename(lab.repository, away)
    lab.failed(lab.begin(), "repository")
    lab.check_clean("not there")
    os.rename(away, lab.repository)
    lab.good("there again", "incremental")


def copies(lab):
    """Processes of ballast-copy: those that hold the sockets."""
    listed = subprocess.run(["ps", "--ppid", str(lab.d.pid), "-o", "pid=,comm="], stdout=subprocess.PIPE, text=True, check=False)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if line.split()[1].startswith("ballast-copy")]


def copy_dies(lab):
    broken(lab, "ballast-copy is killed", lambda: os.kill(copies(lab)[0], signal.SIGKILL), lambda: None, "killed by signal 9")
    broken(lab, "ballast-copy is stopped", lambda: os.kill(copies(lab)[0], signal.SIGSTOP), lambda: None, "ballast-copy")


def on_fuse(lab, where, below):
    """A server that hangs, and one that is gone."""
    servers = []

    def serve():
        servers.append(vm.spawn([BAD_FUSE, below, "none", where], f"{lab.b.directory}/fuse.log"))
        eventually(lambda: os.path.ismount(where), None)

    def end():
        unmount(where)
        vm.end(servers.pop())

    serve()
    try:
        lab.good("on a network file system", "incremental")
        broken(lab, "hangs", lambda: os.kill(servers[0].pid, signal.SIGSTOP), lambda: os.kill(servers[0].pid, signal.SIGCONT),
               "took nothing for")
        broken(lab, "its server is gone", lambda: vm.end(servers[0]), lambda: (end(), serve()), "not connected")
    finally:
        os.kill(servers[0].pid, signal.SIGCONT)
        end()


def test(b):
    if os.geteuid() != 0:
        skip("only root may mount")
    where = f"{b.directory}/store"
    os.mkdir(where)
    check(mounted("-t", "tmpfs", "-o", "size=200m", "tmpfs", where), "a file system for the repository")
    try:
        run_cli("backup", "init", "--repository", f"{where}/repository", check_code=0)
        lab = Lab(b, keys={"stall_timeout": "3 s"}, repository=f"{where}/repository")
        lab.boot()
        lab.daemon(hold="push")
        lab.good("first", "full")
        on_tmpfs(lab, where)
        copy_dies(lab)
        if not os.access("/dev/fuse", os.R_OK | os.W_OK) or not os.path.exists(BAD_FUSE):
            print("no FUSE here: a repository that hangs or loses its server is not tried")
            return
        below = f"{b.directory}/below"
        disks.run("cp", "-a", where, below)
        lab.d.terminate()
        unmount(where)
        lab.d.start()
        lab.d.wait_for("g", quiet=True)
        on_fuse(lab, where, below)
    finally:
        unmount(where)


main(test)
