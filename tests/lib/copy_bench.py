# SPDX-License-Identifier: Apache-2.0
"""What the tests of ballast-copy drive: the program, a repository, and a QEMU that boots nothing (its disks and its backup
jobs are real, and there in milliseconds).

    with Bench(argv) as b:
        q = b.qemu({"vda": 8 * MIB})
        c = b.copy([b.disk("vda", 8 * MIB)])
        q.push("vda", c)
        point = c.finish()
"""
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
import vm  # noqa: E402

MIB = 1 << 20
LONG_SEC = 60  # only what never happens takes this long
EXIT_SKIP = 77
GUEST = "4c4c4544-0042"


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            print(f"{program} is missing: run tools/install-deps.sh")
            sys.exit(EXIT_SKIP)


def run(*argv, **options):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LONG_SEC, check=False, **options)
    assert done.returncode == 0, f"{argv}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def eventually(condition, what):
    end = time.monotonic() + LONG_SEC
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.01)


def same(a, b):
    run("cmp", a, b)


class Copy:
    """ballast-copy with one job, or with another first line."""

    def __init__(self, program, job, log, ready=True, first=None, **options):
        self.job = job
        self.lines, self.rest = [], b""
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, **options)
        self.tell(**(first or {"job": job}))
        if ready:
            self.ready = self.wait("ready")

    def tell(self, **order):
        self.process.stdin.write((json.dumps(order) + "\n").encode())
        self.process.stdin.flush()

    def read(self, seconds):
        """One line, or None at the end; AssertionError when none comes."""
        end = time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.process.stdout], [], [], left)[0], f"no line; had {self.lines}"
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return None
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        self.lines.append(json.loads(line))
        return self.lines[-1]

    def wait(self, word, seconds=LONG_SEC):
        """The next line of that kind; progress before it is passed over."""
        end = time.monotonic() + seconds
        while True:
            line = self.read(max(end - time.monotonic(), 0))
            assert line is not None, f"it ended before '{word}': {self.lines}"
            if word in line:
                return line
            assert "progress" in line, f"'{word}' was expected: {line}"

    def socket(self, disk):
        return next(d["socket"] for d in self.job["disks"] if d["name"] == disk)

    def finish(self, **facts):
        """The committed point's time."""
        self.tell(finish={"manifest": facts})
        point = self.wait("committed")["committed"]
        assert self.process.wait(LONG_SEC) == 0
        assert not any(os.path.exists(d["socket"]) for d in self.job["disks"]), "a socket is left behind"
        self.close()
        return point.split("/")[-1]

    def fail(self, says, finish=False):
        """It fails with a sentence that holds `says`."""
        if finish:
            self.tell(finish={"manifest": {}})
        line = self.wait("failed")
        assert says in line["failed"], line
        return line

    def worker(self):
        """Pid of its child."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as f:
            return int(f.read().split()[0])

    def close(self):
        """Ends it as ballastd does; returns the exit code."""
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
        return self.process.wait(LONG_SEC)


class Qemu:
    """Disks and jobs, without a guest."""

    def __init__(self, directory, disks, iothread=False):
        self.directory, self.jobs = directory, 0
        path = os.path.join(directory, "qmp")
        argv = ["qemu-system-x86_64", "-S", "-nodefaults", "-display", "none", "-accel", "tcg", "-m", "16", "-M", "q35",
                "-qmp", f"unix:{path},server=on,wait=off"]
        if iothread:
            argv += ["-object", "iothread,id=io0"]
        for name, image in disks.items():
            argv += ["-blockdev", json.dumps({"driver": "qcow2", "node-name": name, "discard": "unmap",
                                              "file": {"driver": "file", "filename": image, "discard": "unmap"}}),
                     "-device", f"virtio-blk-pci,drive={name},id=dev-{name}" + (",iothread=io0" if iothread else "")]
        self.process = vm.spawn(argv, os.path.join(directory, "qemu.log"))
        self.monitor = vm.Monitor(path)

    def ask(self, command, arguments=None):
        return self.monitor.ask(command, **(arguments or {}))

    def io(self, disk, command):
        text = self.ask("human-monitor-command", {"command-line": f'qemu-io -d /machine/peripheral/dev-{disk}/virtio-backend "{command}"'})
        assert "ops" in text or text == "", text

    def bitmap(self, disk):
        self.ask("block-dirty-bitmap-add", {"node": disk, "name": "b", "granularity": MIB})

    def dirty_bytes(self, disk):
        for node in self.ask("query-named-block-nodes"):
            if node["node-name"] == disk:
                return node["dirty-bitmaps"][0]["count"]
        raise AssertionError(f"no node {disk}")

    def attach(self, disk, socket):
        self.ask("blockdev-add", {"driver": "nbd", "node-name": f"tg-{disk}", "export": "", "open-timeout": 5,
                                  "detect-zeroes": "on", "server": {"type": "unix", "path": socket}})

    def start(self, disk, bitmap=False, workers=8, speed=0):
        self.jobs += 1
        how = {"sync": "bitmap", "bitmap": "b", "bitmap-mode": "on-success"} if bitmap else {"sync": "full"}
        self.ask("blockdev-backup", {"job-id": f"job-{disk}", "device": disk, "target": f"tg-{disk}", "auto-dismiss": False,
                                     "speed": speed, "x-perf": {"max-workers": workers}, **how})

    def concluded(self, disk):
        """None while it runs, else its error, "" where there is none."""
        job = next(j for j in self.ask("query-jobs") if j["id"] == f"job-{disk}")
        return job.get("error", "") if job["status"] == "concluded" else None

    def end(self, disk):
        """Waits for the job's end and takes all of it down; returns its error."""
        eventually(lambda: self.concluded(disk) is not None, "the job ends")
        error = self.concluded(disk)
        self.ask("job-dismiss", {"id": f"job-{disk}"})
        self.detach(disk)
        return error

    def detach(self, disk):
        self.ask("yank", {"instances": [{"type": "block-node", "node-name": f"tg-{disk}"}]})
        self.ask("blockdev-del", {"node-name": f"tg-{disk}"})

    def push(self, disk, copy, **how):
        """A whole backup of one disk."""
        self.attach(disk, copy.socket(disk))
        self.start(disk, **how)
        error = self.end(disk)
        assert error == "", error

    def quit(self):
        self.ask("quit")
        assert self.process.wait(LONG_SEC) == 0

    def alive(self):
        """It answers, also to what drains all disks."""
        self.ask("query-block-jobs")
        self.ask("cont")
        self.ask("stop")


class Bench:
    def __init__(self, copy, tool):
        self.program, self.tool = os.path.abspath(copy), os.path.abspath(tool)
        self.directory = tempfile.mkdtemp(prefix="ballast-copy-")
        self.repository = os.path.join(self.directory, "repository")
        self.log_path = os.path.join(self.directory, "copy.log")
        self.copies, self.qemus, self.points = [], [], 0
        run(self.tool, "init", self.repository, str(MIB))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for c in self.copies:
            for pid in [c.process.pid]:
                if c.process.poll() is None:
                    os.kill(pid, signal.SIGCONT)
                    c.process.kill()
            c.close()
        for q in self.qemus:
            vm.end(q.process)
        shutil.rmtree(self.directory)

    def image(self, name, size, format="qcow2"):
        path = os.path.join(self.directory, name + "." + format)
        run("qemu-img", "create", "-q", "-f", format, path, str(size))
        return path

    def qemu(self, sizes, **options):
        directory = os.path.join(self.directory, f"q{len(self.qemus)}")
        os.mkdir(directory)
        self.images = {name: self.image(f"{name}-{len(self.qemus)}", size) for name, size in sizes.items()}
        self.qemus.append(Qemu(directory, self.images, **options))
        return self.qemus[-1]

    def disk(self, name, size, parent=None, dirty_bytes=0, **more):
        d = {"name": name, "size_bytes": size, "kind": "full", "parent": None,
             "socket": os.path.join(self.directory, f"{name}.sock"), **more}
        if parent is not None:
            d.update(kind="incremental", parent=parent, dirty_bytes=dirty_bytes)
        return d

    def job(self, disks, **more):
        self.points += 1
        return {"repository": self.repository, "guest": GUEST, "name": "web1", "time": f"20261124T{150000 + self.points}Z",
                "disks": disks, **more}

    def copy(self, disks, ready=True, options=None, **more):
        job = self.job(disks, **more)
        with open(self.log_path, "ab") as log:
            self.copies.append(Copy(self.program, job, log, ready=ready, **(options or {})))
        return self.copies[-1]

    def point_list(self):
        return run(self.tool, "points", self.repository).split()

    def restore(self, point, disk):
        path = os.path.join(self.directory, f"restored-{point}-{disk}")
        run(self.tool, "restore", self.repository, GUEST, point, disk, path)
        return path

    def check_image(self, name, point):
        """The point's disk equals the image that a QEMU that has ended wrote."""
        raw = os.path.join(self.directory, f"{name}-{point}.raw")
        run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", self.images[name], raw)
        same(raw, self.restore(point, name))


def main(tests, argv):
    """Runs the functions test_*(bench); argv: ballast-copy, repo_tool, and names of tests to run (default: all)."""
    need("qemu-system-x86_64", "qemu-img", "cmp")
    failed = 0
    for name, function in list(tests.items()):
        if not name.startswith("test_") or (argv[3:] and name not in argv[3:]):
            continue
        begun = time.monotonic()
        with Bench(argv[1], argv[2]) as b:
            try:
                function(b)
                print(f"ok {name} ({time.monotonic() - begun:.1f} s)", flush=True)
            except (AssertionError, vm.GuestError, TimeoutError, EOFError, OSError) as e:
                failed += 1
                with open(b.log_path, encoding="utf-8", errors="replace") as f:
                    print(f"FAILED {name}: {e!r}\n{f.read()[-2000:]}", flush=True)
    return 1 if failed else 0
