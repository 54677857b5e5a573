# SPDX-License-Identifier: Apache-2.0
"""What guests' disks look like from one backup to the next: generators of a disk's whole content, point after point, the same at each
run on one machine. A day's work of a small server is small: some packages are upgraded, logs and files grow, a database writes
pages here and there. What is written where is the file system's own choice (ext4, a loop device: root)."""
import os
import random
import shutil
import subprocess

MIB = 1 << 20
BLOCK = 4096
SYSTEM, OWN, DISK = 256 * MIB, 16 * MIB, 384 * MIB
EXT4_DISK = 512 * MIB
UPGRADED_BYTES = 6 * MIB    # files replaced a day, by new ones under their names, as dpkg does
UPGRADES_BYTES = 64 * MIB   # what they are made of
LOG_BYTES = 3 * MIB // 2    # appended
NEW_BYTES = 2 * MIB         # files that did not exist
DATABASE_BYTES = 16 * MIB
DATABASE_PAGES = 64         # of 4 KiB, in as many places
FILE_MAX = 8 * MIB


def why_no_ext4():
    """Why ext4() can't run here; "": it can."""
    if os.geteuid() != 0:
        return "the case ext4 is left out: it needs root, to mount"
    for tool in ("mkfs.ext4", "mount", "umount", "fstrim"):
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            return f"the case ext4 is left out: {tool} is missing"
    return ""


def changed(before, after):
    """[(offset, length)] of what differs, in blocks of 4 KiB, neighbours together; never zeroes and data in one."""
    runs = []
    if len(before) != len(after):
        raise ValueError("a disk does not grow here")
    for at in range(0, len(after), MIB):
        if before[at:at + MIB] == after[at:at + MIB]:
            continue
        for offset in range(at, min(at + MIB, len(after)), BLOCK):
            block = after[offset:offset + BLOCK]
            if before[offset:offset + BLOCK] == block:
                continue
            has_data = any(block)
            if runs and sum(runs[-1][:2]) == offset and runs[-1][2] == has_data and runs[-1][1] < MIB:
                runs[-1][1] += BLOCK
            else:
                runs.append([offset, BLOCK, has_data])
    return [(offset, length) for offset, length, _ in runs]


def text(r, length):
    return b" ".join(b"%08x" % r.getrandbits(32 if r.random() < 0.5 else 12) for _ in range(length // 9 + 1))[:length]


def usr_files():
    """(path, content) of this machine's /usr, in one order."""
    for directory, _, names in sorted(os.walk("/usr")):
        for name in sorted(names):
            path = os.path.join(directory, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            try:
                with open(path, "rb") as f:
                    yield path, f.read(FILE_MAX)
            except OSError:
                continue


def scattered(guest, points):
    r, disk = random.Random(guest), bytearray()
    for _, data in usr_files():
        disk += data + bytes(-len(data) % BLOCK)
        if len(disk) >= SYSTEM:
            break
    disk = bytearray(disk[:SYSTEM] + bytes(max(0, SYSTEM - len(disk))) + text(r, OWN) + bytes(DISK - SYSTEM - OWN))
    yield bytes(disk)
    for n in range(1, points):
        for _ in range(24):
            at = r.randrange(SYSTEM // BLOCK) * BLOCK
            disk[at:at + BLOCK] = text(r, BLOCK)
        at = SYSTEM + OWN + n * 2 * MIB
        disk[at:at + 2 * MIB] = text(r, 2 * MIB)
        at = r.randrange(SYSTEM // MIB - 4) * MIB
        disk[at:at + 4 * MIB] = bytes(4 * MIB)
        yield bytes(disk)


class Mounted:
    """An ext4 image as a directory, for as long as it takes."""

    def __init__(self, image, where):
        self.image, self.where = image, where

    def __enter__(self):
        subprocess.run(["mount", "-o", "loop,noatime", self.image, self.where], check=True)
        return self.where

    def __exit__(self, *_):
        subprocess.run(["sync", "-f", self.where], check=True)
        subprocess.run(["fstrim", self.where], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["umount", self.where], check=True)


def put(path, data, how="wb"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, how) as f:
        f.write(data)


def ext4_install(root):
    """A system; returns its files, and what is left of /usr to upgrade them with."""
    files, more, total = [], bytearray(), 0
    for path, data in usr_files():
        if total < SYSTEM:
            put(root + path, data)
            files.append(path)
            total += len(data)
        elif len(more) < UPGRADES_BYTES:
            more += data
        else:
            break
    return files, more


def ext4_day(r, packages, root, n, files, more):
    """packages: the same for all guests, who install the same upgrades."""
    total = 0
    while total < UPGRADED_BYTES:
        path = root + packages.choice(files)
        size, at = os.path.getsize(path), packages.randrange(len(more) - FILE_MAX)
        put(path + ".new", more[at:at + size])  # a new build: as large, and nothing of the old one
        os.rename(path + ".new", path)
        total += size
    put(root + "/var/log/messages", text(r, LOG_BYTES), "ab")
    put(f"{root}/home/user/new{n}", text(r, NEW_BYTES))
    if os.path.exists(f"{root}/home/user/new{n - 3}"):
        os.unlink(f"{root}/home/user/new{n - 3}")
    with open(root + "/var/lib/database", "r+b") as f:
        for _ in range(DATABASE_PAGES):
            f.seek(r.randrange(DATABASE_BYTES // BLOCK) * BLOCK)
            f.write(text(r, BLOCK))


class Ext4:
    """Guests that were made from one image, as those of a cloud are; each has data and days of its own then."""

    def __init__(self, directory):
        self.directory, self.where = directory, os.path.join(directory, "ext4.mount")
        self.template = os.path.join(directory, "ext4.template")
        os.makedirs(self.where)
        with open(self.template, "wb") as f:
            f.truncate(EXT4_DISK)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.template], check=True)
        with Mounted(self.template, self.where):
            self.files, self.more = ext4_install(self.where)

    def __call__(self, guest, points):
        r, packages = random.Random(guest), random.Random("packages")
        image = os.path.join(self.directory, f"ext4.{guest}")
        shutil.copyfile(self.template, image)
        for n in range(points):
            with Mounted(image, self.where):
                if n == 0:
                    put(self.where + "/var/lib/database", text(r, DATABASE_BYTES))
                    put(self.where + "/var/log/messages", text(r, LOG_BYTES))
                else:
                    ext4_day(r, packages, self.where, n, self.files, self.more)
            with open(image, "rb") as f:
                yield f.read()
        os.unlink(image)
