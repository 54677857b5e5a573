#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Exposing a guest to other backup programs: what they read is the disks at one instant while the guest writes, what changed since
a checkpoint is told, nothing can be written; a client that stops in the middle of an answer hangs neither guest nor release; leases
end forgotten ones, a ballastd that is killed leaves nothing; a disk in an iothread is exposed from the repository."""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess

import disks
from bench import check, eventually, main, skip

BLOCK = 65536


def expose(d, name, *options, code=0):
    done = d.cli("backup", "expose", name, "--json", *options)
    check(done.returncode == code, f"expose {name} {' '.join(options)} (exit code {done.returncode}) {done.stderr}")
    return json.loads(done.stdout) if code == 0 else done.stderr


def uris(job):
    return [export["uri"] for export in job["exposure"]["exports"]]


def exposed(d):
    return json.loads(d.cli("backup", "exposed", "--json", check_code=0).stdout)["exposures"]


def nothing_left(g, d):
    return not disks.leftovers(g) and not g.monitor.ask("query-block-exports") and not os.listdir(f"{d.runtime_dir}/backup") and \
        not os.listdir(f"{d.state_dir}/fleece")


def changed(uri):
    """Blocks that clients are told of, as numbers."""
    told = json.loads(disks.run("nbdinfo", "--json", "--map=qemu:dirty-bitmap:ballast-since", uri))
    return {block for extent in told if extent["type"] & 1
            for block in range(extent["offset"] // BLOCK, (extent["offset"] + extent["length"] + BLOCK - 1) // BLOCK)}


def differing(a, b):
    with open(a, "rb") as one, open(b, "rb") as two:
        number, found = 0, set()
        while True:
            x, y = one.read(BLOCK), two.read(BLOCK)
            if not x and not y:
                return found
            if x != y:
                found.add(number)
            number += 1


def stopped_client(uri):
    """One that asks for 24 MiB and never reads: as one that is stopped in the middle of an answer."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(re.search(r"socket=(.*)", uri).group(1))
    client.settimeout(20)
    flags = struct.unpack(">QQH", client.recv(18, socket.MSG_WAITALL))[2]
    client.sendall(struct.pack(">IQII", flags & 3, 0x49484156454F5054, 1, 3) + b"vda")
    client.recv(10, socket.MSG_WAITALL)
    for i in range(12):
        client.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 0, i, i << 21, 2 << 20))
    return client


def read_while_it_writes(b, g, d):
    job = expose(d, "g", "--checkpoint", "one")
    check(job["consistency"] == "fs", f"frozen for {job['freeze_ms']} ms, stopped for {job['stall_ms']} ms")
    first, again = f"{b.directory}/first", f"{b.directory}/again"
    for i, uri in enumerate(uris(job)):
        disks.run("nbdcopy", uri, f"{first}{i}.raw")
        disks.run("qemu-img", "convert", "-f", "raw", "-O", "raw", uri, f"{again}{i}.raw")
        check(disks.is_same(f"{first}{i}.raw", f"{again}{i}.raw"), f"disk {i} reads the same twice while the guest writes")
    disks.run("e2fsck", "-fn", f"{first}0.raw")
    disks.check_records(f"{first}0.raw", 1, "the writer's file in it")
    path = re.search(r"socket=(.*)", uris(job)[0]).group(1)
    check(os.stat(path).st_mode & 0o777 == 0o600, "only its user may connect")
    tried = subprocess.run(["qemu-io", "-f", "raw", "-c", "write 0 4k", uris(job)[0]], capture_output=True, text=True, check=False)
    check(tried.returncode != 0, f"nobody can write to it: {tried.stderr.strip()}")
    check("is exposed to another program" in d.cli("backup", "run", "g").stderr, "a backup is refused meanwhile")
    d.cli("backup", "release", "g", check_code=0)
    check(nothing_left(g, d), "nothing is left after the release")
    return f"{first}0.raw"


def changes_since(b, g, d, first):
    g.shell.run("dd if=/dev/urandom of=/a/new bs=1M count=3 conv=fsync 2>/dev/null")
    job = expose(d, "g", "--since", "one", "--checkpoint", "two")
    second = f"{b.directory}/second.raw"
    disks.run("nbdcopy", uris(job)[0], second)
    told, really = changed(uris(job)[0]), differing(first, second)
    check(really and really <= told, f"{len(told)} blocks are told to have changed, all {len(really)} that did are among them")
    check(len(told) < 1280, "and it is not the whole disk")
    d.cli("backup", "release", "g", "--forget", "one", check_code=0)
    check("no record of what changed" in expose(d, "g", "--since", "one", code=1), "a checkpoint that is forgotten is refused")


def hanging_client(g, d):
    job = expose(d, "g")
    clients = [stopped_client(uri) for uri in uris(job)[:1]]
    eventually(lambda: exposed(d)[0]["exposure"]["clients"] == 1, "a client asks and does not read on")
    check(g.monitor.ask("stop", timeout=10) == {} and g.monitor.ask("cont", timeout=10) == {}, "the guest is stopped and continued all the same")
    d.cli("backup", "renew", "g", "--lease", "10 min", check_code=0)
    check(exposed(d)[0]["exposure"]["lease_left_ms"] < 600001, "its lease is renewed")
    d.cli("backup", "release", str(job["job"]), check_code=0)
    check(nothing_left(g, d) and disks.is_writable(g), "it is released in spite of that client, and the guest writes on")
    for client in clients:
        client.close()


def forgotten(g, d):
    expose(d, "g", "--lease", "1 s")
    eventually(lambda: not exposed(d) and nothing_left(g, d), "a forgotten one ends with its lease", explain=d.log)


def killed(g, d):
    expose(d, "g")
    relay = int(subprocess.run(["pgrep", "-P", str(d.pid), "ballast-expose"], capture_output=True, text=True, check=True).stdout)
    os.kill(relay, signal.SIGSTOP)
    d.kill()
    check(disks.is_writable(g), "ballastd is killed while its relay is stopped: the guest writes on")
    d.start()
    eventually(lambda: nothing_left(g, d), "a new ballastd takes back what was left", explain=d.log)
    d.wait_for("g", quiet=True)


def by_the_repository(b, d):
    job = expose(d, "io")
    check(job["exposure"]["from_repository"] and any("iothread" in note for note in job["notes"]), "with an iothread: from the repository, which is said")
    image, restored = f"{b.directory}/io.raw", f"{b.directory}/restored.raw"
    disks.run("nbdcopy", uris(job)[0], image)
    d.cli("backup", "restore", job["point"], "vda", restored, "--repository", d.repository, check_code=0)
    check(disks.is_same(image, restored), "it is what the point holds")
    d.cli("backup", "release", "io", check_code=0)
    check(not os.listdir(f"{d.runtime_dir}/backup"), "and no socket is left")


def test(b):
    disks.need_tools()
    missing = [tool for tool in ("nbdcopy", "nbdinfo", "nbdkit", "qemu-io") if not shutil.which(tool)]
    if missing:
        skip(f"missing here: {', '.join(missing)}; run tools/install-deps.sh")
    g, _ = b.boot(("g", {"boot_mib": 256, "disks": disks.images(b, "g")}),
                  ("io", {"boot_mib": 256, "disks": disks.images(b, "io", kinds=("ext4",)), "iothread": True}))
    d = b.daemon(disks.config(b, disks.repository(b)))
    d.repository = f"{b.directory}/repository"
    d.wait_for("g", "io")
    g.shell.run("writer /a/log 5 </dev/null >/dev/null 2>&1 &")
    first = read_while_it_writes(b, g, d)
    changes_since(b, g, d, first)
    hanging_client(g, d)
    forgotten(g, d)
    killed(g, d)
    by_the_repository(b, d)


main(test)
