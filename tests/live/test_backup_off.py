#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A guest that is switched off: its point is what its image holds. Started while it is read, it starts, and the backup fails.
The next backup of the running guest is right: it is the reference that was taken at its checkpoint, and the one after it reads
only what changed."""
import json
import os
import threading

import disks
import vm
from bench import CLI, CLEAN_ENVIRONMENT, check, eventually, main

HOLD = """#!/bin/sh
case "$*" in *convert*) while [ -e {hold} ]; do sleep 0.05; done ;; esac
PATH={path} exec qemu-img "$@"
"""


def restore(b, d, point, name):
    image = f"{b.directory}/{name}.raw"
    d.cli("backup", "restore", point, "vda", image, "--repository", d.repository, check_code=0)
    return image


def points(d):
    return [p["point"] for p in json.loads(d.cli("backup", "list", "--repository", d.repository, "--json",
                                                 check_code=0).stdout)["points"]]


def end(g):
    g.shell.run("sync")
    g.monitor.send('{"execute":"quit"}\n')
    g.process.wait(30)


def live(b, d, g, image, hold):
    """A backup of the running guest, held at its checkpoint for a reference."""
    reference, done = f"{b.directory}/reference.raw", []
    with open(hold, "w"):
        pass
    thread = threading.Thread(target=lambda: done.append(d.cli("backup", "run", "g", "--json")))
    thread.start()
    eventually(lambda: g.monitor.ask("query-status")["status"] == "paused" and len(disks.leftovers(g)) == 3,
               "it stands still at its checkpoint", explain=d.log)
    disks.run("qemu-img", "convert", "-U", "-O", "raw", image, reference)
    os.unlink(hold)
    thread.join()
    check(done[0].returncode == 0, f"the backup is done (exit code {done[0].returncode}) {done[0].stderr}")
    job = json.loads(done[0].stdout)["jobs"][0]
    check(disks.is_same(restore(b, d, job["point"], f"live{job['job']}"), reference), "it is identical with the reference")
    return job


def test(b):
    disks.need_tools()
    image, = disks.images(b, "g", ("ext4",), 64)
    g, = b.boot(("g", {"boot_mib": 192, "disks": [image]}))
    hold, late = f"{b.directory}/hold", f"{b.directory}/late"
    repository = disks.repository(b)
    d = b.daemon(disks.config(b, repository), wait=False)
    d.kill()
    d.repository, d.environment = repository, {"BALLAST_TEST_BACKUP": f"cont:hold:{hold}"}
    d.start()
    d.wait_for("g")
    live(b, d, g, image, hold)
    failed = d.cli("backup", "run", "--off", "g", "--repository", repository)
    check(failed.returncode == 1 and "is in use" in failed.stderr, f"one that runs is refused: {failed.stderr}")
    g.shell.run("dd if=/dev/urandom of=/a/new bs=1M count=4; sync")
    end(g)

    job = json.loads(d.cli("backup", "run", "--off", "g", "--repository", repository, "--json", check_code=0).stdout)["jobs"][0]
    check(job["consistency"] == "off" and job["disks"][0]["file"] == image, "switched off, it is backed up as its last point says")
    check(job["disks"][0]["stored_bytes"] < 8 << 20, "and only what changed is stored")
    compared = disks.run("qemu-img", "compare", "-f", "qcow2", "-F", "raw", image, restore(b, d, job["point"], "off"))
    check("identical" in compared, "it is what the image holds")

    os.makedirs(f"{b.directory}/bin")
    with open(f"{b.directory}/bin/qemu-img", "w") as f:
        f.write(HOLD.format(hold=late, path=CLEAN_ENVIRONMENT["PATH"]))
    os.chmod(f"{b.directory}/bin/qemu-img", 0o755)
    with open(late, "w"):
        pass
    before = points(d)
    command = vm.spawn([CLI, "backup", "run", "--off", "g", "--repository", repository], f"{b.directory}/off.log",
                       env={**CLEAN_ENVIRONMENT, "PATH": f"{b.directory}/bin:{CLEAN_ENVIRONMENT['PATH']}"})
    eventually(lambda: os.listdir(f"{repository}/locks"), "it is about to be read")
    g = b.start_guest("g", boot_mib=192, disks=[image], suffix="-again").wait_up()
    check(g.is_running(), "it can be started all the same")
    os.unlink(late)
    check(command.wait(60) == 1, "then the backup fails")
    with open(f"{b.directory}/off.log") as f:
        said = f.read()
    check("came into use while it was read" in said, f"and says why: {said}")
    check(points(d) == before, "and is no point")

    d.wait_for("g")
    g.shell.run("dd if=/dev/urandom of=/a/new bs=1M count=2 conv=notrunc; rm -f /a/probe; sync")
    job = live(b, d, g, image, hold)
    check(job["disks"][0]["read"] == "full" and any("switched off" in note for note in job["notes"]),
          "the next one of the running guest reads all, and says why")
    g.shell.run("dd if=/dev/urandom of=/a/more bs=1M count=1; sync")
    check(live(b, d, g, image, hold)["disks"][0]["read"] == "incremental", "the one after it what changed")


main(test)
