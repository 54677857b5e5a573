#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a guest, its user and others do in a backup: it reboots while it is frozen and in mid-copy; its user pauses it before,
in mid-copy and in between, and it stays paused; two backups of it at once, and one beside another program's job. It runs and
writes, nothing is left, and the next point is right and incremental."""
from bench import check, eventually, main
from faults import WRITER, Lab


def reset(lab):
    run = lab.begin(at="cont")
    lab.g.reset()
    lab.go_on()
    lab.failed(run, "was reset or shut down while it was frozen")
    up_again(lab)
    lab.good("reset while frozen", "incremental")

    lab.daemon(hold="push")
    run = lab.begin(at="push")
    lab.g.monitor.events.clear()
    lab.g.shell.tell("sync; reboot -f")
    eventually(lambda: lab.g.monitor.ask("query-status") and "RESET" in [event["event"] for event in lab.g.monitor.events],
               "the guest reboots")
    lab.go_on()
    job = run.end()
    check(job["state"] == "done" and job["consistency"] == "fs", "a guest that reboots in mid-copy loses no backup")
    up_again(lab)
    lab.good("reboot in mid-copy", "incremental")


def up_again(lab):
    lab.g.wait_up()
    lab.g.shell.run(f"rm -f /a/log; {WRITER}")


def paused(lab):
    lab.g.monitor.ask("stop")
    job = lab.good_paused("paused by its user before")
    check(job["stall_ms"] == 0 and job["freeze_ms"] == 0, "nothing was stopped or continued")
    lab.g.monitor.ask("cont")
    run = lab.begin(at="push")
    lab.g.monitor.ask("stop")
    lab.go_on()
    job = run.end()
    check(job["state"] == "done" and job["consistency"] == "fs", "paused by its user in mid-copy: the backup is done")
    check(lab.g.monitor.ask("query-status")["status"] == "paused", "and the guest is still paused")
    lab.g.monitor.ask("cont")
    lab.good("paused in mid-copy", "incremental")

    lab.daemon(hold="arm")
    run = lab.begin(at="arm")
    lab.g.monitor.ask("stop")
    lab.go_on()
    lab.failed(run, "paused by somebody else")
    check(lab.g.monitor.ask("query-status")["status"] == "paused", "what its user wanted is not undone")
    lab.check_clean("paused while all is prepared", runs=False)
    lab.g.monitor.ask("cont")


def at_once(lab):
    """Two backups, and another program's job."""
    lab.daemon(hold="push")
    run = lab.begin(at="push")
    lab.failed(lab.begin(), "is being backed up already")
    lab.go_on()
    check(run.end()["state"] == "done", "the first of two at once is done")
    lab.g.monitor.ask("drive-mirror", job_id="theirs", device="disk1", target=f"{lab.b.directory}/mirror", sync="full",
                      format="raw", speed=1 << 16)
    lab.failed(lab.begin(), "another program runs a job of type 'mirror' ('theirs')")
    check([job["id"] for job in lab.g.monitor.ask("query-jobs")] == ["theirs"], "whose job is left alone")
    lab.g.monitor.ask("block-job-cancel", device="theirs", force=True)
    eventually(lambda: not lab.g.monitor.ask("query-jobs"), None)
    lab.good("after another program's job", "incremental")


def test(b):
    lab = Lab(b)
    lab.boot()
    lab.daemon(hold="cont")
    lab.good("first", "full")
    reset(lab)
    paused(lab)
    at_once(lab)


main(test)
