#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator asks for, as QEMU and the guests see it: memory reserved, values set, moves paused, all given back; and who
may not ask."""
import json
import os
import subprocess

import bench
from bench import always, check, eventually, main

BOOT_MIB = 256
CAPACITY_MIB = 600
RESERVED_MIB = 240
NOBODY = "65534"


def reservations(d):
    return json.loads(d.cli("reserve", "--json", check_code=0).stdout)["reservations"]


def as_nobody(d, *words):
    for path in (os.path.dirname(d.directory), d.directory, d.runtime_dir):
        os.chmod(path, 0o755)
    os.chmod(d.socket, 0o666)  # not the file's mode but the kernel's word on the peer decides
    return subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", bench.CLI, "--socket", d.socket,
                           *words], capture_output=True, text=True, timeout=60, env=bench.CLEAN_ENVIRONMENT)


def test(b):
    a, c = b.boot(("a", {"boot_mib": BOOT_MIB}), ("c", {"boot_mib": BOOT_MIB}))
    whole = {guest.name: guest.total_mib() for guest in (a, c)}
    for guest in (a, c):
        guest.load.grow(110)
        guest.load.release()  # the guest does not need it any more, but the host still holds it
    d = b.daemon(memory_mib=b.host_mib(CAPACITY_MIB))
    d.wait_for("a", "c")

    resident = a.resident_mib() + c.resident_mib()
    done = d.cli("reserve", f"{RESERVED_MIB}MiB", "--expires", "5min", check_code=0)
    check("are held for the first new guest that fits" in " ".join(done.stdout.split()), f"reserved: {done.stdout.strip()}")
    check(a.assigned_mib() + c.assigned_mib() <= CAPACITY_MIB - RESERVED_MIB, "QEMU confirms that the guests gave")
    eventually(lambda: a.resident_mib() + c.resident_mib() <= resident - 60, "and the host has it back")
    check(d.cli("reserve", "2GiB").returncode == 1 and len(reservations(d)) == 1, "more than there is is refused")

    done = d.cli("set", "a", "minimum=200MiB", check_code=0)
    eventually(lambda: a.assigned_mib() >= 200 and a.total_mib() >= whole["a"] - BOOT_MIB + 200 - 8,
               "a new minimum holds at once, as the guest sees it", explain=d.log)
    check("already so" in d.cli("set", "a", "minimum=200MiB", check_code=0).stdout, "asked again it changes nothing")
    d.cli("reserve", "--cancel", "1", check_code=0)
    check(reservations(d)[0]["state"] == "cancelled", "the reservation is given back")

    d.cli("pause", "c", check_code=0)
    eventually(lambda: d.guest("c")["in_flight_bytes"] is None, None)
    had = c.assigned_mib()
    d.cli("set", "c", "minimum=220MiB", check_code=0)
    always(lambda: c.assigned_mib() == had, "a paused guest keeps its size", 3)
    check(d.has_flag("c", "on-hold") and "ballast resume c" in d.guest("c")["reasons"]["on-hold"], "the status says why")
    d.cli("resume", "c", check_code=0)
    eventually(lambda: c.assigned_mib() >= 220, "and follows once it is resumed", explain=d.log)

    if os.geteuid() == 0:
        done = as_nobody(d, "off")
        check(done.returncode == 1 and "for operators only" in done.stderr and "ballast-operate" in done.stderr,
              f"who is no operator is told so: {done.stderr.strip()}")
        check(d.host()["moves"] == "on", "and changed nothing")

    d.cli("release", "--all", "--wait", "60s", check_code=0)
    check(a.assigned_mib() == c.assigned_mib() == BOOT_MIB, "all memory is given back, as QEMU confirms")
    eventually(lambda: a.total_mib() >= whole["a"] - 1 and c.total_mib() >= whole["c"] - 1, "and as each guest sees it")
    check(d.host()["moves"] == "release", "ballast takes nothing any more")
    with open(os.path.join(d.state_dir, "audit.jsonl")) as f:
        what = [json.loads(line)["what"] for line in f]
    check(what == ["reserve", "set", "reserve-cancel", "pause", "set", "resume", "release"], f"all of it is audited: {what}")


main(test)
