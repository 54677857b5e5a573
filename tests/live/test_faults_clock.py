#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Somebody sets the wall clock between backups, while the guest is frozen and while it is copied: by a day back, by forty days
ahead, and back again. No freeze ends early or late for it, points follow each other in time, and each is right."""
import json
import os

import bench
from bench import check, main
from faults import Lab

SHIFT = os.path.join(bench.BUILD, "tests", "live", "libshift_clock.so")
DAY_SEC = 86400


def test(b):
    lab = Lab(b, kinds=("ext4", "ext4"))
    path = f"{b.directory}/shift"
    points = []

    def set_clock(seconds):
        with open(path + ".new", "w") as f:
            f.write(str(seconds))
        os.rename(path + ".new", path)

    def follow(job, what):
        points.append(job["point"])
        check(points == sorted(set(points)), f"{what}: its point {job['point']} follows the others")

    def daemon(hold):
        lab.daemon(hold=hold, environment={"LD_PRELOAD": SHIFT, "SHIFT_CLOCK": path})

    def jump_at(step, seconds, what):
        daemon(step)
        run = lab.begin(at=step)
        set_clock(seconds)
        lab.go_on()
        job = run.end()
        check(run.answer.returncode == 0 and job["consistency"] == "fs", f"{what}: the backup is done {run.answer.stderr}")
        check(job["freeze_ms"] < 60000 and job["stall_ms"] < 60000,
              f"{what}: frozen for {job['freeze_ms']} ms, stopped for {job['stall_ms']} ms")
        follow(job, what)
        lab.check_clean(what)

    set_clock(0)
    lab.boot()
    daemon("cont")
    follow(lab.good("at first", "full"), "at first")
    set_clock(-DAY_SEC)
    follow(lab.good("a day back", "incremental"), "a day back")
    jump_at("cont", 40 * DAY_SEC, "forty days ahead while the guest stands still")
    jump_at("pushed", -DAY_SEC, "forty days back while it is copied")
    follow(lab.good("afterwards", "incremental"), "afterwards")

    listed = json.loads(lab.d.cli("backup", "list", "--repository", lab.repository, "--json", check_code=0).stdout)["points"]
    check(len(listed) == len(points), "all points are there")
    lab.d.cli("backup", "prune", "g", "--keep", "last=2", "--repository", lab.repository, check_code=0)
    lab.d.cli("backup", "sweep", "--repository", lab.repository, check_code=0)
    left = json.loads(lab.d.cli("backup", "list", "--repository", lab.repository, "--json", check_code=0).stdout)["points"]
    check([p["point"] for p in left] == points[-2:], f"the two newest stay, whatever the clock says now: {[p['point'] for p in left]}")
    lab.d.cli("backup", "verify", "--repository", lab.repository, check_code=0)
    follow(lab.good("after a sweep", "incremental"), "after a sweep")


main(test)
