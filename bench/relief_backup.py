# SPDX-License-Identifier: Apache-2.0
"""Backups that run beside the bursts of relief.py, to a slow disk."""
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import bench
import disks
import vm

# The guest that is backed up during a burst in 'a', and how it is called.
BACKED_UP = ((None, "no backup"), ("a", "a backup of this guest"), ("donor", "a backup of another guest"))

MIB = 1 << 20
DISK_MIB = 8        # what the target takes in a second
DISK_SIZE_MIB = 1024
DATA_MIB = 240      # of each guest, nothing of it twice: half a minute at least
STEP = "pushed"     # QEMU's job runs


class SlowDisk(contextlib.AbstractContextManager):
    """A file system on a disk of DISK_MIB a second; written through, else the page cache would take it all at once."""

    def __init__(self, directory):
        self.file, self.export, self.mountpoint = (f"{directory}/slow.{n}" for n in ("raw", "export", "mount"))
        for path in (self.file, self.export):
            with open(path, "wb") as f:
                f.truncate(DISK_SIZE_MIB * MIB if path == self.file else 0)
        os.mkdir(self.mountpoint)
        self.loop = None
        self.log_path = f"{directory}/slow.log"
        self.process = vm.spawn(["qemu-storage-daemon",
                                 "--object", f"throttle-group,id=t,x-bps-write={DISK_MIB * MIB}",
                                 "--blockdev", f"driver=file,node-name=f,filename={self.file}",
                                 "--blockdev", "driver=throttle,node-name=s,file=f,throttle-group=t",
                                 "--export", f"type=fuse,id=e,node-name=s,mountpoint={self.export},writable=on"],
                                self.log_path)
        try:
            bench.eventually(lambda: os.stat(self.export).st_size == DISK_SIZE_MIB * MIB, None, 10)
            self.loop = disks.run("losetup", "-f", "--show", self.export).strip()
            disks.run("mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1", self.loop)
            disks.run("mount", "-o", "sync", self.loop, self.mountpoint)
        except (subprocess.CalledProcessError, AssertionError) as e:
            self.__exit__()
            bench.skip(f"no slow disk can be made here (it takes root, FUSE and loop devices): {e}")

    def __exit__(self, *error):
        subprocess.run(["umount", "-q", self.mountpoint], check=False)
        if self.loop:
            subprocess.run(["losetup", "-d", self.loop], check=False)
        vm.end(self.process)
        subprocess.run(["umount", "-q", "-l", self.export], check=False)
        return False


class Running:
    def __init__(self, d, guest):
        self.d = d
        self.process = vm.spawn([bench.CLI, "--socket", d.socket, "backup", "run", guest], f"{d.directory}/run.log",
                                env=bench.CLEAN_ENVIRONMENT)

    def is_running(self):
        return self.process.poll() is None

    def step(self):
        api = http.client.HTTPConnection("ballastd", timeout=bench.CLI_SEC)
        api.sock = socket.socket(socket.AF_UNIX)
        api.sock.connect(self.d.socket)
        api.request("GET", "/v1/backup")
        jobs = json.loads(api.getresponse().read())["jobs"]
        api.close()
        return jobs[-1]["step_name"] if jobs else None

    def holds(self):
        """It was not over too early."""
        return self.is_running()

    def end(self):
        """As Ctrl-C: all of it is taken back."""
        if self.is_running():
            self.process.send_signal(signal.SIGINT)
        self.process.wait(bench.LONG_SEC)


class Idle:
    """No backup."""

    def holds(self):
        return True

    def end(self):
        pass


class Backups(SlowDisk):
    took_sec = 0  # the last one until it copied

    def __init__(self, b):
        disks.need_tools()
        self.b, self.number, self.text = b, 0, ""
        super().__init__(b.directory)

    @property
    def repository(self):
        return f"{self.mountpoint}/repository{self.number}"

    def images(self, name):
        return disks.images(self.b, name)

    def fill(self, *guests):
        for guest in guests:
            guest.shell.run(f"dd if=/dev/urandom of=/a/f bs=1M count={DATA_MIB} 2>/dev/null; sync"
                            "; echo 3 >/proc/sys/vm/drop_caches", 120)

    def config(self):
        """Each ballastd has a repository of its own: what one holds already would not be written again."""
        shutil.rmtree(self.repository, ignore_errors=True)
        self.number += 1
        bench.run_cli("backup", "init", "--repository", self.repository, check_code=0)
        self.text = f"backup:\n  repository: {self.repository}\n"
        return self.text

    def start(self, d, guest):
        """Returns once it copies and the disk is the bottleneck. Without a guest after as long: ballastd is of the same age."""
        if not guest:
            time.sleep(self.took_sec)
            return Idle()
        begun = time.monotonic()
        running = Running(d, guest)
        bench.eventually(lambda: running.step() == STEP or not running.is_running(), None, explain=d.log)
        time.sleep(1)
        self.took_sec = time.monotonic() - begun
        return running
