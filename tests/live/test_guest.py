#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The bench itself: a guest boots, its load grows, verifies and releases, the balloon and virtio-mem move what the
guest sees, and the forging tool does what it says. Without this, no other live test proves anything."""
from bench import check, eventually, main


def test(b):
    a, m, d = b.boot(("a", {"boot_mib": 256}), ("m", {"boot_mib": 256, "plug_mib": 512}),
                     ("d", {"boot_mib": 256, "deaf": True}))

    before = a.load.meminfo()
    a.load.grow(64)
    after = a.load.meminfo()
    check(a.load.checksum_kib() == 64 * 1024, "64 MiB are filled and verified")
    check(before["MemAvailable"] - after["MemAvailable"] > 60 * 1024, "and the guest has as much less available")
    check("Mem:" in a.free(), "free -m runs in the guest")
    check(a.load.state()["held"] == 64 * 1024, "the load knows what it holds")
    a.load.release(32)
    check(a.load.checksum_kib() == 32 * 1024, "half of it is released, the rest still verified")

    total = total_at_boot = a.total_mib()
    a.monitor.ask("balloon", value=192 << 20)
    eventually(lambda: a.balloon_mib() == 192, "the balloon takes 64 MiB")
    check(total - 64 <= a.total_mib() <= total - 60, "and the guest's MemTotal falls by them")

    total = m.total_mib()
    m.monitor.ask("qom-set", path="/machine/peripheral/vmem0", property="requested-size", value=256 << 20)
    eventually(lambda: m.total_mib() >= total + 240, "hot-added memory raises MemTotal")
    m.monitor.ask("qom-set", path="/machine/peripheral/vmem0", property="requested-size", value=0)
    eventually(lambda: m.total_mib() <= total, "hot-removed memory lowers it")

    d.monitor.ask("balloon", value=128 << 20)
    d.shell.run("sleep 2")
    check(d.balloon_mib() == 256, "the deaf guest does not move")
    balloon = "/machine/peripheral/balloon0"
    d.monitor.ask("qom-set", path=balloon, property="guest-stats-polling-interval", value=1)
    eventually(lambda: d.monitor.ask("qom-get", path=balloon, property="guest-stats")["last-update"],
               "but tells statistics")

    a.shell.run("rmmod virtio_balloon")
    check(a.shell.run("forge 200") == "forged", "with its driver gone the guest writes the device's registers")
    check(a.balloon_mib() == 256 - 200, "and QEMU believes the balloon holds 200 MiB")
    check(a.total_mib() >= total_at_boot, "while the guest has all its memory")
    check(a.resident_mib() > 60, "as the host can see")


main(test, need_daemon=False)
