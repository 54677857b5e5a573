# SPDX-License-Identifier: Apache-2.0
"""A guest that writes without a pause, and backups of it that something happens to. Each fault ends with one of the
checks here: the guest runs and writes, nothing of the backup is left, and the next point is right: its records have no
gap, its file system needs no repair."""
import http.client
import json
import os
import socket
import subprocess
import threading

import disks
from bench import MIB, check, eventually
from vm import ANSWER_SEC

FILLER = "filler"
WRITER = "writer /a/log 5 </dev/null >/dev/null 2>&1 &"


class Api(http.client.HTTPConnection):
    """ballastd's API."""

    def __init__(self, path):
        super().__init__("localhost", timeout=ANSWER_SEC)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_SEC)
        self.sock.connect(self.path)

    def get(self, what):
        self.request("GET", what)
        body = self.getresponse().read()
        self.close()
        return json.loads(body)


class Run:
    """`ballast backup run` under way."""

    def __init__(self, d, guest, *options):
        self.answer = None
        self.thread = threading.Thread(target=self._run, args=(d, guest, options))
        self.thread.start()

    def _run(self, d, guest, options):
        self.answer = d.cli("backup", "run", guest, "--json", *options)

    def end(self):
        """The job as JSON; None where it never began."""
        self.thread.join()
        jobs = json.loads(self.answer.stdout or "{}").get("jobs") or [None]
        return jobs[0]


class Lab:
    """One guest with disks, a repository, and a ballastd that can hold a backup just before one of its steps."""

    wrap = []  # a program to run ballastd under

    def __init__(self, b, name="g", kinds=("ext4", "ext4"), size_mib=64, images=None, keys=None, repository=None, **options):
        disks.need_tools()
        self.b, self.name, self.options = b, name, options
        self.images = images if images is not None else disks.images(b, name, kinds, size_mib)
        self.repository = repository or disks.repository(b)
        self.hold_file = f"{b.directory}/hold-{name}"
        self.keys, self.boots, self.log = keys or {}, 0, "log"
        self.g, self.d = None, None

    def boot(self):
        self.g, = self.b.boot((self.name, {"boot_mib": 256, "disks": self.images, **self.options}))
        self.g.shell.run(WRITER)
        return self.g

    def boot_again(self):
        """QEMU has ended, one way or another; it starts on the same images."""
        self.g.kill()
        self.b.guests.remove(self.g)
        self.boots += 1
        self.log = f"log{self.boots}"
        for path in (self.g.monitor_path, self.g.monitor_path.replace(".qmp", ".qga")):
            if os.path.exists(path):
                os.unlink(path)
        self.g, = self.b.boot((self.name, {"boot_mib": 256, "disks": self.images, "suffix": f"-{self.boots}",
                                           **self.options}))
        self.g.shell.run(WRITER.replace("/a/log", f"/a/{self.log}"))
        self.d.wait_for(self.name, quiet=True)
        return self.g

    def daemon(self, hold=None, environment=None, **keys):
        """ballastd anew: its backups wait just before step `hold` while hold() holds."""
        environment = {**({"BALLAST_TEST_BACKUP": f"{hold}:hold:{self.hold_file}"} if hold else {}), **(environment or {})}
        text = disks.config(self.b, self.repository, **{**self.keys, **keys})
        if self.d:
            self.d.terminate()
            self.d.environment = environment
            self.d.configure(text)
            self.d.start()
        else:
            self.d = self.b.daemon(text, wait=False)
            self.d.kill()
            self.d.environment, self.d.wrap = environment, self.wrap
            self.d.start()
        if self.g.is_running():
            self.d.wait_for(self.name, quiet=True)
        return self.d

    def hold(self):
        with open(self.hold_file, "w"):
            pass

    def go_on(self):
        if os.path.exists(self.hold_file):
            os.unlink(self.hold_file)

    def job(self):
        jobs = [job for job in Api(self.d.socket).get("/v1/backup")["jobs"] if job["guest"] == self.name]
        return jobs[-1] if jobs else {}

    def begin(self, *options, at=None):
        """Starts a backup and returns once it waits before step `at`."""
        if at:
            self.hold()
        run = Run(self.d, self.name, *options)
        if at:
            eventually(lambda: run.answer or self.job().get("step_name") == at and self.job().get("state") == "running", None,
                       explain=self.d.log)
            check(run.answer is None, f"the backup waits before '{at}'{run.answer.stderr if run.answer else ''}")
        return run

    def failed(self, run, *words):
        """It ended as failed, in a sentence that has all the words."""
        job = run.end()
        text = (job or {}).get("error") or run.answer.stderr
        check(run.answer.returncode == 1 and all(word in text for word in words), f"the backup fails: {text.strip()}")
        return job

    def disk(self, job, name):
        return next(disk for disk in job["disks"] if disk["name"] == name)

    def state(self):
        """Files of windows: markers, notes, sockets, images."""
        names = os.listdir(f"{self.d.runtime_dir}/backup") + os.listdir(f"{self.d.state_dir}/fleece")
        return [name for name in names if name != FILLER]

    def check_clean(self, what, runs=True):
        eventually(lambda: not runs or (self.g.monitor.ask("query-status")["status"] == "running" and disks.is_writable(self.g)),
                   None, explain=self.d.log)
        eventually(lambda: not disks.leftovers(self.g) and not self.state(),
                   f"{what}: the guest {'runs and writes' if runs else 'is as it was'}, nothing is left",
                   explain=lambda: f"{self.state()} {disks.leftovers(self.g)} {self.d.log()}")

    def restore(self, job, name, check_code=0):
        path = f"{self.b.directory}/{self.name}-{name}.raw"
        if os.path.exists(path):
            os.unlink(path)
        self.d.cli("backup", "restore", job["point"], name, path, "--repository", self.repository, check_code=check_code)
        return path

    def good(self, what, read=None):
        """The next backup: right, and each disk read as said ("full" or "incremental", or one for each disk's name)."""
        done = self.d.cli("backup", "run", self.name, "--json")
        job = (json.loads(done.stdout or "{}").get("jobs") or [None])[0]
        check(done.returncode == 0 and job and job["consistency"] == "fs",
              f"{what}: the next backup is done {done.stderr}{'' if job is None else job['notes']}")
        if read:
            want = read if isinstance(read, dict) else {disk["name"]: read for disk in job["disks"]}
            check({disk["name"]: disk["read"] for disk in job["disks"]} == want, f"{what}: disks were read {want}")
        image = self.restore(job, "vda")
        disks.run("e2fsck", "-fn", image)
        disks.check_records(image, 1, what, self.log)
        self.check_clean(what)
        return job

    def good_paused(self, what):
        """The same of a guest that its user has paused."""
        done = self.d.cli("backup", "run", self.name, "--json")
        job = json.loads(done.stdout)["jobs"][0]
        check(done.returncode == 4 and job["consistency"] == "paused", f"{what}: its backup is done, and says so {done.stderr}")
        disks.check_records(self.restore(job, "vda"), 0, what)
        self.check_clean(what, runs=False)
        check(self.g.monitor.ask("query-status")["status"] == "paused", f"{what}: it stays paused")
        return job

    def exact(self, what, read=None, names=None):
        """A backup held at its checkpoint: every disk comes back as it was then. ballastd holds before 'cont'."""
        run = self.begin(at="cont")
        references = {}
        for name, path in (names or {f"vd{chr(97 + i)}": p for i, p in enumerate(self.images)}).items():
            references[name] = f"{self.b.directory}/{self.name}-{name}.reference"
            kind = "raw" if path.endswith(".raw") or path.startswith("/dev/") else "qcow2"
            disks.run("qemu-img", "convert", "-U", "-f", kind, "-O", "raw", path, references[name])
        self.go_on()
        job = run.end()
        check(run.answer.returncode in (0, 4) and job and job["state"] == "done", f"{what}: the backup is done "
              f"{run.answer.stderr}{'' if job is None else job['notes']}")
        if read:
            check({disk["name"]: disk["read"] for disk in job["disks"]} == read, f"{what}: disks were read {read}")
        for name, reference in references.items():
            check(disks.is_same(self.restore(job, name), reference), f"{what}: '{name}' is identical with the reference")
        self.check_clean(what)
        return job


def mounted(*argv):
    """Mounts; False where this root may not."""
    return subprocess.run(["mount", *argv], capture_output=True, check=False).returncode == 0


def unmount(path):
    subprocess.run(["umount", "-l", path], capture_output=True, check=False)


def fill(path, leave_kib=0):
    """Takes all the space of path's file system but so much; returns the file that holds it."""
    name = os.path.join(path, FILLER)
    fs = os.statvfs(path)
    size = fs.f_bavail * fs.f_frsize - (leave_kib << 10)
    with open(name, "wb") as f:
        while size > 0:
            size -= f.write(bytes(min(size, MIB)))
    return name
