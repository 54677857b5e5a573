#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hot-add raises what the guest sees above what it booted with; hot-remove lowers it again. And a guest that leaves
plugged memory offline, as Debian does by default, is not said to have it."""
from bench import check, eventually, main


def test(b):
    p, u = b.boot(("p", {"boot_mib": 256, "plug_mib": 512}), ("u", {"boot_mib": 256, "plug_mib": 512, "online": False}))
    at_boot = p.total_mib()
    d = b.daemon(memory_mib=b.host_mib(1100))
    d.wait_for("p", "u")

    p.load.grow(320, rate_mib=10)
    eventually(lambda: p.total_mib() > at_boot + 100, "hot-add: the guest sees more than it booted with", explain=d.log)
    check(p.plugged_mib() > 0, "by virtio-mem")
    check(p.load.checksum_kib() == 320 * 1024, "its memory is intact")
    check(p.oom_kills() == 0, "nothing was killed")
    status = d.guest("p")
    check(status["assigned_bytes"] > 256 << 20, "status says it has more than its boot memory")

    grown = p.total_mib()
    p.load.release(300)
    eventually(lambda: p.total_mib() < grown - 100, "hot-remove: it sees less again", explain=d.log)
    eventually(lambda: p.plugged_mib() <= 64, "what was plugged is given back", explain=d.log)
    check(p.load.checksum_kib() == 20 * 1024, "what it kept is intact")

    u.load.grow(165, rate_mib=10)
    eventually(lambda: d.log_lines("'u'", "offline") and u.plugged_mib() == 0,
               "memory left offline is unplugged and said", explain=d.log)
    eventually(lambda: "online" in (d.guest("u")["trouble"] or ""), "status says what to do", explain=d.log)
    check(d.guest("u")["assigned_bytes"] <= 256 << 20, "and never counted as given")
    check(u.oom_kills() == 0, "nothing was killed there either")


main(test)
