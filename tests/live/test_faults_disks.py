#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Disks of every kind in one guest under a writer: qcow2 in an iothread, raw file, block device, overlays that share a backing
file, virtio-scsi, read-only, CD. Then disks that come, go and grow before, between and during backups. Each is handled for that
disk alone, and said; every image comes back as it was at the checkpoint."""
import os
import subprocess

import disks
from bench import MIB, check, eventually, main
from faults import Lab
from vm import GuestError

SIZE_MIB = 16


def image(b, name, *backing):
    """A qcow2 image of noise, or an empty one over a backing file."""
    path = f"{b.directory}/{name}.qcow2"
    if backing:
        disks.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", backing[0], "-F", "qcow2", path)
        return path
    raw = f"{b.directory}/{name}.raw"
    with open(raw, "wb") as f:
        f.write(os.urandom(4 * MIB))
        f.truncate(SIZE_MIB * MIB)
    disks.run("qemu-img", "convert", "-O", "qcow2", raw, path)
    return path


def drive(node, path, driver="qcow2", **more):
    file = "host_device" if path.startswith("/dev/") else "file"
    options = "".join(f",{key}={value}" for key, value in more.items())
    return ["-blockdev", f"driver={driver},node-name={node},file.driver={file},file.filename={path}{options}"]


def device(kind, name, node, *more):
    return ["-device", ",".join([kind, f"id={name}", f"drive={node}", *more])]


def build(b):
    """Arguments of QEMU, and the disks that are backed up: name -> image."""
    base = image(b, "base")
    kept = {"raw": f"{b.directory}/plain.raw", "one": image(b, "one", base), "two": image(b, "two", base),
            "scsi": image(b, "scsi")}
    disks.run("truncate", "-s", f"{SIZE_MIB}M", kept["raw"])
    argv = ["-device", "virtio-scsi-pci,id=scsi0", "-device", "pcie-root-port,id=rp0,slot=1", "-device",
            "pcie-root-port,id=rp1,slot=2"]
    argv += drive("n-raw", kept["raw"], "raw") + device("virtio-blk-pci", "raw", "n-raw", "iothread=io0")
    argv += drive("n-one", kept["one"]) + device("virtio-blk-pci", "one", "n-one")
    argv += drive("n-two", kept["two"]) + device("virtio-blk-pci", "two", "n-two", "iothread=io0")
    argv += drive("n-scsi", kept["scsi"]) + device("scsi-hd", "scsi", "n-scsi")
    argv += drive("n-ro", image(b, "ro"), **{"read-only": "on"}) + device("virtio-blk-pci", "ro", "n-ro")
    argv += drive("n-cd", image(b, "cd"), **{"read-only": "on"}) + device("scsi-cd", "cd", "n-cd")
    loop = loop_device(b)
    if loop:
        kept["block"] = loop
        argv += drive("n-block", loop, "raw") + device("virtio-blk-pci", "block", "n-block", "iothread=io0")
    return argv, kept


def loop_device(b):
    """A block device of the host; None where this root has none."""
    path = f"{b.directory}/loop"
    disks.run("truncate", "-s", f"{SIZE_MIB}M", path)
    done = subprocess.run(["losetup", "-f", "--show", path], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"no block device: {done.stderr.strip()}")
        return None
    return done.stdout.strip()


def said(job, *words):
    check(any(all(word in note for word in words) for note in job["notes"]), f"and said: {' '.join(words)}")


def write(g):
    """Some of each disk, whatever its name is in the guest, but for those with file systems."""
    g.shell.run("for d in /dev/vd[c-z] /dev/sd?; do dd if=/dev/urandom of=$d bs=64k count=20 seek=40 conv=notrunc; done"
                " 2>/dev/null; sync", 60)


def kinds(lab, kept):
    names = {"vda": lab.images[0], "vdb": lab.images[1], **kept}
    write(lab.g)
    job = lab.exact("all kinds", dict.fromkeys(names, "full"), names)
    said(job, "'ro' is not backed up: it is read-only")
    said(job, "'cd' is not backed up: it is a removable medium")
    said(job, "'raw' is 'raw'")
    write(lab.g)
    job = lab.exact("again", dict.fromkeys(names, "incremental"), names)
    check(not any("read in full" in note for note in job["notes"]), "while QEMU runs none is read in full, also raw ones")

    lab.g.monitor.tell("quit")
    lab.g.process.wait()
    lab.boot_again()
    raw = [name for name in ("raw", "block") if name in kept]
    job = lab.exact("after a restart of QEMU", {**dict.fromkeys(names, "incremental"), **dict.fromkeys(raw, "full")}, names)
    for name in raw:
        said(job, f"disk '{name}' is read in full")
        check(lab.disk(job, name)["stored_bytes"] == 0, f"of '{name}' only what changed is stored: nothing")
    return names


def plug(lab, name, path, port):
    lab.g.monitor.ask("blockdev-add", driver="qcow2", node_name="n-" + name, file={"driver": "file", "filename": path})
    lab.g.monitor.ask("device_add", driver="virtio-blk-pci", id=name, drive="n-" + name, bus=port)


def unplug(lab, name):
    """The guest's kernel lets go of it."""
    lab.g.monitor.events.clear()
    lab.g.monitor.ask("device_del", id=name)
    eventually(lambda: lab.g.monitor.ask("query-status") and [event for event in lab.g.monitor.events
               if event["event"] == "DEVICE_DELETED" and event["data"].get("device") == name], f"'{name}' is unplugged")


def plugged(lab, names):
    others = dict.fromkeys(names, "incremental")
    hot = {name: image(lab.b, name) for name in ("hot0", "hot1")}
    plug(lab, "hot0", hot["hot0"], "rp0")
    job = lab.exact("a disk is added before", {**others, "hot0": "full"}, {**names, "hot0": hot["hot0"]})
    said(job, "'hot0' is read in full: the repository has no point of it")

    lab.daemon(hold="push")
    run = lab.begin(at="push")
    plug(lab, "hot1", hot["hot1"], "rp1")
    lab.go_on()
    job = run.end()
    check(job["state"] == "done" and len(job["disks"]) == len(names) + 1, "a disk is added in mid-copy: it is not in this point")
    lab.good("then", {**others, "hot0": "incremental", "hot1": "full"})

    unplug(lab, "hot0")
    lab.g.monitor.ask("blockdev-del", node_name="n-hot0")
    job = lab.good("a disk is removed between", {**others, "hot1": "incremental"})
    said(job, "'hot0' of the newest point is no longer there")

    run = lab.begin(at="push")
    unplug(lab, "hot1")
    lab.go_on()
    job = run.end()
    check(job["state"] == "done", f"a disk is removed in mid-copy: {job['error']} {job['left']}")
    lab.check_clean("a disk is removed in mid-copy")
    lab.g.monitor.ask("blockdev-del", node_name="n-hot1")
    said(lab.good("then", others), "'hot1' of the newest point is no longer there")


def resize(lab, node, size_mib):
    lab.g.monitor.ask("block_resize", node_name=node, size=size_mib * MIB)


def resized(lab, names):
    others = dict.fromkeys(names, "incremental")
    resize(lab, "n-one", 2 * SIZE_MIB)
    resize(lab, "n-raw", 2 * SIZE_MIB)
    lab.daemon(hold="cont")
    job = lab.exact("two disks grow before", {**others, "one": "full", "raw": "full"}, names)
    said(job, "'one' is read in full: it has been resized")

    lab.daemon(hold="push")
    run = lab.begin(at="push")
    grown = resize_or_not(lab, "disk1", 96)
    lab.go_on()
    job = run.end()
    check(job["state"] == "done" or "'vdb'" in job["error"], f"a disk grows in mid-copy: {job['error']}")
    lab.check_clean("a disk grows in mid-copy")
    job = lab.good("then", {**others, "vdb": "full"} if grown else others)

    lab.daemon(hold="arm")
    run = lab.begin(at="arm")
    resize(lab, "n-two", 2 * SIZE_MIB)
    lab.go_on()
    job = run.end()
    check(job["state"] == "failed" and "'two'" in job["error"], f"a disk grows while all is prepared: {job['error']} {job['hint']}")
    lab.check_clean("a disk grows while all is prepared")
    lab.daemon(hold="cont")
    lab.exact("then", {**others, "two": "full"}, names)


def resize_or_not(lab, node, size_mib):
    """QEMU may refuse it; the guest's user hears so then."""
    try:
        resize(lab, node, size_mib)
        return True
    except GuestError as e:
        print(f"in mid-copy: {e}")
        return False


def test(b):
    argv, kept = build(b)
    try:
        lab = Lab(b, iothread=True, extra=argv)
        lab.boot()
        lab.daemon(hold="cont")
        names = kinds(lab, kept)
        plugged(lab, names)
        resized(lab, names)
    finally:
        for guest in b.guests:
            guest.kill()
        if "block" in kept:
            disks.run("losetup", "-d", kept["block"])


main(test)
