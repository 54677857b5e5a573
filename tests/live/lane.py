# SPDX-License-Identifier: Apache-2.0
"""One guest with its own ballastd and repository, in which something is killed at a step of a backup, again and again, and which
is held against what it must be then: the guest runs and writes, nothing of the backup is left, no change is ever lost."""
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time

import disks
from bench import BUILD, MIB, Daemon, check, eventually

LIMIT_SEC = 4    # the guardian's, as configured here
SLOW_SEC = 30    # what a busy machine may add
SOON_SEC = 0.02  # between two looks
SLOTS = 160      # places in the guest's file, a chunk apart
LANE_LOCK = threading.Lock()


def steps():
    """[(name, phase, occurs once for each disk)], from the product."""
    listed = subprocess.run([f"{BUILD}/tests/live/list_steps"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return [(name, phase, each == "each-disk") for name, phase, each in map(str.split, listed.splitlines())]


def children(pid, comm):
    """Processes of that name (as the kernel cuts it) which pid has started."""
    found = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid=,comm="], stdout=subprocess.PIPE, text=True, check=False)
    return [int(line.split()[0]) for line in found.stdout.splitlines() if line.split()[1] == comm[:15]]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Lane:
    def __init__(self, b, number, iothread):
        self.b, self.name = b, f"g{number}"
        self.directory = f"{b.directory}/l{number}"
        self.guests_dir = f"{self.directory}/guests"  # disks.py takes these for a bench's
        os.makedirs(self.guests_dir)
        self.images = disks.images(self, self.name)
        self.repository = disks.repository(self)
        self.guest = b.start_guest(self.name, boot_mib=192, disks=self.images, iothread=iothread, guests_dir=self.guests_dir)
        self.hold, self.fault_path = f"{self.directory}/hold", f"{self.directory}/fault"
        self.grouped = False  # whether a backup is one of a group, here of one guest
        self.slots, self.compared, self.worst_sec = [], 0, 0.0
        self.fault("")

    def config(self, **keys):
        return disks.config(self, self.repository, freeze_limit=f"{LIMIT_SEC} s", freeze_timeout="3 s",
                            before_freeze="/bin/true", after_thaw="/bin/true", **keys)

    def begin(self):
        """The guest is up: its files, ballastd, the first point."""
        self.guest.wait_up()
        kind = type("LaneDaemon", (Daemon,), {"environment": {"BALLAST_TEST_BACKUP": "@" + self.fault_path}})
        with LANE_LOCK:
            self.daemon = kind(self.b.directory, self.guests_dir, len(self.b.daemons), self.config())
            self.b.daemons.append(self.daemon)
        self.guest.shell.run(f"for d in a b; do dd if=/dev/zero of=/$d/known bs=1M count={SLOTS}; done 2>/dev/null; sync")
        self.guest.shell.run("writer /a/log 20 </dev/null >/dev/null 2>&1 &")
        job = self.finish(self.run())
        check(job["state"] == "done" and job["consistency"] == "fs", f"{self.name}: the first backup is whole {job['error']}")
        return self

    def fault(self, rules):
        with open(self.fault_path + ".new", "w") as f:
            f.write(rules)
        os.rename(self.fault_path + ".new", self.fault_path)

    # ---- ballastd

    def ask(self, method, path, body=None):
        """(status, answer); (0, None): it does not answer."""
        connection = UnixConnection(self.daemon.socket)
        try:
            connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()

    def run(self):
        """Starts a backup, as soon as ballastd knows the guest and has undone what it found; returns the job's number."""
        answers = [None]

        def started():
            status, answers[0] = self.ask("POST", "/v1/backup/run", {"guests": [self.name]} if self.grouped else {"guest": self.name})
            if status == 200:
                return (answers[0]["jobs"][0] if self.grouped else answers[0])["job"]
            return None if self.daemon.is_running() else -1  # killed in the first step, before it could answer
        return eventually(started, None, SLOW_SEC, lambda: f"{answers[0]}\n{self.explain()}", SOON_SEC)

    def job(self, number):
        """None: there is no ballastd, or it is another one."""
        status, answer = self.ask("GET", "/v1/backup")
        found = [job for job in answer["jobs"] if job["job"] == number] if status == 200 else []
        return found[0] if found else None

    def finish(self, number):
        def ended():
            job = self.job(number)
            return job if job and job["state"] != "running" else None
        return eventually(ended, None, 120, self.daemon.log, SOON_SEC)

    def dies(self, number=None):
        """ballastd ends by the rule; False: the backup ended without coming to the step."""
        process, looked = self.daemon.process, time.monotonic()
        while process.poll() is None:
            if time.monotonic() > looked + 0.3:
                looked = time.monotonic()
                job = self.job(number) if number else None
                if job and job["state"] != "running":
                    return False
            time.sleep(SOON_SEC)
        if process.returncode != -signal.SIGKILL:
            raise AssertionError(f"{self.name}: ballastd ended with {process.returncode}\n{self.daemon.log()[-4000:]}")
        return True

    def holds(self, number, action):
        """Does it while the job is held; False: the job ended without coming there."""
        while not os.path.getsize(self.hold):
            job = self.job(number)
            if job and job["state"] != "running":
                return False
            time.sleep(SOON_SEC)
        action()
        os.unlink(self.hold)
        return True

    def hold_at(self, step, *rules):
        with open(self.hold, "w"):
            pass
        self.fault(",".join((f"{step}:hold:{self.hold}",) + rules))

    def copier(self):
        return children(self.daemon.pid, "ballast-copy")

    def kill_copier(self):
        for pid in self.copier():
            os.kill(pid, signal.SIGKILL)

    def lose_copier(self, number):
        """Killed, and ballastd knows."""
        self.kill_copier()
        eventually(lambda: not self.daemon.is_running() or (self.job(number) or {}).get("error"), None, SLOW_SEC, self.explain, SOON_SEC)

    def pause_jobs(self):
        """QEMU's jobs stand still: none of them ends by itself."""
        for job in self.guest.monitor.ask("query-jobs"):
            if job["status"] == "running":
                self.guest.monitor.ask("job-pause", id=job["id"])

    def kill_worker(self):
        for pid in self.copier():
            for worker in children(pid, "ballast-store"):
                os.kill(worker, signal.SIGKILL)

    def kill_guardian(self):
        for pid in children(self.daemon.pid, "ballast-guardian"):
            os.kill(pid, signal.SIGKILL)

    def kill_both(self):
        """Neither sees the other die."""
        os.kill(self.daemon.pid, signal.SIGSTOP)
        self.kill_guardian()
        self.daemon.kill()

    def terminate(self):
        """As a service manager ends it."""
        check_code = self.daemon.terminate()
        assert check_code == 0, f"{self.name}: ballastd ended with {check_code}\n{self.daemon.log()[-3000:]}"

    # ---- what must be so

    def write(self, what):
        """The guest runs and is thawed: it writes into a place of its own on both disks, by which a lost change would show."""
        slot = len(self.slots) % SLOTS
        self.slots.append(what)
        begin = time.monotonic()
        command = (f"(for d in /a /b; do dd if=/dev/urandom of=$d/known bs=4k count=1 seek={slot * 256} conv=notrunc,fsync || exit;"
                   " done; echo w >/tmp/written) 2>/dev/null & p=$!; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do kill -0 $p"
                   " 2>/dev/null || break; sleep 0.1; done; kill -0 $p 2>/dev/null || cat /tmp/written")
        self.guest.shell.run("rm -f /tmp/written")
        eventually(lambda: self.guest.shell.run(command).endswith("w"), None, LIMIT_SEC + SLOW_SEC, self.explain, SOON_SEC)
        assert self.guest.monitor.ask("query-status")["status"] == "running", self.explain()
        self.worst_sec = max(self.worst_sec, time.monotonic() - begin)

    def left(self):
        return (disks.leftovers(self.guest) + [name for name in os.listdir(f"{self.daemon.runtime_dir}/backup")]
                + os.listdir(f"{self.daemon.state_dir}/fleece"))

    def explain(self):
        return f"{self.name}: left: {self.left()}; case {self.slots[-1:]}\n{self.daemon.log()[-3000:]}"

    def healed(self, what):
        """Nothing is left in QEMU and on disk."""
        eventually(lambda: not self.left(), None, SLOW_SEC, self.explain, SOON_SEC)
        self.write(what + ", after")

    def restart(self, what):
        """Another ballastd finds what there is, and undoes it."""
        self.write(what + ", before")
        self.fault("")
        self.daemon.start(wait=False)
        self.healed(what)

    def kill_at(self, rule, what):
        """A backup in which ballastd is killed; nobody has healed it yet."""
        self.fault(rule)
        return self.dies(self.run())

    def compare(self, what):
        """A backup that is held at its checkpoint, for an independent copy; it must be incremental, and what is restored from it
        that copy, byte for byte."""
        self.compared += 1
        references = [f"{self.directory}/reference{i}.raw" for i in range(2)]

        def copy():
            for image, reference in zip(self.images, references):
                disks.run("qemu-img", "convert", "-U", "-O", "raw", image, reference)
        self.hold_at("cont")
        number = self.run()
        assert self.holds(number, copy), f"{what}: the backup was not held"
        self.fault("")
        job = self.finish(number)
        check(job["state"] == "done" and job["file_systems_frozen"] == 2, f"{self.name}, {what}: the backup is done {job['error'] or ''}")
        check(all(disk["read"] == "incremental" for disk in job["disks"]), f"{self.name}, {what}: and no disk was read in full "
              f"{job['notes']}")
        for i, reference in enumerate(references):
            image = f"{self.directory}/restored{i}.raw"
            self.daemon.cli("backup", "restore", job["point"], "vd" + "ab"[i], image, "--repository", self.repository, check_code=0)
            same = disks.is_same(image, reference)
            check(same, f"{self.name}, {what}: disk {i} is identical with an independent copy"
                  + ("" if same else f"; not so: {self.differences(image, reference)}"))
            if i == 0:
                disks.run("e2fsck", "-fn", image)
                disks.check_records(image, 1, f"{self.name}, {what}: the writer's file")
                os.unlink(image + ".records")
            os.unlink(image)
            os.unlink(reference)
        self.healed(what)

    def differences(self, image, reference):
        """"": none. Else the chunks, and the cases in which the guest wrote there."""
        found = []
        with open(image, "rb") as a, open(reference, "rb") as b:
            for chunk in range(os.path.getsize(reference) // MIB):
                x, y = a.read(MIB), b.read(MIB)
                if x != y:
                    at = next(i for i in range(0, MIB, 4096) if x[i:i + 4096] != y[i:i + 4096])
                    found.append(f"chunk {chunk} at {at}")
        return "; ".join(found[:20]) + (f" | cases: {self.slots}" if found else "")
