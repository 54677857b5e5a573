#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a point is good for, as its guest sees it: a disk of it plugged into the running guest holds the bytes of the restored
image, and goes again, whoever is killed meanwhile."""
import base64
import hashlib
import json
import os
import random
import select
import signal
import subprocess

import disks
import vm
from bench import CLEAN_ENVIRONMENT, CLI, check, eventually, main

PREFIX = "restored-ballast-"
SLOT = ("-device", "pcie-root-port,id=slot1,chassis=1")


def start(d, *arguments):
    """A command that stays; returns its process and the document it begins with."""
    process = subprocess.Popen([CLI, "--socket", d.socket, "backup", *arguments, "--repository", d.repository, "--json"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=CLEAN_ENVIRONMENT, preexec_fn=vm._die_with_parent)
    ready = select.select([process.stdout], [], [], 60)[0]
    line = process.stdout.readline() if ready else ""
    if not line:
        process.kill()
        raise AssertionError(f"{' '.join(arguments)}: {process.communicate()[1]}\n{d.log()}")
    return process, json.loads(line)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(word) for word in f.read().split()]


def in_qemu(guest):
    """What of attached disks is in QEMU: nodes and devices."""
    nodes = [node["node-name"] for node in guest.monitor.ask("query-named-block-nodes", flat=True)]
    devices = [child["name"] for child in guest.monitor.ask("qom-list", path="/machine/peripheral")]
    return [name for name in nodes + devices if name.startswith(PREFIX)]


def device(guest, serial):
    """The guest's name for the disk of that serial number, as udev would find it."""
    return guest.shell.run(f"grep -l '^{serial}$' /sys/block/*/serial 2>/dev/null | cut -d/ -f4")


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else hashlib.sha256(f.read()).hexdigest()


def attached(d, guest, *options):
    process, told = start(d, "attach", "g", "vda", guest.name, *options)
    eventually(lambda: device(guest, told["serial"]), f"the guest has the disk {told['serial']}", explain=d.log)
    return process, told, device(guest, told["serial"])


def test_attach(d, guest, image):
    wanted = sha256(image)
    process, told, name = attached(d, guest)
    check(not [f for f in os.listdir(d.runtime_dir) if f.endswith(".nbd")], "its socket has no name any more")
    check(guest.shell.run(f"sha256sum /dev/{name}", 120).startswith(wanted), "it holds the bytes of the restored image")
    check("Read-only" in guest.shell.run(f"dd if=/dev/zero of=/dev/{name} bs=4k count=1 2>&1; cat /sys/block/{name}/ro") or
          guest.shell.run(f"cat /sys/block/{name}/ro").endswith("1"), "and can't be written")
    done = d.cli("backup", "attach", "g", "vdb", guest.name, "--repository", d.repository, check_code=1)
    check("no free PCI slot" in done.stderr and "pcie-root-port" in done.stderr, done.stderr.strip())
    job = json.loads(d.cli("backup", "run", guest.name, "--json").stdout)["jobs"][0]
    check(job["state"] == "done" and [disk["name"] for disk in job["disks"]] == ["vda", "vdb"] and
          any(PREFIX in note and "not backed up" in note for note in job["notes"]), f"a backup leaves it out: {job['notes']}")
    process.send_signal(signal.SIGINT)
    check(process.wait(60) == 0, f"Ctrl-C takes it away: {process.stderr.read()}")
    check(not in_qemu(guest) and not device(guest, told["serial"]), "from QEMU and from the guest")

    process, told, name = attached(d, guest, "--writable")
    guest.shell.run(f"dd if=/dev/urandom of=/dev/{name} bs=1M count=4 seek=8 oflag=direct")
    check(not guest.shell.run(f"sha256sum /dev/{name}", 120).startswith(wanted), "a writable one takes what is written")
    nbdkit, = children(process.pid)
    os.kill(nbdkit, signal.SIGKILL)
    check(process.wait(60) == 1 and "has ended" in process.stderr.read(), "its nbdkit is killed: said")
    check(disks.is_writable(guest) and not in_qemu(guest), "the guest runs on, the disk is taken from it")

    process, told, name = attached(d, guest)
    process.kill()
    process.wait()
    eventually(lambda: not in_qemu(guest), "kill -9: ballastd takes it from the guest", explain=d.log)
    check("no disk" in d.cli("backup", "detach", guest.name, check_code=0).stdout, "and nothing is left for detach")


class Agent(vm.Channel):
    """qemu-guest-agent of a started guest."""

    def run(self, path, *arguments):
        """A program's output; None while the agent is not up."""
        number = random.getrandbits(31)
        try:
            answer = self.ask("guest-sync", 2, id=number)
            while answer != number:  # late answers to earlier ones
                answer = json.loads(self.read_until(b"\n", 2))["return"]
        except TimeoutError:
            return None
        pid = self.ask("guest-exec", path=path, arg=list(arguments), capture_output=True)["pid"]
        state = eventually(lambda: self.ended(pid), None)
        return base64.b64decode(state.get("out-data", "")).decode()

    def ended(self, pid):
        state = self.ask("guest-exec-status", pid=pid)
        return state if state["exited"] else None

    def ask(self, command, timeout=vm.ANSWER_SEC, **arguments):
        arguments = {key.replace("_", "-"): value for key, value in arguments.items()}
        self.send(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        return json.loads(self.read_until(b"\n", timeout))["return"]


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def sum_in(told, path):
    """Of a file in a started guest, once it is up."""
    agent = Agent(told["agent"])
    return eventually(lambda: agent.run("/bin/busybox", "sha256sum", path), f"{told['name']} is up: its agent answers").split()[0]


def test_start(b, d, wanted):
    """wanted: the sum of /a/f1."""
    process, told = start(d, "start", "g", "old")
    check(is_alive(told["pid"]) and not told["network"], f"a guest runs from the repository after {told['milliseconds']} ms")
    check(sum_in(told, "/a/f1") == wanted, "its file is the one that was backed up")
    process.send_signal(signal.SIGINT)
    check(process.wait(60) == 0 and not is_alive(told["pid"]) and not os.path.exists(told["directory"]),
          f"Ctrl-C ends it, and nothing is left {process.stderr.read()}")

    into = f"{b.directory}/new"
    process, told = start(d, "start", "g", "new", "--into", into)
    try:
        check(process.wait(120) == 0, f"its disks are copied while it runs {process.stderr.read()}")
        check(is_alive(told["pid"]), "it runs on without the command")
        os.rename(d.repository, d.repository + ".away")
        check(sum_in(told, "/a/f1") == wanted, "and without the repository")
        disks.run("qemu-img", "check", "-U", f"{into}/vda.qcow2")
        check("backing file" not in disks.run("qemu-img", "info", "-U", f"{into}/vda.qcow2"), "its disks stand alone")
    finally:
        os.kill(told["pid"], signal.SIGTERM)
    eventually(lambda: not is_alive(told["pid"]), "it is ended")
    again = vm.spawn([f"{into}/start.sh"], f"{b.directory}/again.log")
    try:
        check(sum_in(told, "/a/f1") == wanted, "start.sh starts it again")
    finally:
        vm.end(again)
        os.rename(d.repository + ".away", d.repository)


def test_restored(b, d, wanted):
    """A whole guest under another name: its script starts it beside the one it was."""
    directory = f"{b.directory}/clone"
    told = json.loads(d.cli("backup", "restore", "g", directory, "--name", "clone", "--repository", d.repository, "--json", check_code=0).stdout)
    process = vm.spawn([told["script"]], f"{b.directory}/clone.log")
    try:
        check(sum_in({"agent": f"{directory}/clone.qga", "name": "clone"}, "/a/f1") == wanted, "its file is the one that was backed up")
        monitor = vm.Monitor(f"{directory}/test.qmp")
        check(monitor.ask("query-name") == {"name": "clone"} and monitor.ask("query-uuid")["UUID"][14] == "4", "it has its own name and UUID")
    finally:
        vm.end(process)


def test(b):
    disks.need_tools()
    images = disks.images(b, "g", ("ext4", "ext4"), 64)
    g, = b.boot(("g", {"boot_mib": 256, "disks": images, "extra": SLOT}))
    repository = disks.repository(b)
    d = b.daemon(disks.config(b, repository))
    d.repository = repository
    d.wait_for("g")
    g.shell.run("for i in 1 2; do dd if=/dev/urandom of=/a/f$i bs=1M count=8; cp /a/f$i /b/f$i; done 2>/dev/null; sync")
    d.cli("backup", "run", "g", check_code=0)
    image = f"{b.directory}/vda.raw"
    d.cli("backup", "restore", "g", "vda", image, "--repository", repository, check_code=0)
    test_attach(d, g, image)
    wanted = g.shell.run("sha256sum /a/f1").split()[0]
    test_start(b, d, wanted)
    test_restored(b, d, wanted)


main(test)
