#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A guest with deflate-on-oom=on, as Proxmox VE and libvirt set it, fills memory faster than anybody can hear of it:
it takes back what the balloon holds. That is no foreign hand and no breach, and afterwards it has what it needs."""
from bench import check, eventually, main


def test(b):
    s, o = b.boot(("s", {"boot_mib": 384, "deflate_on_oom": True}), ("o", {"boot_mib": 384, "deflate_on_oom": True}))
    total = s.total_mib()
    d = b.daemon(memory_mib=b.host_mib(520))
    d.wait_for("s", "o")
    o.load.grow(40)
    b.steady(d)
    check(s.assigned_mib() < 200, f"the balloon holds much of it: {s.assigned_mib()} MiB are left")
    check(s.total_mib() == total, "while its MemTotal stays")

    s.load.grow(160)
    check(s.load.checksum_kib() == 160 * 1024 and s.oom_kills() == 0,
          "160 MiB at once: it took them, nothing was killed")
    eventually(lambda: s.assigned_mib() > 230, "it has what it needs", explain=d.log)
    eventually(lambda: d.guest("s")["pressure_percent"] < 100 and d.fits(), "and is not short of memory", explain=d.log)
    flags = set(d.guest("s")["flags"])
    check(not flags & {"foreign-hand", "breach"}, f"it is not blamed for it: {sorted(flags)}")
    check(o.load.checksum_kib() == 40 * 1024 and o.oom_kills() == 0, "the other guest is well")

    s.load.release()
    eventually(lambda: s.assigned_mib() < 200, "what it released is taken again", explain=d.log)


main(test)
