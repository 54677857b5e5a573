#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two guests, a host too small for both: one grows, the other gives, and each sees it in its own MemTotal."""
from bench import check, eventually, main


def grows(b, d, guest, other, size_mib):
    before, other_before = guest.total_mib(), other.total_mib()
    guest.load.grow(size_mib, rate_mib=10)
    eventually(lambda: guest.total_mib() >= before + size_mib // 2, f"'{guest.name}' sees more memory", explain=d.log)
    check(guest.load.checksum_kib() == guest.load.state()["goal"] >= size_mib * 1024,
          f"'{guest.name}' has all it filled, undamaged")
    check(guest.oom_kills() == 0 and other.oom_kills() == 0, "no guest's kernel killed anything")
    return other_before


def test(b):
    a, c = b.boot(("a", {"boot_mib": 384}), ("c", {"boot_mib": 384}))
    capacity = 440
    d = b.daemon(memory_mib=b.host_mib(capacity))
    d.wait_for("a", "c")
    eventually(d.fits, "both are cut down to what the host has", explain=d.log)
    check(a.assigned_mib() + c.assigned_mib() <= capacity + 32, "as QEMU confirms")
    eventually(lambda: max(a.assigned_mib(), c.assigned_mib()) <= 160, "and further, to what they use", explain=d.log)
    c.load.grow(16)

    grows(b, d, a, c, 120)
    a.load.release()
    visible = grows(b, d, c, a, 140)
    eventually(lambda: a.total_mib() < visible, "'a' gave: it sees less than before", explain=d.log)
    check(c.load.checksum_kib() == 156 * 1024, "'c' still has what it kept all the while")
    check(d.fits(), "and together they hold no more than the host has")

    def told(field, truth_mib):
        return abs(d.guest("c")[field] // 2**20 - truth_mib) <= 16
    eventually(lambda: told("assigned_bytes", c.assigned_mib()), "status tells what QEMU tells")
    eventually(lambda: told("visible_bytes", c.total_mib()), "and the guest's MemTotal")
    text = d.cli("status", check_code=0).stdout
    check("a" in text.split() and "c" in text.split(), "the table names both")


main(test)
