#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_backup_fuse.py BALLAST REPO_FILL BAD_FUSE: init on a file system that misbehaves as a network's may: refused with the
reason, and nothing left; on one that only is no local one, all works, each file synced by itself."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

ballast, fill, bad_fuse = sys.argv[1:4]
# what the sentence must say
FAULTS = {
    "lock": "a lock does not keep others out",
    "no-lock": "a file can't be locked",
    "rename": "leaves the old name behind",
    "replace": "a rename can't replace a file",
    "fsync": "synced",
    "times": "does not keep the time",
    "none": None,
}
failures = []
if not os.access("/dev/fuse", os.R_OK | os.W_OK) or not shutil.which("fusermount3"):
    print("no /dev/fuse or no fusermount3")
    sys.exit(77)
top = tempfile.mkdtemp(prefix="ballast-fuse-")
mountpoint = os.path.join(top, "mnt")
os.mkdir(mountpoint)


def check(what, ok, *more):
    if not ok:
        failures.append(f"{what} {' '.join(str(m) for m in more)}")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def use(repository):
    """A point is written, swept around, and comes back the same."""
    image = os.path.join(top, "image")
    with open(image, "wb") as f:
        f.write(os.urandom(200000) + bytes(100000))
    done = run(fill, repository, "g", "20260101T000000Z", "-", "vda=" + image)
    check("a point", done.returncode == 0, done.stderr)
    for words in (["sweep"], ["verify"], ["restore", "g", "vda", os.path.join(top, "out")]):
        done = run(ballast, "backup", *words, "--repository", repository)
        check(" ".join(words), done.returncode == 0, done.stderr)
    check("identical", run("cmp", image, os.path.join(top, "out")).returncode == 0)


def try_fault(fault, sentence):
    directory = os.path.join(top, "under-" + fault)
    repository = os.path.join(mountpoint, "repo")
    os.mkdir(directory)
    with subprocess.Popen([bad_fuse, directory, fault, mountpoint], stderr=subprocess.PIPE, text=True) as server:
        deadline = time.monotonic() + 20
        while not os.path.ismount(mountpoint) and server.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if not os.path.ismount(mountpoint):
            print("FUSE can't be mounted here:", server.communicate()[1] if server.poll() is not None else "no answer")
            server.kill()
            return False
        try:
            done = run(ballast, "backup", "init", "--chunk-size", "64 KiB", "--repository", repository)
            if sentence:
                check(f"{fault}: refused", done.returncode == 1 and sentence in done.stderr, done.stderr)
                check(f"{fault}: nothing left", os.listdir(directory) == [], os.listdir(directory))
            else:
                check("a good one is taken", done.returncode == 0, done.stderr)
                use(repository)
        finally:
            subprocess.run(["fusermount3", "-u", mountpoint], check=False)
        server.wait(20)
    return True


try:
    for name, text in FAULTS.items():
        if not try_fault(name, text):
            sys.exit(77)
finally:
    shutil.rmtree(top, ignore_errors=True)
    for failure in failures:
        print(failure)
sys.exit(bool(failures))
