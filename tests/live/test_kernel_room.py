#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hot-added memory that is all movable starves the guest's kernel while MemAvailable says there is plenty: the agent
tells, ballastd plugs no more than the kernel has room for, and says so. Ordered all at once, the same guest kills its
processes."""
import os

from bench import always, check, eventually, main, skip

PLUG_MIB = 6144


def test(b):
    if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < (PLUG_MIB + 1024) << 20:
        skip(f"this machine has less memory than a guest of {PLUG_MIB} MiB may have")
    guest, = b.boot(("a", {"boot_mib": 128, "plug_mib": PLUG_MIB, "online": False, "agent": True,
                           "kernel_options": "memhp_default_state=online_movable"}))
    check(guest.shell.run("cat /sys/devices/system/memory/auto_online_blocks") == "online_movable",
          "the agent leaves alone what somebody has set")
    d = b.daemon(memory_mib=PLUG_MIB + 1024, guests={"a": {"minimum": f"{PLUG_MIB} MiB"}})
    eventually(lambda: d.log_lines("'a'", "its kernel has"), "ballastd says that the guest's kernel has no room for more",
               explain=lambda: f"{guest.plugged_mib()} MiB plugged\n{d.log()}")
    plugged = guest.plugged_mib()
    check(512 <= plugged < PLUG_MIB, f"it was given what its kernel has room for: {plugged} MiB")
    always(lambda: guest.plugged_mib() <= plugged + 512, "it stays at that", 5)
    check(guest.load.meminfo()["oom_kill"] == 0, "nothing in the guest was killed")
    check(guest.total_mib() > 512, "and what was added is online")

    # What was asked for outlives a reset: right for a guest that tells of its kernel, deadly for one that boots.
    guest.reset()
    guest.wait_up()
    eventually(lambda: guest.plugged_mib() >= plugged - 512, "it boots, is heard, and gets what it had", explain=d.log)
    check(guest.load.meminfo()["oom_kill"] == 0, "and nothing in it was killed")


main(test)
