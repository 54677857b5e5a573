#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""S1b. On a full host a guest resets: it takes back all it booted with, and nothing is taken from the others for it.
Then all of them reset at once: nobody's processes die, nothing is taken while they boot, all recover."""
import time

from bench import check, eventually, main


def settled(b, d):
    eventually(d.fits, "all guests together fit the host", explain=d.log)
    for guest in b.guests:
        eventually(lambda: d.assigned_mib(guest.name) < 300, f"'{guest.name}' is balanced", explain=d.log)

    def rests():
        sizes = [guest.assigned_mib() for guest in b.guests]
        time.sleep(4)
        return sizes == [guest.assigned_mib() for guest in b.guests]
    eventually(rests, "nobody moves any more", explain=d.log)


def test(b):
    guests = b.boot(*((name, {"boot_mib": 384}) for name in ("a", "c", "e")))
    d = b.daemon(memory_mib=b.host_mib(520))
    d.wait_for("a", "c", "e")
    for guest in guests:
        guest.load.grow(24)
    settled(b, d)
    a, others = guests[0], guests[1:]

    before = {guest.name: guest.assigned_mib() for guest in others}
    a.reset()
    eventually(lambda: d.guest("a").get("counted_bytes", 0) >= 384 << 20,
               "the reset guest counts as holding all it booted with", explain=d.log)
    check(d.guest("a")["order"] == "none", "and is not told anything while it boots")
    # Nothing is taken for it unless it stays away for 15 s; a slow machine may take longer to boot it.
    end = time.monotonic() + 12
    while time.monotonic() < end and "booting" in d.guest("a").get("flags", []):
        for guest in others:
            check_quiet(guest, before)
        time.sleep(0.5)
    a.wait_up()
    settled(b, d)

    for guest in guests:
        guest.reset()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status = d.guests()
        booting = [g for g in status.values() if "booting" in g.get("flags", [])]
        if any(g["order"] != "none" for g in booting):
            raise AssertionError(f"a booting guest was given an order: {booting}\n{d.log()}")
        if status and not booting:
            break
        time.sleep(0.2)
    for guest in guests:
        guest.wait_up()
        guest.load.grow(24, rate_mib=10)
    settled(b, d)
    for guest in guests:
        check(guest.oom_kills() == 0, f"'{guest.name}': nothing was killed")
        check(guest.load.checksum_kib() == 24 * 1024, f"'{guest.name}' runs and its memory is intact")
        check("Kernel panic" not in guest.console(), f"'{guest.name}' did not panic")


def check_quiet(guest, before):
    now = guest.assigned_mib()
    if now < before[guest.name] - 1:
        raise AssertionError(f"'{guest.name}' gave for a guest that boots: {before[guest.name]} -> {now} MiB")


main(test)
