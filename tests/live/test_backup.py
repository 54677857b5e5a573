#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Live backup of a guest with two disks (ext4, xfs) under a writer: full, then incremental after writes, zeroes and a
discard. Restored images are byte for byte what an independent copy says that was taken while the guest stood still at the
checkpoint; e2fsck needs to replay nothing; synced records are there without a gap."""
import json
import os
import threading

import disks
from bench import check, eventually, main


def backup(b, d, guest, images, number):
    """One backup, held at its checkpoint for the reference images; returns its job and their paths."""
    hold, references = d.hold_file, [f"{b.directory}/reference{number}-{i}.raw" for i in range(len(images))]
    done = []
    with open(hold, "w"):
        pass
    thread = threading.Thread(target=lambda: done.append(d.cli("backup", "run", guest.name, "--json")))
    thread.start()
    eventually(lambda: guest.monitor.ask("query-status")["status"] == "paused" and len(disks.leftovers(guest)) == 3 * (len(images) + 1),
               "the guest stands still at the checkpoint", explain=d.log)
    check(d.has_flag(guest.name, "frozen"), "and is shown as frozen")
    for image, reference in zip(images, references):
        disks.run("qemu-img", "convert", "-U", "-O", "raw", image, reference)
    os.unlink(hold)
    thread.join()
    check(done[0].returncode == 0, f"the backup is done (exit code {done[0].returncode}) {done[0].stderr}")
    job = json.loads(done[0].stdout)["jobs"][0]
    check(job["consistency"] == "fs" and job["file_systems_frozen"] == 2 == job["file_systems_thawed"],
          f"two file systems were frozen until the thaw ({job['freeze_ms']} ms, held for the reference)")
    check(disks.is_writable(guest) and not disks.leftovers(guest), "the guest writes on, and nothing is left in QEMU")
    return job, references


def restore(b, d, job, references):
    images = []
    for i, reference in enumerate(references):
        image = f"{b.directory}/restored{job['job']}-{i}.raw"
        d.cli("backup", "restore", job["point"], "vd" + "ab"[i], image, "--repository", d.repository, check_code=0)
        check(disks.is_same(image, reference), f"disk {i} is identical with the reference")
        images.append(image)
    disks.run("e2fsck", "-fn", images[0])
    return images


def test(b):
    disks.need_tools()
    images = disks.images(b, "g")
    flash, variables = disks.firmware(b)
    g, = b.boot(("g", {"boot_mib": 256, "disks": images, "extra": flash}))
    repository = disks.repository(b)
    d = b.daemon(disks.config(b, repository), wait=False)
    d.kill()
    d.repository, d.hold_file = repository, f"{b.directory}/hold"
    d.environment = {"BALLAST_TEST_BACKUP": f"cont:hold:{d.hold_file}"}
    d.start()
    d.wait_for("g")
    g.shell.run("for i in 1 2 3 4; do dd if=/dev/urandom of=/a/f$i bs=1M count=8; cp /a/f$i /b/f$i; done 2>/dev/null; sync")
    g.shell.run("writer /a/log 5 </dev/null >/dev/null 2>&1 &")

    job, references = backup(b, d, g, images, 1)
    check(all(disk["read"] == "full" for disk in job["disks"]), "the first backup reads all")
    first = disks.check_records(restore(b, d, job, references)[0], 1, "the writer's file in the first point")

    g.shell.run("dd if=/dev/urandom of=/a/f1 bs=1M count=3 seek=2 conv=notrunc; dd if=/dev/zero of=/b/f3 bs=1M count=6"
                " conv=notrunc; rm /a/f2 /b/f2; sync; fstrim /a; fstrim /b; dd if=/dev/urandom of=/b/f1 bs=4k count=1"
                " seek=700 conv=notrunc; sync", 30)
    job, references = backup(b, d, g, images, 2)
    check(all(disk["read"] == "incremental" for disk in job["disks"]), "the second one reads what changed")
    check(sum(disk["stored_bytes"] for disk in job["disks"]) < 24 << 20, "and what was trimmed and zeroed costs nothing")
    disks.check_records(restore(b, d, job, references)[0], first, "in the second point")
    d.cli("backup", "restore", job["point"], "pflash1", f"{b.directory}/flash", "--repository", repository, check_code=0)
    check(disks.is_same(f"{b.directory}/flash", variables), "the firmware's variables are in the point")
    os.unlink(variables)  # the boot test has a copy of its own
    d.cli("backup", "verify", "--repository", repository, check_code=0)
    tried, = json.loads(d.cli("backup", "verify", "--boot", "--repository", repository, "--json", check_code=0).stdout)["points"]
    check(tried["ok"] and tried["by"] == "agent", f"the point boots, its agent answers after {tried['milliseconds']} ms")
    shown = json.loads(d.cli("backup", "show", job["point"], "--repository", repository, "--json", check_code=0).stdout)
    check(shown["boot"]["ok"], "which is kept")
    listed = d.cli("backup", "list", "--repository", repository, check_code=0).stdout
    check(f"{tried['milliseconds'] // 1000}." in listed.splitlines()[-1], f"and listed\n{listed}")
    check(all(r["state"] == "cancelled" for r in json.loads(d.cli("reserve", "--json").stdout)["reservations"]),
          "the memory for it is given back")
    check(os.listdir(f"{d.state_dir}/fleece") == [] and not [f for f in os.listdir(f"{d.runtime_dir}/backup")],
          "no file is left")


main(test)
