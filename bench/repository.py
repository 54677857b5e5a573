#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""BENCH=repository: what the points of two guests take, and what removing them costs.

Two guests with the same system (256 MiB of files of this machine's /usr) and 16 MiB of their own each, 8 points each: between
two points 24 places of 4 KiB change, 2 MiB of new data are written, and 4 MiB are trimmed. Stored by the repository's own
library (tests/lib/repo_fill.c), as ballast-copy does.

The baseline is a chain as virtnbdbackup -z keeps it, computed here, not run: lz4 of what a full has, then lz4 of each dirty
block of 64 KiB, for each guest by itself, trimmed blocks as data of zeroes. No guest is booted. Chunks of 1 MiB (the default) and of 256 KiB: small changes at random places are what
small chunks are for.

    /usr/bin/python3 bench/repository.py [--directory DIR]
"""
import argparse
import glob
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20
BLOCK = 64 << 10
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(os.environ.get("BALLAST_BUILD", os.path.join(ROOT, "build")))
BALLAST = os.path.join(BUILD, "src", "cli", "ballast")
FILL = os.path.join(BUILD, "tests", "unit", "repo_fill")
SYSTEM, OWN, DISK, POINTS = 256 * MIB, 16 * MIB, 384 * MIB, 8


def system_files():
    """Files of /usr, each from a 4 KiB boundary on, as a file system would have them."""
    data = bytearray()
    for directory, _, names in sorted(os.walk("/usr")):
        for name in sorted(names):
            path = os.path.join(directory, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            try:
                with open(path, "rb") as f:
                    piece = f.read(8 * MIB)
            except OSError:
                continue
            data += piece + bytes(-len(piece) % 4096)
            if len(data) >= SYSTEM:
                return data[:SYSTEM]
    return data + bytes(SYSTEM - len(data))


def text(r, length):
    return b" ".join(b"%08x" % r.getrandbits(32 if r.random() < 0.5 else 12) for _ in range(length // 9 + 1))[:length]


def change(r, disk, n):
    """One interval between two points; the blocks that a bitmap has dirty afterwards."""
    dirty = set()

    def write(offset, data):
        disk[offset:offset + len(data)] = data
        dirty.update(range(offset // BLOCK, (offset + len(data) - 1) // BLOCK + 1))

    for _ in range(24):
        write(r.randrange(SYSTEM // 4096) * 4096, text(r, 4096))
    write(SYSTEM + OWN + n * 2 * MIB, text(r, 2 * MIB))
    write(r.randrange(SYSTEM // MIB - 4) * MIB, bytes(4 * MIB))
    return sorted(dirty)


def lz4(data):
    return len(subprocess.run(["lz4", "-1cq"], input=data, capture_output=True, check=True).stdout)


def chain_bytes(disk, dirty):
    """One element of the chain: everything but holes, or the dirty blocks."""
    blocks = range(DISK // BLOCK) if dirty is None else dirty
    pieces = [bytes(disk[b * BLOCK:(b + 1) * BLOCK]) for b in blocks]
    return lz4(b"".join(p for p in pieces if dirty is not None or any(p)))


def backup(*words):
    start = time.monotonic()
    done = subprocess.run([BALLAST, "backup", *words, "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout), time.monotonic() - start


def chunk_states(repository):
    return {p: (os.stat(p).st_ino, os.stat(p).st_mtime_ns, os.stat(p).st_size) for p in glob.glob(repository + "/chunks/??/*")}


def report(case, metric, value, unit, baseline=None, baseline_value=None, goal=None, met=None):
    line = {"bench": "repository", "case": case, "metric": metric, "value": value, "unit": unit, "n": 1, "baseline": baseline,
            "baseline_value": baseline_value, "ratio": round(baseline_value / value, 3) if baseline_value and value else None, "goal": goal, "met": met}
    print(json.dumps(line), flush=True)
    print(f"{case:32} {metric:12} {value:>14} {unit:6} {baseline or '':40} {baseline_value or ''}", file=sys.stderr)


def fill(repository, image):
    """All points of both guests; the bytes of the chains."""
    base, chain = system_files(), 0
    for guest in ("one", "two"):
        r = random.Random(guest)
        disk = bytearray(base + text(r, OWN) + bytes(DISK - SYSTEM - OWN))
        for n in range(POINTS):
            dirty = change(r, disk, n) if n else None
            with open(image, "wb") as f:
                f.write(disk)
            parent = f"2026010{n}T000000Z" if n else "-"
            subprocess.run([FILL, repository, guest, f"2026010{n + 1}T000000Z", parent, "vda=" + image], check=True, stdout=subprocess.DEVNULL)
            chain += chain_bytes(disk, dirty)
    return chain


def run(directory, chunk_size):
    top = tempfile.mkdtemp(prefix="ballast-bench-", dir=directory)
    repository = os.path.join(top, "repo")
    where = ("--repository", repository)
    case = f"2 guests x 8 points, {chunk_size}"
    try:
        backup("init", "--chunk-size", chunk_size, *where)
        chain = fill(repository, os.path.join(top, "image"))
        states = chunk_states(repository)
        stored = sum(size for _, _, size in states.values())
        report(case, "stored", stored, "B", "computed: lz4 chain, blocks of 64 KiB, per guest", chain, "<= 60 %", stored <= 0.6 * chain)
        _, seconds = backup("verify", *where)
        report(case, "verify", round(seconds, 3), "s")
        pruned, seconds = backup("prune", "--keep", "last=2", *where)
        report(case, f"prune {pruned['removed']} of 16 points", round(seconds, 3), "s", goal="< 1 s", met=seconds < 1)
        swept, seconds = backup("sweep", *where)
        report(case, f"sweep {swept['removed']} of {swept['chunks']} chunks", round(seconds, 3), "s")
        after = chunk_states(repository)
        rewritten = sum(states.get(p) != s for p, s in after.items())
        report(case, "rewritten by prune and sweep", rewritten, "files", goal="0", met=rewritten == 0)
        return backup("verify", *where)[0]["ok"]
    finally:
        shutil.rmtree(top)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", default=None)
    options = parser.parse_args()
    for chunk_size in ("1 MiB", "256 KiB"):
        if not run(options.directory, chunk_size):
            print("the repository is damaged after it", file=sys.stderr)
            return 1
    return 0


sys.exit(main())
