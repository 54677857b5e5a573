#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two guests backed up at one instant, while a program numbers what it writes to one and then to the other: their points
belong together, which their records tell. Where one can't be frozen, none gets a point, and both run on."""
import json
import os
import threading

import disks
from bench import check, eventually, main

NAMES = ("web", "db")


class Pair:
    """Writes 1 to the first guest, 1 to the second, 2 to the first ..., each synced before the next."""

    def __init__(self, guests):
        self.guests, self.number, self.is_over = guests, 0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.is_over:
            self.number += 1
            for g in self.guests:
                g.shell.run(f"echo {self.number} >/a/number; sync /a/number", 60)

    def end(self):
        self.is_over = True
        self.thread.join()


def number_in(b, d, repository, point):
    image = f"{b.directory}/{point.replace('/', '-')}.raw"
    d.cli("backup", "restore", point, "vda", image, "--repository", repository, check_code=0)
    disks.run("e2fsck", "-fn", image)
    return int(disks.run("debugfs", "-R", "cat /number", image).splitlines()[-1])


def state(guest):
    return guest.monitor.ask("query-status")["status"]


def test(b):
    disks.need_tools()
    guests = b.boot(*((name, {"boot_mib": 192, "disks": disks.images(b, name, ("ext4",), 64)}) for name in NAMES))
    repository, hold = disks.repository(b), f"{b.directory}/hold"
    d = b.daemon(disks.config(b, repository), wait=False)
    d.kill()
    d.environment = {"BALLAST_TEST_BACKUP": f"cont:hold:{hold}"}
    d.start()
    d.wait_for(*NAMES)
    pair = Pair(guests)
    eventually(lambda: pair.number > 3, "the pair writes")
    done = []
    with open(hold, "w"):
        pass
    thread = threading.Thread(target=lambda: done.append(d.cli("backup", "run", *NAMES, "--json")))
    thread.start()
    eventually(lambda: all(state(g) == "paused" and len(disks.leftovers(g)) == 3 for g in guests),
               "both stand still, each with its checkpoint", explain=d.log)
    os.unlink(hold)
    thread.join()
    check(done[0].returncode == 0, f"the backup of both is done (exit code {done[0].returncode}) {done[0].stderr}")
    jobs = json.loads(done[0].stdout)["jobs"]
    check(len(jobs) == 2 and all(job["consistency"] == "fs" for job in jobs) and jobs[0]["group"] == jobs[1]["group"] is not None,
          "one group, both with their file systems frozen")
    before = pair.number
    eventually(lambda: pair.number > before + 1, "both guests write on")
    check(not disks.leftovers(guests[0]) and not disks.leftovers(guests[1]), "nothing is left in QEMU")
    numbers = [number_in(b, d, repository, job["point"]) for job in jobs]
    check(numbers[0] - numbers[1] in (0, 1), f"the second guest holds what the first one does, or one less ({numbers})")
    group = json.loads(d.cli("backup", "show", jobs[1]["point"], "--repository", repository, "--json",
                             check_code=0).stdout)["facts"]["group"]
    check(group["common"] and group["id"] == jobs[0]["group"] and max(g["stopped_usec"] for g in group["guests"])
          <= min(g["continued_usec"] for g in group["guests"]), f"the manifest says so, with its times ({group})")
    check([f"{g['identity']}/{g['time']}" for g in group["guests"]] == [job["point"] for job in jobs], "and names both points")

    guests[1].shell.run("kill -STOP $(pidof qemu-ga)")
    failed = d.cli("backup", "run", *NAMES, "--freeze", "require")
    guests[1].shell.run("kill -CONT $(pidof qemu-ga)")
    check(failed.returncode == 1 and "'db' can't be frozen" in failed.stderr and "'web'" not in failed.stderr,
          f"one that can't be frozen ends it: {failed.stderr}")
    before = pair.number
    eventually(lambda: pair.number > before + 1, "both guests write on")
    pair.end()
    points = json.loads(d.cli("backup", "list", "--repository", repository, "--json", check_code=0).stdout)["points"]
    check(len(points) == 2, "and none has a point of it")
    check(os.listdir(f"{d.state_dir}/fleece") == [] and os.listdir(f"{d.runtime_dir}/backup") == [], "no file is left")


main(test)
