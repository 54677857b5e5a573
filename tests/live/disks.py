# SPDX-License-Identifier: Apache-2.0
"""Guests with disks for the live tests of backups: images, a repository, what the guest's disks hold."""
import os
import shutil
import subprocess

from bench import ROOT, check, config_text, run_cli, skip

TOOLS = ("qemu-img", "mkfs.ext4", "mkfs.xfs", "debugfs", "e2fsck", "qemu-ga")
RECORD = 512  # of guest/writer.c


def run(*argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def need_tools():
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        skip(f"missing here: {', '.join(missing)}; run tools/install-deps.sh")


def images(b, name, kinds=("ext4", "xfs"), size_mib=320):
    """A new image for each kind of file system; returns their paths."""
    paths = []
    for i, kind in enumerate(kinds):
        raw, path = f"{b.directory}/{name}{i}.tmp", f"{b.directory}/{name}{i}.qcow2"
        run("truncate", "-s", f"{size_mib}M", raw)
        run(f"mkfs.{kind}", "-q", *(("-F", "-E", "lazy_itable_init=0,lazy_journal_init=0") if kind == "ext4" else ()), raw)
        run("qemu-img", "convert", "-O", "qcow2", raw, path)
        os.unlink(raw)
        paths.append(path)
    return paths


def firmware(b):
    """Options of QEMU: the firmware in a flash of its own, with another one for its variables, at the path that is returned."""
    code = next((path for path in ("/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/bios-256k.bin") if os.path.exists(path)), None)
    if not code:
        skip("there is no bios-256k.bin (package seabios)")
    path = f"{b.directory}/variables.fd"
    with open(path, "wb") as f:
        f.write(os.urandom(1056 * 512))  # as large as OVMF's
    return ("-drive", f"if=pflash,unit=0,readonly=on,format=raw,file={code}", "-drive", f"if=pflash,unit=1,format=raw,file={path}"), path


def repository(b):
    path = f"{b.directory}/repository"
    run_cli("backup", "init", "--repository", path, check_code=0)
    return path


def config(b, repository_path, **keys):
    """For a daemon that backs up; keys of `backup`."""
    lines = [f"  {key.replace('_', '-')}: {value}" for key, value in {"repository": repository_path, **keys}.items()]
    return config_text(b.guests_dir) + "\n".join(["backup:"] + lines) + "\n"


def leftovers(guest):
    """Names of ours in QEMU: nodes and jobs."""
    nodes = [node["node-name"] for node in guest.monitor.ask("query-named-block-nodes", flat=True)]
    jobs = [job["id"] for job in guest.monitor.ask("query-jobs")]
    return [name for name in nodes + jobs if name.startswith("ballast-")]


def is_writable(guest):
    """Running and thawed: both file systems take a write at once."""
    return guest.shell.run("(dd if=/dev/zero of=/a/probe bs=4k count=1 conv=fsync && dd if=/dev/zero of=/b/probe bs=4k count=1"
                           " conv=fsync) 2>/dev/null >/tmp/probe & p=$!; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do"
                           " kill -0 $p 2>/dev/null || break; sleep 0.1; done; kill -0 $p 2>/dev/null || echo written"
                           ).endswith("written")


def is_same(image, reference):
    return subprocess.run(["cmp", "-s", image, reference], check=False).returncode == 0


def check_records(image, at_least, what, log="log"):
    """The records of the writer on an ext4 image: 0, 1, 2 ... without a gap."""
    path = image + ".records"
    run("debugfs", "-R", f"dump /{log} {path}", image)
    with open(path, "rb") as f:
        data = f.read()
    numbers = [data[at:at + 10].decode(errors="replace") for at in range(0, len(data) - RECORD + 1, RECORD)]
    check(numbers == [f"{n:010}" for n in range(len(numbers))] and len(numbers) >= at_least,
          f"{what}: {len(numbers)} records without a gap")
    return len(numbers)
