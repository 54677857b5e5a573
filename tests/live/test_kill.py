#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""S10. ballastd is killed with kill -9, then stopped as systemd does: the guests run on with what they have. A new
one adopts them without moving memory."""
import time

from bench import check, eventually, main

QUIET_SEC = 8  # a newly found guest is watched for longer before anything is taken slowly


def unmoved(b, before, what, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = {guest.name: guest.assigned_mib() for guest in b.guests}
        if now != before:
            raise AssertionError(f"{what}: {before} -> {now}")
        time.sleep(0.25)
    check(True, what)


def test(b):
    a, p = b.boot(("a", {"boot_mib": 256}), ("p", {"boot_mib": 256, "plug_mib": 256, "plugged_mib": 64}))
    a.load.grow(40)
    p.load.grow(220)
    d = b.daemon(memory_mib=b.host_mib(560))
    d.wait_for("a", "p")
    before = b.steady(d)

    d.kill()
    unmoved(b, before, "kill -9: the guests keep what they have", 3)
    check(a.load.checksum_kib() == 40 * 1024 and p.load.checksum_kib() == 220 * 1024, "and run on, undamaged")
    d.start()
    d.wait_for("a", "p")
    unmoved(b, before, "a new ballastd adopts them without moving memory", QUIET_SEC)

    check(d.terminate() == 0, "SIGTERM ends it with exit code 0")
    unmoved(b, before, "and again nothing moves", 3)
    d.start()
    d.wait_for("a", "p")
    a.load.grow(90, rate_mib=10)
    eventually(lambda: a.total_mib() > before["a"] - 20, "the new one balances: 'a' grows", explain=d.log)
    check(a.load.checksum_kib() == 130 * 1024 and a.oom_kills() == 0, "and is well")


main(test)
