#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_serve.py BALLAST REPO_FILL PLUGIN_DIRECTORY [BAD_FUSE]: `ballast backup serve`, read by QEMU's tools."""
import glob
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from copy_bench import LONG_SEC, need, run, same  # noqa: E402

ballast, fill, plugins = (os.path.abspath(path) for path in sys.argv[1:4])
CHUNK = 65536
ENVIRONMENT = {"PATH": os.environ["PATH"], "BALLAST_LIBEXEC_DIR": plugins, "TZ": "UTC"}


class Served:
    """The process, until the end of the block."""

    def __init__(self, repository, socket, *options):
        self.socket = socket
        self.process = subprocess.Popen([ballast, "backup", "serve", "web1", "vda", socket, "--repository", repository, "--json",
                                         *options], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)

    def __enter__(self):
        self.said = json.loads(self.process.stdout.readline())
        self.uri = f"nbd+unix:///?socket={self.socket}"
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(LONG_SEC) == 0
        self.process.stdout.close()
        assert not os.path.exists(self.socket), "the socket is left behind"


def refused(*words):
    done = subprocess.run([ballast, "backup", "serve", *words], capture_output=True, text=True, env=ENVIRONMENT, check=False,
                          timeout=LONG_SEC)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 2, done
    return done.stderr


def image(path):
    """Noise, zeroes, text; it ends within a chunk."""
    noise = random.Random(5)
    with open(path, "wb") as f:
        f.write(noise.randbytes(3 * CHUNK) + bytes(4 * CHUNK) + b"text " * CHUNK + noise.randbytes(1536))
        return f.tell()


def io(uri, *commands, code=0):
    argv = ["qemu-io", "-f", "raw"]
    for command in commands:
        argv += ["-c", command]
    done = subprocess.run(argv + [uri], capture_output=True, text=True, check=False, timeout=LONG_SEC)
    assert (done.returncode != 0) == (code != 0), done
    return done.stdout + done.stderr


def check_read_only(top, repository, original, size):
    with Served(repository, os.path.join(top, "ro")) as s:
        assert s.said["size_bytes"] == size and s.said["writable"] is False, s.said
        assert stat.S_IMODE(os.stat(s.socket).st_mode) == 0o600, "others may open the socket"
        copied = os.path.join(top, "copied")
        run("qemu-img", "convert", "-f", "raw", "-O", "raw", s.uri, copied)
        same(original, copied)
        ranges = json.loads(run("qemu-img", "map", "--output=json", "-f", "raw", s.uri))
        assert any(r["zero"] and r["length"] >= 4 * CHUNK for r in ranges), ranges  # holes are told, not read
        io(s.uri, "write 0 4k", code=1)
        assert "in use" in refused("web1", "vda", s.socket, "--repository", repository)


def check_writable(top, repository, original):
    with Served(repository, os.path.join(top, "rw"), "--writable") as s:
        io(s.uri, "write -P 0x5a 500k 4k", "read -P 0x5a 500k 4k")
        assert "Pattern verification failed" not in io(s.uri, "read -P 0x5a 500k 4k")
    with Served(repository, os.path.join(top, "again")) as s:
        again = os.path.join(top, "again.raw")
        run("qemu-img", "convert", "-f", "raw", "-O", "raw", s.uri, again)
        same(original, again)


def check_boots(top, repository):
    """A QEMU is running from the point at once, without anything restored; it has until its firmware gives up."""
    with Served(repository, os.path.join(top, "boot"), "--writable") as s:
        qmp = subprocess.Popen(["qemu-system-x86_64", "-nodefaults", "-display", "none", "-accel", "tcg", "-m", "16", "-qmp", "stdio",
                                "-drive", f"file={s.uri},format=raw,if=virtio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        qmp.stdin.write('{"execute":"qmp_capabilities"}{"execute":"query-status"}{"execute":"quit"}')
        qmp.stdin.flush()
        out = qmp.communicate(timeout=LONG_SEC)[0]
        assert '"running": true' in out and qmp.returncode == 0, out


def restored(repository, target, code=0):
    done = subprocess.run([ballast, "backup", "restore", "web1", "vda", target, "--format", "qcow2", "--repository", repository],
                          capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=LONG_SEC)
    assert done.returncode == code, done
    return done.stderr


def wait_for(condition):
    end = time.monotonic() + LONG_SEC
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def check_qcow2(top, repository, original):
    """Straight into the image: it needs no room for a raw one, and zeroes stay none."""
    target = os.path.join(top, "restored.qcow2")
    restored(repository, target)
    run("qemu-img", "compare", "-f", "qcow2", "-F", "raw", target, original)
    ranges = json.loads(run("qemu-img", "map", "--output=json", target))
    assert any(r["zero"] and not r["data"] and r["length"] >= 4 * CHUNK for r in ranges), f"zeroes were written: {ranges}"
    assert "is there already" in restored(repository, target, code=1)
    assert glob.glob(target + "*") == [target], "something is left behind"


def check_single_file(top):
    """One file of a file system in a point, without mounting anything of the kernel's: the recipe of docs/backup.md."""
    if not shutil.which("nbdfuse") or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("single file: not tried, no nbdfuse (package libnbd-bin) or no /dev/fuse")
        return
    tree, disk, repository = (os.path.join(top, name) for name in ("tree", "ext4.raw", "files"))
    os.makedirs(os.path.join(tree, "etc"))
    content = random.Random(6).randbytes(3 * CHUNK + 7)
    with open(os.path.join(tree, "etc", "lost"), "wb") as f:
        f.write(content)
    run("mkfs.ext4", "-q", "-d", tree, disk, "8M")
    run(ballast, "backup", "init", "--repository", repository, "--chunk-size", "64 KiB")
    run(fill, repository, "web1", "20260101T000000Z", "-", "vda=" + disk)
    mount, found = os.path.join(top, "mount"), os.path.join(top, "found")
    os.makedirs(mount)
    with Served(repository, os.path.join(top, "single")) as s:
        fuse = subprocess.Popen(["nbdfuse", "-r", os.path.join(mount, "disk"), s.uri])
        try:
            wait_for(lambda: os.path.exists(os.path.join(mount, "disk")) or fuse.poll() is not None)
            run("debugfs", "-R", f"dump /etc/lost {found}", os.path.join(mount, "disk"))
        finally:
            subprocess.run(["fusermount3", "-u", mount], check=False) if fuse.poll() is None else None
            fuse.wait(LONG_SEC)
    with open(found, "rb") as f:
        assert f.read() == content, "another file"


def check_stall(top, bad_fuse):
    """A repository that does not answer (here: the process behind its file system is stopped): readers get an error, none hangs."""
    if not bad_fuse or not shutil.which("fusermount3") or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("stall: not tried, no FUSE here")
        return
    under, mount, socket = (os.path.join(top, name) for name in ("under", "away", "stall"))
    os.makedirs(under)
    os.makedirs(mount)
    server = subprocess.Popen([bad_fuse, under, "none", mount])
    nbdkit = None
    try:
        wait_for(lambda: os.path.ismount(mount) or server.poll() is not None)
        if server.poll() is not None:
            print("stall: not tried, FUSE can't be mounted")
            return
        repository = os.path.join(mount, "repository")
        run(ballast, "backup", "init", "--repository", repository, "--chunk-size", "64 KiB")
        run(fill, repository, "web1", "20260101T000000Z", "-", "vda=" + os.path.join(top, "vda.raw"))
        nbdkit = subprocess.Popen(["nbdkit", "-f", "-r", "-U", socket, os.path.join(plugins, "nbdkit-ballast-plugin.so"), "stall=1",
                                   f"repository={repository}", "identity=web1", "time=20260101T000000Z", "disk=vda"])
        wait_for(lambda: os.path.exists(socket))
        uri = f"nbd+unix:///?socket={socket}"
        run("qemu-io", "-r", "-f", "raw", "-c", "read 0 4k", uri)
        server.send_signal(signal.SIGSTOP)
        done = subprocess.run(["qemu-io", "-r", "-f", "raw", "-c", f"read {2 * CHUNK} 4k", uri], check=False, timeout=LONG_SEC)
        assert done.returncode != 0, "read, from a repository that does not answer"
        assert nbdkit.wait(LONG_SEC) == 1, "nbdkit does not give up"
    finally:
        server.send_signal(signal.SIGCONT)
        if nbdkit:
            nbdkit.kill()
            nbdkit.wait()
        subprocess.run(["fusermount3", "-u", mount], check=False)
        server.wait(LONG_SEC)


def check_damage(top, repository):
    """A chunk that is no longer what it was is an error, never other bytes."""
    largest = max(glob.glob(os.path.join(repository, "chunks/??/*")), key=os.path.getsize)
    with open(largest, "r+b") as f:
        f.seek(os.path.getsize(largest) // 2)
        byte = f.read(1)
        f.seek(-1, 1)
        f.write(bytes([byte[0] ^ 1]))
    with Served(repository, os.path.join(top, "bad")) as s:
        done = subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "raw", s.uri, os.path.join(top, "bad.raw")],
                              capture_output=True, text=True, check=False, timeout=LONG_SEC)
        assert done.returncode != 0 and "error" in done.stderr.lower(), done
    target = os.path.join(top, "bad.qcow2")
    assert "ballast backup verify" in restored(repository, target, code=1)
    assert not glob.glob(target + "*"), "a file that is not whole is left behind"


def main():
    need("nbdkit", "qemu-img", "qemu-io", "qemu-system-x86_64")
    with tempfile.TemporaryDirectory(prefix="ballast-serve-") as top:
        repository, original = os.path.join(top, "repository"), os.path.join(top, "vda.raw")
        size = image(original)
        run(ballast, "backup", "init", "--repository", repository, "--chunk-size", "64 KiB")
        run(fill, repository, "web1", "20260101T000000Z", "-", "vda=" + original)
        check_read_only(top, repository, original, size)
        check_writable(top, repository, original)
        check_boots(top, repository)
        check_qcow2(top, repository, original)
        check_single_file(top)
        check_stall(top, sys.argv[4] if len(sys.argv) > 4 else None)
        assert "no disk 'vdz'" in refused("web1", "vdz", os.path.join(top, "x"), "--repository", repository)
        assert "too long" in refused("web1", "vda", "/" + "x" * 120, "--repository", repository)
        check_damage(top, repository)
        ENVIRONMENT["BALLAST_LIBEXEC_DIR"] = top
        assert "nbdkit-ballast-plugin" in refused("web1", "vda", os.path.join(top, "y"), "--repository", repository)
    return 0


if __name__ == "__main__":
    sys.exit(main())
