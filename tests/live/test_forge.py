#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A guest unloads its balloon driver and writes into the device that the balloon holds nearly all: what the host sees
of its RAM counts."""
from bench import check, eventually, main

MIB = 1 << 20


def test(b):
    f, g, o = b.boot(("f", {"boot_mib": 256}), ("g", {"boot_mib": 256}), ("o", {"boot_mib": 256}))
    d = b.daemon(memory_mib=b.host_mib(700))
    d.wait_for("f", "g", "o")
    f.load.grow(110, rate_mib=10)
    o.load.grow(16)
    eventually(lambda: d.guest("f")["demand_bytes"] > 150 * MIB, "'f' is known to need what it uses")
    others = o.total_mib()

    f.shell.run("rmmod virtio_balloon")
    check(f.shell.run("forge 200") == "forged", "'f' writes the balloon's registers")
    check(f.assigned_mib() == 56, "QEMU believes that 'f' has 56 MiB")
    eventually(lambda: d.has_flag("f", "breach"), "ballast shows the breach", explain=d.log)
    status = d.guest("f")
    check(status["held_bytes"] >= (f.resident_mib() - 16) * MIB, "and reports as held what the host sees")
    check(status["held_bytes"] > 150 * MIB, "which is far more than 'f' says")
    check(status["breaches"] >= 1, "it counts the breach")
    check("breach" in status["reasons"], "and gives a reason")
    check(d.host()["held_bytes"] >= status["held_bytes"] + d.guest("o")["held_bytes"] - 16 * MIB,
          "the host's sum counts it, too")
    check(f.load.checksum_kib() == 110 * 1024, "'f' itself was not harmed")
    eventually(lambda: len(d.log_lines("'f'", "holds more memory than it says")) == 1, "one line in the log says so")
    check(o.total_mib() <= others and o.load.checksum_kib() == 16 * 1024, "the other guest goes on as before")

    f.shell.run("insmod /lib/modules/virtio_balloon.ko")
    eventually(lambda: not d.has_flag("f", "breach"), "with its driver back it is no longer in breach", explain=d.log)

    # The same with memory in the balloon: unloading the driver takes it all back, which looks like a guest that boots.
    eventually(lambda: g.assigned_mib() < 200, "'g' gave memory to its balloon", explain=d.log)
    g.load.grow(40)
    g.shell.run("rmmod virtio_balloon && forge 200")
    eventually(lambda: d.has_flag("g", "breach"), "'g' is shown in breach, too", explain=d.log)
    check(d.guest("g")["held_bytes"] >= (g.resident_mib() - 16) * MIB, "and reported as what the host sees")
    check(d.guest("g")["counted_bytes"] >= 256 * MIB, "while grants count all that it may hold")


main(test)
