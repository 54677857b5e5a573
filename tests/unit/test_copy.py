#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_copy.py BALLAST_COPY REPO_TOOL [TEST ...]: a real QEMU pushes its disks into the real ballast-copy; what is restored
equals the image byte for byte."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import copy_bench  # noqa: E402
from copy_bench import MIB  # noqa: E402

SIZE = 9 * MIB + 192 * 1024 + 512  # ends within a chunk, within 64 KiB, within 4 KiB


def fill(q, disk="vda"):
    q.io(disk, "write -P 0x11 0 3M")
    q.io(disk, "write -P 0x22 5000k 100k")
    q.io(disk, "write -P 0x33 9M 192k")
    q.io(disk, f"write -P 0x44 {SIZE - 512} 512")
    q.io(disk, "write -z 1M 1M")
    q.io(disk, "write -P 0 2200k 20k")  # zeroes as data


def test_full(b):
    q = b.qemu({"vda": SIZE})
    fill(q)
    c = b.copy([b.disk("vda", SIZE)])
    assert c.ready == {"ready": True, "chunk_bytes": MIB}
    assert os.stat(c.socket("vda")).st_mode & 0o777 == 0o600
    q.push("vda", c)
    point = c.finish(consistency="paused")
    q.quit()
    b.check_image("vda", point)


def test_incremental(b):
    """Writes, zeroes, discards; an empty one; data written over the parent's; two disks, in an iothread."""
    q = b.qemu({"vda": SIZE, "vdb": 4 * MIB}, iothread=True)
    fill(q)
    q.bitmap("vda")
    q.io("vdb", "write -P 0x55 0 4M")
    c = b.copy([b.disk("vda", SIZE), b.disk("vdb", 4 * MIB)])
    q.push("vda", c)
    q.push("vdb", c)
    parent = c.finish()
    q.io("vda", "write -P 0x66 4M 64k")
    q.io("vda", "write -P 0x77 2500k 1k")
    q.io("vda", "write -z 0 64k")
    q.io("vda", "discard 9M 192k")
    q.io("vda", f"write -P 0x88 {SIZE - 1024} 512")
    dirty = q.dirty_bytes("vda")
    c = b.copy([b.disk("vda", SIZE, parent=parent, dirty_bytes=dirty)])
    q.push("vda", c, bitmap=True)
    second = c.finish()
    c = b.copy([b.disk("vda", SIZE, parent=second, dirty_bytes=q.dirty_bytes("vda"))])
    q.push("vda", c, bitmap=True)
    third = c.finish()
    q.quit()
    b.check_image("vdb", parent)
    b.check_image("vda", second)
    b.check_image("vda", third)
    copy_bench.same(b.restore(second, "vda"), b.restore(third, "vda"))


class Disk:
    """An image as it should be: what was written, kept beside it."""

    def __init__(self, q, name, size):
        self.q, self.name, self.content = q, name, bytearray(size)

    def write(self, at, length, fill):
        self.q.io(self.name, f"write -P {fill} {at} {length}")
        self.content[at:at + length] = bytes([fill]) * length

    def zero(self, at, length):
        self.q.io(self.name, f"write -z {at} {length}")
        self.content[at:at + length] = bytes(length)


def fleece(b, q, disk, number, bitmap=None):
    """The checkpoint of a real backup (mode C): copy-before-write below the device, snapshot-access beside it."""
    device = {"path": f"/machine/peripheral/dev-{disk}/virtio-backend", "property": "drive"}
    cbw = {"driver": "copy-before-write", "node-name": f"cbw-{disk}", "file": disk, "target": f"fl-{disk}",
           "on-cbw-error": "break-snapshot", "cbw-timeout": 5}
    q.ask("blockdev-add", {"driver": "qcow2", "node-name": f"fl-{disk}", "file": {
        "driver": "file", "filename": b.image(f"fl-{disk}-{number}", SIZE)}})
    q.ask("transaction", {"actions": [{"type": "block-dirty-bitmap-add", "data": {
        "node": disk, "name": f"b-{number}", "granularity": MIB}}] + ([{"type": "block-dirty-bitmap-disable", "data": {
            "node": disk, "name": bitmap}}] if bitmap else [])})
    q.ask("blockdev-add", {**cbw, **({"bitmap": {"node": disk, "name": bitmap}} if bitmap else {})})
    q.ask("qom-set", {**device, "value": f"cbw-{disk}"})
    q.ask("blockdev-add", {"driver": "snapshot-access", "node-name": f"acc-{disk}", "file": f"cbw-{disk}"})


def fleece_end(q, disk):
    q.ask("blockdev-del", {"node-name": f"acc-{disk}"})
    q.ask("qom-set", {"path": f"/machine/peripheral/dev-{disk}/virtio-backend", "property": "drive", "value": disk})
    q.ask("blockdev-del", {"node-name": f"cbw-{disk}"})
    q.ask("blockdev-del", {"node-name": f"fl-{disk}"})


def test_fleecing(b):
    """As a real backup: from a snapshot, while the disk is written to, full and incremental, in an iothread. The point is the disk
    at its checkpoint, not a byte of what came later."""
    q = b.qemu({"vda": SIZE}, iothread=True)
    disk, points = Disk(q, "vda", SIZE), []
    disk.write(0, 4 * MIB, 0x11)
    disk.write(SIZE - 512, 512, 0x22)
    for number in range(1, 4):
        bitmap = f"b-{number - 1}" if number > 1 else None
        fleece(b, q, "vda", number, bitmap)
        checkpoint = bytes(disk.content)
        if bitmap:
            dirty = next(m["count"] for n in q.ask("query-named-block-nodes") if n["node-name"] == "vda"
                         for m in n["dirty-bitmaps"] if m.get("name") == bitmap)
            c = b.copy([b.disk("vda", SIZE, parent=points[-1][0], dirty_bytes=dirty)])
            q.ask("transaction", {"actions": [
                {"type": "block-dirty-bitmap-add", "data": {"node": "acc-vda", "name": "cp", "disabled": True, "granularity": MIB}},
                {"type": "block-dirty-bitmap-merge", "data": {"node": "acc-vda", "target": "cp",
                                                              "bitmaps": [{"node": "vda", "name": bitmap}]}}]})
        else:
            c = b.copy([b.disk("vda", SIZE)])
        q.attach("vda", c.socket("vda"))
        how = {"sync": "bitmap", "bitmap": "cp", "bitmap-mode": "never"} if bitmap else {"sync": "full"}
        disk.write(MIB, MIB + 4096, 0x30 + number)  # before the job has begun
        q.ask("blockdev-backup", {"job-id": "job-vda", "device": "acc-vda", "target": "tg-vda", "auto-dismiss": False,
                                  "speed": 8 * MIB, "x-perf": {"max-workers": 8}, **how})
        disk.write(3 * MIB + 512, 2 * MIB, 0x40 + number)  # while it runs, into what was copied and what was not
        disk.zero(5 * MIB, 64 << 10)
        disk.write(SIZE - 1024, 512, 0x50 + number)
        assert q.end("vda") == ""
        points.append((c.finish(), checkpoint))
        fleece_end(q, "vda")
        if bitmap:
            q.ask("block-dirty-bitmap-remove", {"node": "vda", "name": bitmap})
    q.quit()
    for point, checkpoint in points:
        with open(b.restore(point, "vda"), "rb") as f:
            assert f.read() == checkpoint, f"point {point} is not the disk at its checkpoint"


def test_sizes(b):
    """Disks smaller than a chunk, than a piece; exactly some chunks; empty ones."""
    for size in (512, 4096, 65536, 66048, MIB, 2 * MIB, 2 * MIB + 512):
        q = b.qemu({"vda": size})
        q.io("vda", f"write -P 0x5a {size - 512} 512")
        c = b.copy([b.disk("vda", size)])
        q.push("vda", c)
        point = c.finish()
        q.quit()
        b.check_image("vda", point)
    c = b.copy([b.disk("vda", 3 * MIB)])
    q = b.qemu({"vda": 3 * MIB})
    q.push("vda", c)
    assert c.finish()


def test_many_workers(b):
    """QEMU's default of 64 opens many chunks at once, on several disks at once."""
    sizes = {f"vd{x}": 24 * MIB for x in "abcd"}
    q = b.qemu(sizes)
    for i, disk in enumerate(sizes):
        for at in range(0, 24, 2):
            q.io(disk, f"write -P {0x10 * (i + 1) + at} {at}M 1500k")
    c = b.copy([b.disk(disk, size) for disk, size in sizes.items()])
    for disk in sizes:
        q.attach(disk, c.socket(disk))
    for disk in sizes:
        q.start(disk, workers=64)
    for disk in sizes:
        assert q.end(disk) == ""
    point = c.finish()
    q.quit()
    for disk in sizes:
        b.check_image(disk, point)


def test_wrong_size(b):
    """A disk that grew: QEMU refuses the target; an incremental on a parent of another size is refused before `ready`."""
    q = b.qemu({"vda": 2 * MIB})
    c = b.copy([b.disk("vda", 3 * MIB)])
    q.attach("vda", c.socket("vda"))
    try:
        q.start("vda")
        raise AssertionError("QEMU took a target of another size")
    except copy_bench.vm.GuestError as e:
        assert "different" in str(e), e
    q.detach("vda")
    c.fail("0 of 3 chunks came", finish=True)
    assert c.close() == 1
    c = b.copy([b.disk("vda", 2 * MIB)])
    q.push("vda", c)
    point = c.finish()
    c = b.copy([b.disk("vda", 4 * MIB, parent=point, dirty_bytes=0)], ready=False)
    line = c.fail("has 4194304 bytes, and had 2097152 in its parent")
    assert "full" in line["hint"], line
    assert c.close() == 1
    c = b.copy([b.disk("vdb", 4 * MIB, parent=point, dirty_bytes=0)], ready=False)
    c.fail("is not in its parent")
    c = b.copy([b.disk("vda", 2 * MIB, parent="20200101T000000Z", dirty_bytes=0)], ready=False)
    c.fail("20200101T000000Z")
    q.quit()
    assert len(b.point_list()) == 1, b.point_list()


def test_incomplete(b):
    """What did not come is not committed."""
    q = b.qemu({"vda": 4 * MIB})
    q.bitmap("vda")
    c = b.copy([b.disk("vda", 4 * MIB)])
    q.push("vda", c)
    point = c.finish()
    q.io("vda", "write -P 1 0 1k")
    c = b.copy([b.disk("vda", 4 * MIB, parent=point, dirty_bytes=2 * MIB)])
    q.push("vda", c, bitmap=True)
    c.fail("1 chunks came, and 2 are dirty", finish=True)
    c = b.copy([b.disk("vda", 4 * MIB)])
    c.tell(cancel=True)
    assert c.process.wait(copy_bench.LONG_SEC) == 1
    c = b.copy([b.disk("vda", 4 * MIB)])
    assert c.close() == 1  # stdin ended
    assert len(b.point_list()) == 1, b.point_list()
    q.quit()


def test_raw(b):
    q = b.qemu({"vda": SIZE})
    fill(q)
    raw = os.path.join(b.directory, "vda.raw")
    c = b.copy([b.disk("vda", SIZE, raw=raw)], repository=None)
    q.push("vda", c)
    c.finish()
    q.quit()
    reference = os.path.join(b.directory, "reference.raw")
    copy_bench.run("qemu-img", "convert", "-O", "raw", b.images["vda"], reference)
    copy_bench.same(reference, raw)


def test_bandwidth(b):
    """Held back to the rate, right in the end, and the time it is held back does not count as a stall."""
    q = b.qemu({"vda": 4 * MIB})
    q.io("vda", "write -P 0x11 0 4M")
    c = b.copy([b.disk("vda", 4 * MIB)], bandwidth_bytes_per_second=2 * MIB, stall_ms=1000)
    begun = copy_bench.time.monotonic()
    q.push("vda", c)
    assert copy_bench.time.monotonic() - begun > 1.5  # 4 MiB less the burst, never faster
    point = c.finish()
    q.quit()
    b.check_image("vda", point)


def test_bandwidth_of_large_chunks(b):
    """A chunk takes several times as long as the repository may take for one."""
    b.repository = b.repository + "-large"
    copy_bench.run(b.tool, "init", b.repository, str(4 * MIB))
    q = b.qemu({"vda": 4 * MIB})
    q.io("vda", "write -P 0x11 0 4M")
    c = b.copy([b.disk("vda", 4 * MIB)], bandwidth_bytes_per_second=MIB, stall_ms=1000)
    q.push("vda", c)
    point = c.finish()
    q.quit()
    b.check_image("vda", point)


def test_manifest(b):
    """ballastd's facts are in the point, word for word."""
    q = b.qemu({"vda": MIB})
    c = b.copy([b.disk("vda", MIB)])
    q.push("vda", c)
    facts = {"consistency": "fs", "command_line": "qemu -name 'a b' /x/\u00e9 \"q\"", "freeze_ms": 12}
    point = c.finish(**facts)
    with open(os.path.join(b.repository, "vm", copy_bench.GUEST, point, "manifest.json"), encoding="utf-8") as f:
        assert any(facts == part for part in json.load(f).values() if isinstance(part, dict)), "the facts are not there"
    q.quit()


def test_wrong_lines(b):
    for line, says in (({"job": {}}, "no list of disks"), ({"finish": {"manifest": {}}}, "no place"), ({"frob": 1}, "none of"),
                       ({"job": b.job([b.disk("vda", MIB), b.disk("vda", MIB)])}, "share")):
        c = b.copy([], ready=False, options={"first": line})
        c.fail(says)
        assert c.close() == 1


if __name__ == "__main__":
    sys.exit(copy_bench.main(globals(), sys.argv))
