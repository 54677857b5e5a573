#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backups that nobody asks for: every five seconds while the schedule says so, points beyond `keep` are removed, a new
ballastd goes on, and what fails is told to the notify command."""
import json
import os
import shutil

import disks
from bench import check, eventually, main


def points(d, repository):
    done = d.cli("backup", "list", "--repository", repository, "--json")
    return [p["time"] for p in json.loads(done.stdout)["points"]]


def test(b):
    disks.need_tools()
    images = disks.images(b, "g")
    b.boot(("g", {"boot_mib": 192, "disks": images}))
    repository = disks.repository(b)
    told = f"{b.directory}/told"
    command = f"{b.directory}/notify"
    with open(command, "w") as f:
        f.write(f"#!/bin/sh\necho \"$BALLAST_EVENT $BALLAST_STATE $BALLAST_GUEST\" >>{told}\n")
    os.chmod(command, 0o755)
    d = b.daemon(disks.config(b, repository, schedules='[{guests: "g*", at: "*:*:0/5", keep: {last: 2}}]') +
                 f"notify:\n  command: {command}\n")
    d.wait_for("g")

    seen = set()
    eventually(lambda: len(seen.update(points(d, repository)) or seen) >= 3, "three points are made by themselves",
               explain=d.log)
    eventually(lambda: max(points(d, repository)) == max(seen) and len(points(d, repository)) <= 3,
               "no more than keep says stay, and the one just made", explain=d.log)
    check(min(seen) not in points(d, repository), "the oldest is gone")
    d.cli("backup", "verify", "--repository", repository, check_code=0)

    last = max(points(d, repository))
    d.kill()
    d.start()
    eventually(lambda: max(points(d, repository)) > last, "a new ballastd goes on", explain=d.log)

    shutil.move(repository, repository + ".away")
    eventually(lambda: os.path.exists(told) and "backup-failed begin g" in open(told).read().splitlines(),
               "without its repository the backup fails, and the notify command is told", explain=d.log)
    check(not os.path.exists(repository), "nothing is written in its place")


main(test)
