#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_backup_off.py BALLAST LIBEXEC-DIRECTORY: `ballast backup run --off` on images that no QEMU has: which disks, what is in
use, what is written meanwhile, what ends it. A qemu-img of the test's own does things between the start and the end."""
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

ballast, libexec = sys.argv[1:3]
if not shutil.which("qemu-img"):
    print("skipped: qemu-img is missing (package qemu-utils)")
    sys.exit(77)
top = tempfile.mkdtemp(prefix="ballast-off-test-")
repository, tools = os.path.join(top, "repo"), os.path.join(top, "bin")
ENVIRONMENT = {"PATH": os.environ["PATH"], "BALLAST_LIBEXEC_DIR": libexec, "TZ": "UTC", "HOME": top,
               "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")}
MIB = 1 << 20
F_OFD_SETLK = 37
failures = []


def check(what, ok, *more):
    if not ok:
        failures.append(f"{what} {' '.join(str(m) for m in more)}")


def start(*words, meanwhile=None):
    """meanwhile: a shell command before qemu-img converts."""
    env = dict(ENVIRONMENT)
    if meanwhile is not None:
        os.makedirs(tools, exist_ok=True)
        with open(f"{tools}/qemu-img", "w") as f:
            f.write(f'#!/bin/sh\ncase "$1" in convert) echo "$@" >{top}/said; {meanwhile} ;; esac\n'
                    f'exec {shutil.which("qemu-img")} "$@"\n')
        os.chmod(f"{tools}/qemu-img", 0o755)
        env["PATH"] = f"{tools}:{env['PATH']}"
    return subprocess.Popen([ballast, "backup", *words, "--repository", repository], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=env)


def run(*words, code=0, meanwhile=None):
    process = start(*words, meanwhile=meanwhile)
    out, err = process.communicate(timeout=60)
    check(f"{' '.join(words)}: exit code {process.returncode} instead of {code}", process.returncode == code, out, err)
    return out, err


def qemu_img(*words):
    subprocess.run(["qemu-img", *words], check=True, stdout=subprocess.DEVNULL)


def raw(name, size_mib, fill=b"\x55"):
    path = os.path.join(top, name)
    with open(path, "wb") as f:
        f.truncate(size_mib * MIB)
        f.seek(MIB + 4096)
        f.write(os.urandom(MIB) + fill * 5000)
    return path


def points():
    return [p["point"] for p in json.loads(run("list", "--json")[0])["points"]]


def same(point, disk, image, kind):
    copy = os.path.join(top, "copy.raw")
    run("restore", point, disk, copy, "--force")
    done = subprocess.run(["qemu-img", "compare", "-f", kind, "-F", "raw", image, copy], check=False, stdout=subprocess.DEVNULL)
    check(f"{point} {disk} is the image", done.returncode == 0)


def which_disks():
    a, b, flat = raw("a.raw", 9), os.path.join(top, "b.qcow2"), raw("flat.img", 3)
    qemu_img("convert", "-O", "qcow2", raw("b.tmp", 7), b)
    out, _ = run("run", "--off", "web1", "--disk", f"vda={a},vdb={b},vdc=raw:{flat}", "--json")
    job = json.loads(out)["jobs"][0]
    check("three disks", [d["name"] for d in job["disks"]] == ["vda", "vdb", "vdc"] and job["consistency"] == "off", job)
    for disk, image, kind in (("vda", a, "raw"), ("vdb", b, "qcow2"), ("vdc", flat, "raw")):
        same(job["point"], disk, image, kind)
    again = json.loads(run("run", "--off", "web1", "--json")[0])["jobs"][0]
    check("the point tells its disks; nothing new is stored", [d["file"] for d in again["disks"]] == [a, b, flat]
          and sum(d["stored_bytes"] for d in again["disks"]) == 0, again)
    check("two within a second are two", len(points()) == 2 and again["point"] > job["point"], points())
    facts = json.loads(run("show", "web1", "--json")[0])["facts"]
    check("its facts", facts["consistency"] == "off" and facts["disks"]["vdb"]["bitmap"] == 0
          and facts["disks"]["vdb"]["format"] == "qcow2", facts)
    for words, said in ((["--disk", "vda=relative.raw"], "no absolute path"), (["--disk", f"vda={flat}"], "format"),
                        (["--disk", f"vda={a},vda={b}"], "named twice"), (["--disk", a], "names no disk"),
                        (["--disk", "vda=/no/such.raw"], "can't be looked at"), (["--disk", f"vda=qcow2:{a}"], "cannot read"),
                        (["--disk", f"a/b={a}"], "no name of a disk")):
        _, err = run("run", "--off", "web1", *words, code=1)
        check(f"{words} is refused with a sentence", said in err, err)
    _, err = run("run", "--off", "web9", code=1)
    check("a guest that nobody knows", "no point of it" in err and "--disk vda=" in err, err)
    run("run", "--off", "web1", "web2", code=2)
    run("run", "web1", "--disk", f"vda={a}", code=2)
    check("none of it is a point", len(points()) == 2)


def hostile():
    """A guest writes a qcow2 header onto its raw disk: it stays raw, and what the header names is not opened."""
    secret, disk = raw("secret.raw", 1), os.path.join(top, "guest.raw")
    qemu_img("create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", disk)
    with open(disk, "r+b") as f:
        f.truncate(2 * MIB)
    out, _ = run("run", "--off", "evil", "--disk", f"vda={disk}", "--json")
    job = json.loads(out)["jobs"][0]
    check("its size is the file's", job["disks"][0]["size_bytes"] == 2 * MIB, job)
    same(job["point"], "vda", disk, "raw")


def in_use():
    disk, before = raw("used.raw", 4), points()
    with open(disk, "rb") as f:  # as a QEMU that may write
        fcntl.fcntl(f, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 101, 1, 0))
        _, err = run("run", "--off", "u", "--disk", f"vda={disk}", code=1)
        check("in use", "is in use" in err, err)
    _, err = run("run", "--off", "u", "--disk", f"vda={disk}", code=1,
                 meanwhile=f"printf x | dd of={disk} bs=1 seek=77 conv=notrunc 2>/dev/null")
    check("written meanwhile", "was written while it was read" in err, err)
    _, err = run("run", "--off", "u", "--disk", f"vda={disk}", code=1, meanwhile=f"cp {disk} {disk}.x; mv {disk}.x {disk}")
    check("replaced meanwhile", "was written while it was read" in err, err)
    other = raw("other.raw", 2)
    _, err = run("run", "--off", "u", "--disk", f"vda={other},vdb={disk}", code=1,
                 meanwhile=f'case "$*" in *{disk}*) printf x >>{other} ;; esac')
    check("the first written while the second is read", f"'{other}' was written" in err, err)
    check("none is a point", points() == before)
    run("run", "--off", "u", "--disk", f"vda={disk}", meanwhile="true")
    with open(f"{top}/said") as f:
        check("a guest may start", " -U " in f.read())
    data = os.path.join(top, "data.qcow2")
    qemu_img("create", "-q", "-f", "qcow2", "-o", f"data_file={top}/data.bin", data, "2M")
    run("run", "--off", "u", "--disk", f"vda={data}", meanwhile="true")
    with open(f"{top}/said") as f:
        check("one whose time does not tell is read under the lock", " -U " not in f.read())


def ended():
    disk, before = raw("end.raw", 4), points()
    process = start("run", "--off", "e", "--disk", f"vda={disk}", meanwhile=f"touch {top}/reads; exec sleep 60")
    while not os.path.exists(f"{top}/reads"):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    check("Ctrl-C ends it", process.returncode == 1 and "given up" in err, process.returncode, err)
    _, err = run("run", "--off", "e", "--disk", f"vda={disk}", code=1, meanwhile="exit 3")
    check("a qemu-img that fails", "cannot read its image" in err, err)
    os.rename(f"{repository}/chunks", f"{repository}/gone")
    _, err = run("run", "--off", "e", "--disk", f"vda={raw('new.raw', 3)}", code=1)
    os.rename(f"{repository}/gone", f"{repository}/chunks")
    check("a repository that breaks", "can't be backed up" in err, err)
    check("none is a point", points() == before)


run("init")
which_disks()
hostile()
in_use()
ended()
for f in failures:
    print(f)
shutil.rmtree(top)
sys.exit(1 if failures else 0)
