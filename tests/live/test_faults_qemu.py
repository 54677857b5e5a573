#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""QEMU ends around a backup: killed in the window, between backups and in mid-copy, quit between backups, powered off in
mid-copy. The guest that is started again runs, nothing is left, and the next point is right: the disks of a QEMU that was
killed are read in full once, and said; all others go on from the newest point."""
from bench import check, eventually, main
from faults import Lab

ENDED = "guest 'g'", "QEMU"  # gone, or its monitor lost: as the one or the other is seen first
SLOW = "4 MiB"  # a second: a full of the noise below is in the middle for long


def kill(lab):
    lab.g.process.kill()
    lab.g.process.wait()


def said(job, words):
    check(any(words in note for note in job["notes"]), f"and said: {words}")


def start_again(lab, what, read):
    """After QEMU's end."""
    lab.boot_again()
    eventually(lambda: lab.g.shell.run(f"[ -s /a/{lab.log} ] && echo yes") == "yes", None)
    job = lab.good(what, read)
    if read == "full":
        said(job, "was killed")
    return job


def killed(lab):
    lab.daemon(hold="cont")
    lab.good("first", "full")
    lab.good("second", "incremental")
    run = lab.begin(at="cont")
    kill(lab)
    lab.failed(run, *ENDED)
    lab.go_on()
    start_again(lab, "killed in the window", "full")
    lab.good("then", "incremental")

    lab.g.shell.run("dd if=/dev/urandom of=/b/noise bs=1M count=24 2>/dev/null; sync", 60)
    lab.daemon(bandwidth=SLOW)
    run = lab.begin()
    eventually(lambda: sum(disk["received_bytes"] for disk in lab.job().get("disks", [])) > 0, "the copy is under way")
    kill(lab)
    lab.failed(run, *ENDED)
    lab.daemon()
    start_again(lab, "killed in mid-copy", "full")


def ended(lab):
    """QEMU ends as it should: its records of changes are kept, also those of a backup that was under way."""
    lab.g.monitor.tell("quit")
    lab.g.process.wait()
    start_again(lab, "quit between backups", "incremental")

    lab.g.shell.run("dd if=/dev/urandom of=/b/noise bs=1M count=24 2>/dev/null; sync", 60)
    lab.daemon(bandwidth=SLOW)
    run = lab.begin()
    eventually(lambda: sum(disk["received_bytes"] for disk in lab.job().get("disks", [])) > 0, "the copy is under way")
    lab.g.shell.tell("sync; poweroff -f")
    lab.failed(run, *ENDED)
    lab.g.process.wait()
    lab.daemon()
    start_again(lab, "powered off in mid-copy", "incremental")


def test(b):
    lab = Lab(b)
    lab.boot()
    killed(lab)
    ended(lab)


main(test)
