#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What guests do to themselves: unload the balloon, reboot, panic, vanish, come back. One line in the log each, and
no trouble to others."""
import time

from bench import check, eventually, main

LINES_MAX = 3  # what happened, that it is back, and a flag it had meanwhile


class Quiet:
    """The other guest: keeps its memory and what is in it while its neighbours misbehave."""

    def __init__(self, guest, d):
        self.guest, self.d = guest, d
        self.total = guest.total_mib()

    def check(self, what):
        check(self.guest.total_mib() >= self.total - 16, f"{what}: the other guest kept its memory")
        check(self.guest.load.checksum_kib() == 40 * 1024 and self.guest.oom_kills() == 0, "and what is in it")
        check(self.d.is_running(), "ballastd runs")


def test(b):
    # Without an action QEMU ends when the guest says that it panicked.
    pvpanic = ["-device", "pvpanic-pci", "-action", "panic=none"]
    x, o = b.boot(("x", {"boot_mib": 256, "extra": pvpanic}), ("o", {"boot_mib": 256}))
    o.load.grow(40)
    d = b.daemon(memory_mib=b.host_mib(440))
    d.wait_for("x", "o")
    b.steady(d)
    quiet = Quiet(o, d)

    def away(*flags):
        return set(flags) & set(d.guest("x").get("flags", flags))

    def trouble(what, act, back):
        lines = len(d.log_lines("'x'"))
        act()
        back()
        time.sleep(2)
        told = d.log_lines("'x'")[lines:]
        orders = [line for line in told if "MiB" in line and ("->" in line or " to " in line)]
        check(1 <= len(told) - len(orders) <= LINES_MAX, f"{what}: said in {len(told) - len(orders)} lines: {told}")
        quiet.check(what)

    def driver_back():
        x.shell.run("insmod /lib/modules/virtio_balloon.ko")
        recovered()

    def recovered():
        eventually(lambda: not away("silent", "booting", "breach"), "'x' is back", explain=d.log)

    def booted():
        time.sleep(1)
        x.wait_up()
        recovered()

    def unload():
        x.shell.run("rmmod virtio_balloon")
        eventually(lambda: away("silent", "booting"), "'x' without its driver is seen", explain=d.log)

    trouble("unloads its balloon", unload, driver_back)
    trouble("reboots", lambda: x.shell.tell("reboot -f"), booted)
    trouble("panics", lambda: x.shell.tell("echo c >/proc/sysrq-trigger"), booted)

    x.kill()
    eventually(lambda: "x" not in d.guests(), "its QEMU vanishes: it is gone from status", explain=d.log)
    quiet.check("vanishes")
    again = b.start_guest("x", suffix="again")
    again.wait_up()
    eventually(lambda: d.guest("x").get("demand_bytes"), "one of the same name is found again", explain=d.log)
    quiet.check("comes back")


main(test)
