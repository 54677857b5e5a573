#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`ballast attach`: a running guest gets the agent's port without a reboot, keeps it over one, and loses it with its QEMU.
Machines that can't take it (played without a guest in them: nothing boots) say why, and keep nothing of the try."""
import os

import vm
from bench import check, eventually, main

PORT = "/dev/virtio-ports/org.ballast.agent.0"
# The guest has no udev: the port's name is linked by hand. The agent waits for it.
AGENT = (f"ballast-agent >/dev/null 2>&1 & (while ! [ -e {PORT} ]; do for p in /sys/class/virtio-ports/*; do "
         f"grep -q org.ballast.agent.0 $p/name && ln -s /dev/${{p##*/}} {PORT}; done; sleep 0.2; done) &")


def machine(b, name, *options):
    """A QEMU with nothing in it; returns its process and a monitor of the test's own."""
    path = os.path.join(b.directory, name + ".test")
    argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-S", "-m", "32M", "-accel", "tcg",
            "-qmp", f"unix:{b.guests_dir}/{name}.qmp,server=on,wait=off", "-qmp", f"unix:{path},server=on,wait=off", *options]
    process = vm.spawn(argv, os.path.join(b.directory, name + ".log"))
    return process, vm.Monitor(path)


def ids(monitor, path="/machine/peripheral"):
    return {child["name"] for child in monitor.ask("qom-list", path=path)}


def test_machines(b, d):
    made = {"i440fx": machine(b, "i440fx", "-machine", "pc"),
            "q35": machine(b, "q35", "-machine", "q35"),
            "root": machine(b, "root", "-machine", "q35", "-device", "pcie-root-port,id=rp1")}
    try:
        eventually(lambda: {"i440fx", "q35", "root"} <= set(d.guests()), "three bare machines are known", explain=d.log)
        for name in ("i440fx", "root"):
            done = d.cli("attach", name, check_code=0)
            check("has the agent's port now" in done.stdout and "virtserialport" in done.stdout, f"{name}: {done.stdout.strip()}")
            check({"ballast-agent-port", "ballast-serial"} <= ids(made[name][1]), "QEMU has port and controller")
            check("already" in d.cli("attach", name, check_code=0).stdout, "asked again, nothing is done")
        done = d.cli("attach", "q35", check_code=1)
        check("free pcie-root-port" in done.stderr and "-device virtio-serial-pci" in done.stderr, done.stderr.strip())
        labels = {c["label"] for c in made["q35"][1].ask("query-chardev")}
        check("ballast-agent" not in labels and "ballast-serial" not in ids(made["q35"][1]), "nothing of it is left")
        check(not os.path.exists(os.path.join(b.guests_dir, "q35.agent")), "no socket either")
    finally:
        for process, monitor in made.values():
            vm.end(process)
            monitor.close()


def has_agent(d):
    return d.guest("a").get("demand_source") == "agent"


def test(b):
    a, = b.boot(("a", {"boot_mib": 256}))
    d = b.daemon(memory_mib=1024, guests={"*": {"minimum": "112 MiB"}})
    d.wait_for("a")
    test_machines(b, d)

    a.shell.run(AGENT)
    check(d.guest("a")["demand_source"] == "statistics", "a guest without the agent's port")
    done = d.cli("attach", "a", check_code=0)
    check("has the agent's port now" in done.stdout, done.stdout.strip())
    eventually(lambda: has_agent(d), "its agent is heard, without a reboot of anything", explain=d.log)
    a.reset()
    a.wait_up()
    eventually(lambda: has_agent(d) and d.guest("a")["sample_age_ms"] < 3000, "the port is still there after a reset",
               explain=d.log)
    a.kill()
    eventually(lambda: "a" not in d.guests(), "its QEMU ends", explain=d.log)
    b.start_guest("a", suffix="2")
    eventually(lambda: d.log_lines("'a'", "repeat ballast attach a", "-device virtserialport"),
               "for the next one it is said what to do", explain=d.log)


main(test)
