#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""S4. Of eight guests one's balloon hears no target, another's QEMU hangs altogether: both are shown with their reason, and
the others move as if they were not there."""
from bench import check, eventually, main


def test(b):
    deaf, hung, a, c, *idle = b.boot(("deaf", {"boot_mib": 384, "deaf": True}), ("hung", {"boot_mib": 256}),
                                     ("a", {"boot_mib": 384}), ("c", {"boot_mib": 384}),
                                     *((f"idle{i}", {"boot_mib": 160}) for i in range(4)))
    a.load.grow(140)  # before: faster than balloon statistics tell of, and a host this full takes at once
    d = b.daemon(memory_mib=b.host_mib(384 + 256 + 420 + 4 * 160))
    d.wait_for("deaf", "hung", "a", "c", *(g.name for g in idle))
    hung.stop()
    try:
        eventually(lambda: d.has_flag("hung", "silent"), "the hung guest is shown as silent", explain=d.log)
        eventually(lambda: d.has_flag("deaf", "stuck"), "the deaf guest is shown as stuck", explain=d.log)
        reasons = d.guest("deaf")["reasons"]
        check("stuck" in reasons and len(reasons["stuck"]) > 10, f"with its reason: {reasons.get('stuck')}")
        check(deaf.assigned_mib() == 384, "it has what it had")
        check(d.guest("deaf")["held_bytes"] == 384 << 20, "and counts as holding it")

        a.load.release()
        total = c.total_mib()
        c.load.grow(170, rate_mib=10)
        eventually(lambda: c.total_mib() > total, "meanwhile 'c' gets memory from 'a'", explain=d.log)
        check(c.load.checksum_kib() == 170 * 1024, "it is intact")
        eventually(lambda: {name for name, guest in d.guests().items() if "silent" in guest["flags"]} == {"hung"},
                   "all others are heard", explain=d.log)
        check(c.oom_kills() == 0 and a.oom_kills() == 0 and deaf.oom_kills() == 0, "nothing was killed anywhere")
    finally:
        hung.go_on()
    eventually(lambda: not d.has_flag("hung", "silent"), "the hung guest goes on and is heard again", explain=d.log)


main(test)
