# SPDX-License-Identifier: Apache-2.0
"""Real guests for the live tests and the demo: QEMU, its monitor, a control shell and a load generator inside the
guest.

Sizes are MiB where a name ends in _mib, KiB where it ends in _kib. Nothing here knows of ballast: what it reports
(the guest's own view, the host's view of its RAM) is what the tests hold ballast against.
"""
import ctypes
import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import threading
import time

BOOT_SEC = 180  # a guest is up after 2 to 5 s on a quiet machine; deadlines only end what hangs
ANSWER_SEC = 60
KVM_PROBE_SEC = 12
PR_SET_PDEATHSIG = 1


class GuestError(Exception):
    """A guest or its monitor said no, or nothing."""


def _die_with_parent():
    """In the child: no guest survives its bench, even one that is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(argv, log_path, **options):
    """Starts a program of its own session, so that Ctrl-C reaches only us; its output goes to log_path."""
    with open(log_path, "ab") as log:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                start_new_session=True, preexec_fn=_die_with_parent, **options)


def end(process):
    """Kills one child of ours and waits for it, stopped or not."""
    if process is not None and process.poll() is None:
        process.kill()
        process.wait()


class Channel:
    """A line-wise connection to a unix socket. One user at a time (lock)."""

    def __init__(self, path):
        self.lock = threading.RLock()
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        self.rest = b""
        deadline = time.monotonic() + ANSWER_SEC
        while True:
            try:
                self.socket.connect(path)
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def send(self, text):
        self.socket.sendall(text.encode())

    def read_until(self, mark, timeout):
        deadline = time.monotonic() + timeout
        while mark not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise TimeoutError(f"{self.path}: no answer within {timeout} s, have {self.rest[-200:]!r}")
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"{self.path}: closed")
            self.rest += data
        found, self.rest = self.rest.split(mark, 1)
        return found

    def close(self):
        self.socket.close()


class Monitor(Channel):
    """The test's own QMP monitor: ballast has another."""

    def __init__(self, path):
        super().__init__(path)
        self.events = []
        self.read_until(b"\n", ANSWER_SEC)
        self.ask("qmp_capabilities")

    def ask(self, command, timeout=ANSWER_SEC, **arguments):
        with self.lock:
            message = {"execute": command}
            if arguments:
                message["arguments"] = {key.replace("_", "-"): value for key, value in arguments.items()}
            self.send(json.dumps(message) + "\n")
            while True:
                answer = json.loads(self.read_until(b"\n", timeout))
                if "event" in answer:
                    self.events.append(answer)
                elif "error" in answer:
                    raise GuestError(f"{command}: {answer['error']['desc']}")
                else:
                    return answer["return"]


    def tell(self, command):
        """For commands whose answer may not come: `quit`."""
        with self.lock:
            self.send(json.dumps({"execute": command}) + "\n")


class Shell(Channel):
    """The control shell in the guest: any busybox command."""

    def run(self, command, timeout=ANSWER_SEC):
        with self.lock:
            key = f"#{random.getrandbits(48):x}#"
            # Split, so that the shell's own echo of the command never looks like its end.
            self.send(f'{command}\necho "{key[:4]}""{key[4:]}"\n')
            return self.read_until(key.encode(), timeout).decode(errors="replace").strip()

    def tell(self, command):
        """For commands after which there is no shell, as `reboot -f`."""
        with self.lock:
            self.send(command + "\n")

    def wait_ready(self, timeout):
        deadline = time.monotonic() + timeout
        while True:
            try:
                if self.run("echo up", 2).endswith("up"):
                    break
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise
        try:
            self.read_until(b"\0", 0.3)  # late answers to earlier tries
        except TimeoutError:
            self.rest = b""


class Load(Channel):
    """The load generator in the guest (guest/load.c)."""

    late = False  # an answer was not waited for and may still come

    def run(self, command, timeout=ANSWER_SEC):
        """All lines of the answer; GuestError where the guest said error."""
        with self.lock:
            try:
                if self.late:
                    self._synchronize(timeout)
                self.send(command + "\n")
                lines = []
                while not lines or not lines[-1].startswith(("ok", "error")):
                    lines.append(self.read_until(b"\n", timeout).decode(errors="replace").strip("\r"))
            except TimeoutError:
                self.late = True
                raise
            if lines[-1].startswith("error"):
                raise GuestError(f"load '{command}': {lines[-1]}")
            return lines

    def _synchronize(self, timeout):
        word = f"{random.getrandbits(48):x}"
        self.send(f"\nping {word}\n")
        self.read_until(f"ok pong {word}\n".encode(), timeout)
        self.late = False

    def wait_ready(self, timeout):
        deadline = time.monotonic() + timeout
        self.late = True
        while True:
            try:
                self.run("ping", 2)
                return
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise

    def grow(self, size_mib, rate_mib=None, wait=True, timeout=ANSWER_SEC):
        self.run(f"grow {size_mib}M" + (f" {rate_mib}M" if rate_mib else ""))
        if wait:
            self.wait_idle(timeout)

    def burst(self, size_mib, rate_mib, times, hold_ms=1000, pause_ms=1000):
        self.run(f"burst {size_mib}M {rate_mib}M {times} {hold_ms} {pause_ms}")

    def hold(self):
        self.run("hold")

    def release(self, size_mib=None):
        self.run("release" + (f" {size_mib}M" if size_mib is not None else ""))

    def touch(self, timeout=ANSWER_SEC):
        self.run("touch", timeout)

    def state(self):
        """{"held": KiB, "goal": KiB, "busy": 0 or 1}"""
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", self.run("state")[-1])}

    def wait_idle(self, timeout=ANSWER_SEC):
        deadline = time.monotonic() + timeout
        while self.state()["busy"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.path}: still growing after {timeout} s")
            time.sleep(0.1)

    def checksum_kib(self):
        """KiB verified word by word; GuestError where one is damaged."""
        return int(re.match(r"ok (\d+) KiB intact", self.run("checksum")[-1]).group(1))

    def meminfo(self, timeout=ANSWER_SEC):
        """Numbers of the guest's kernel (KiB and counts) and its `free -m` under "free"."""
        lines = self.run("meminfo", timeout)
        found = {m.group(1): int(m.group(2)) for m in (re.match(r"(\w+): +(\d+)", line) for line in lines[2:]) if m}
        found["free"] = "\n".join(line.rstrip() for line in lines[:2])
        return found


def probe_accelerator(guest_dir):
    """["-accel", ...] for this machine. /dev/kvm may be there and not run a guest: one is booted to see, once."""
    tcg = ["-accel", "tcg,thread=multi,tb-size=16", "-cpu", "max"]
    kvm = ["-accel", "kvm", "-cpu", "host"]
    kept = os.path.join(guest_dir, "accelerator")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return tcg
    if not os.path.exists(kept):
        log = os.path.join(guest_dir, f"kvm-probe-{os.getpid()}.log")
        argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35",
                "-m", "256M", "-kernel", f"{guest_dir}/vmlinux", "-initrd", f"{guest_dir}/initramfs.cpio",
                "-append", "console=ttyS0 quiet", "-serial", f"file:{log}"] + kvm
        process = spawn(argv, os.devnull)
        deadline = time.monotonic() + KVM_PROBE_SEC
        works = False
        try:
            while not works and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
                if os.path.exists(log):
                    with open(log, "rb") as f:
                        works = b"READY" in f.read()
        finally:
            end(process)
            if os.path.exists(log):
                os.unlink(log)
        with open(kept, "w") as f:
            f.write("kvm" if works else "tcg")
    with open(kept) as f:
        return kvm if f.read() == "kvm" else tcg


class Guest:
    """One QEMU with a test guest. Its monitor for ballast is guests_dir/NAME.qmp.

    boot_mib       memory it boots with
    plug_mib       size of its virtio-mem device, 0: none; plugged_mib of it requested from the start
    online         False: the kernel leaves hot-added memory offline, as Debian does by default
    balloon        False: no balloon device; deflate_on_oom, free_page_reporting: its options
    deaf           True: its balloon driver answers statistics but hears no target: a guest that is stuck
    swap_mib       swap on a compressed RAM disk in the guest
    monitor        False: no monitor for ballast
    agent          True: a port for ballast-agent, guests_dir/NAME.agent, and the agent runs in the guest
    disks          images (qcow2 or raw by their ending) that become vda, vdb ..., with qemu-guest-agent and its port,
                   guests_dir/NAME.qga; iothread: the disks live in one
    user           number of the user that QEMU runs as; the images are his, or made so
    suffix         tells the files of a second guest of this name apart
    """

    def __init__(self, name, run_dir, guests_dir, guest_dir, accelerator, boot_mib=256, plug_mib=0, plugged_mib=0,
                 online=True, balloon=True, deflate_on_oom=False, free_page_reporting=False, deaf=False, swap_mib=0,
                 monitor=True, agent=False, kernel_options="", suffix="", extra=(), disks=(), iothread=False,
                 user=None):
        self.name, self.boot_mib, self.plug_mib, self.balloon = name, boot_mib, plug_mib, balloon
        self.swap_mib = swap_mib
        self.booting = False      # for those that watch it (truth.py): set by who made it reboot
        self.lost_driver = False  # by who unloaded it
        self.directory = os.path.join(run_dir, name + suffix)
        os.makedirs(self.directory)
        self.agent_path = os.path.join(guests_dir, name + ".agent")
        self.monitor_path = os.path.join(guests_dir, name + ".qmp")
        self.monitor = self.shell = self.load = None

        d = self.directory
        options = "console=ttyS0 quiet panic=1 psi=1 init_on_alloc=0 mitigations=off nokaslr random.trust_cpu=on"
        options += " iomem=relaxed"  # lets forge write registers whose driver is loaded
        if accelerator[1].startswith("tcg"):
            options += " tsc=unstable"  # saves the boot the calibration of a clock that is emulated
        if plug_mib:
            # Else the kernel takes 64 MiB for bounce buffers, as it might have memory above 4 GiB.
            options += " swiotlb=noforce"
            if online:
                options += " memhp_default_state=online memory_hotplug.online_policy=auto-movable"
        if deaf:
            options += " test.deaf"
        argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-name", name,
                "-machine", "q35,vmport=off,smbus=off,sata=off,i8042=off,hpet=off"] + accelerator
        argv += ["-smp", "1", "-m", f"{boot_mib}M" + (f",maxmem={boot_mib + plug_mib}M" if plug_mib else ""),
                 "-kernel", f"{guest_dir}/vmlinux",
                 "-initrd", f"{guest_dir}/initramfs{'-disks' if disks else ''}.cpio",
                 "-append", f"{options} {kernel_options}".strip(), "-chardev", f"file,id=console,path={d}/console.log",
                 "-serial", "chardev:console", "-qmp", f"unix:{d}/test.qmp,server=on,wait=off",
                 "-device", "virtio-serial-pci,id=ports"]
        if monitor:
            argv += ["-chardev", f"socket,id=ballast,path={self.monitor_path},server=on,wait=off",
                     "-mon", "chardev=ballast,mode=control"]
        for port in ("shell", "load"):
            argv += ["-chardev", f"socket,id={port},path={d}/{port},server=on,wait=off",
                     "-device", f"virtserialport,bus=ports.0,chardev={port},name=test.{port}"]
        if agent:
            argv += ["-chardev", f"socket,id=agent,path={self.agent_path},server=on,wait=off",
                     "-device", "virtserialport,bus=ports.0,chardev=agent,name=org.ballast.agent.0"]
        if balloon:
            argv += ["-device", f"virtio-balloon-pci,id=balloon0,deflate-on-oom={'on' if deflate_on_oom else 'off'}"
                     f",free-page-reporting={'on' if free_page_reporting else 'off'}"]
        if plug_mib:
            argv += ["-object", f"memory-backend-ram,id=plug,size={plug_mib}M",
                     "-device", f"virtio-mem-pci,id=vmem0,memdev=plug,requested-size={plugged_mib}M"]
        if disks:
            argv += ["-chardev", f"socket,id=qga,path={guests_dir}/{name}.qga,server=on,wait=off",
                     "-device", "virtserialport,bus=ports.0,chardev=qga,id=qga0,name=org.qemu.guest_agent.0"]
        if iothread:
            argv += ["-object", "iothread,id=io0"]
        for i, path in enumerate(disks):
            kind = "raw" if path.endswith(".raw") else "qcow2"
            argv += ["-blockdev", f"driver={kind},node-name=disk{i},discard=unmap,file.driver=file,file.filename={path}"
                     ",file.discard=unmap",
                     "-device", f"virtio-blk-pci,id=vd{chr(97 + i)},drive=disk{i}" + (",iothread=io0" if iothread else "")]
        self.argv = argv + list(extra)
        for path in [d, *disks] if user else []:
            os.chown(path, user, user)
        self.process = spawn(self.argv, f"{d}/qemu.log", **({"user": user, "group": user, "extra_groups": []} if user else {}))

    @property
    def pid(self):
        return self.process.pid

    def wait_up(self, timeout=BOOT_SEC):
        """Returns once the guest answers; raises with the end of its console if it does not."""
        try:
            if self.monitor is None:
                self.monitor = Monitor(f"{self.directory}/test.qmp")
                self.shell = Shell(f"{self.directory}/shell")
                self.load = Load(f"{self.directory}/load")
            self.shell.wait_ready(timeout)
            self.load.wait_ready(timeout)
            if self.swap_mib:
                self.shell.run(f"echo {self.swap_mib}M >/sys/block/zram0/disksize && mkswap /dev/zram0"
                               " && swapon /dev/zram0")
        except (OSError, EOFError) as e:
            raise GuestError(f"guest '{self.name}' did not come up: {e}\n{self.console()[-2000:]}") from e
        return self

    def console(self):
        text = ""
        for name in ("console.log", "qemu.log"):
            try:
                with open(f"{self.directory}/{name}", errors="replace") as f:
                    text += f.read()
            except OSError:
                pass
        return text

    def is_running(self):
        return self.process.poll() is None

    def kill(self):
        end(self.process)
        for channel in (self.monitor, self.shell, self.load):
            if channel is not None:
                channel.close()

    def stop(self):
        """The whole QEMU hangs: its monitor answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)

    def reset(self):
        """Resets the machine; the guest boots anew and its load is gone."""
        self.monitor.ask("system_reset")

    def claim(self, but_mib=24):
        """Sets all available memory but a rest aside as huge pages nobody touches: a need that is none. (Without the
        rest the guest's own kernel panics for lack of memory.)"""
        self.shell.run("cd /proc/sys/vm && awk -v old=$(cat nr_hugepages) '/MemAvailable/ {n = old + int(($2 - "
                       f"{but_mib * 1024}) / 2048); print (n > 0 ? n : 0)}}' /proc/meminfo >/tmp/claim"
                       " && cat /tmp/claim >nr_hugepages")

    # What the guest sees.
    def total_mib(self):
        return self.load.meminfo()["MemTotal"] // 1024

    def free(self):
        """The guest's own `free -m`."""
        return self.shell.run("free -m")

    # What is true on the host, read without ballast.
    def balloon_mib(self):
        """Boot memory less the balloon, as the guest's driver tells QEMU."""
        if not self.balloon:
            return self.boot_mib
        return self.monitor.ask("query-balloon")["actual"] >> 20

    def plugged_mib(self):
        if not self.plug_mib:
            return 0
        return self.monitor.ask("qom-get", path="/machine/peripheral/vmem0", property="size") >> 20

    def assigned_mib(self):
        return self.balloon_mib() + self.plugged_mib()

    def resident_mib(self):
        """Guest RAM in the host's memory and swap: mappings of QEMU as large as a RAM region of this guest."""
        sizes_kib = {self.boot_mib * 1024, self.plug_mib * 1024} - {0}
        total_kib, ours = 0, False
        with open(f"/proc/{self.pid}/smaps") as f:
            for line in f:
                head = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
                if head:
                    ours = (int(head.group(2), 16) - int(head.group(1), 16)) // 1024 in sizes_kib
                elif ours and line.startswith(("Rss:", "Swap:")):
                    total_kib += int(line.split()[1])
        return total_kib // 1024

    def held_mib(self):
        return max(self.assigned_mib(), self.resident_mib())

    def overhead_mib(self):
        """What QEMU itself takes beside the guest's RAM."""
        with open(f"/proc/{self.pid}/status") as f:
            found = dict(re.findall(r"(VmRSS|VmSwap):\s+(\d+) kB", f.read()))
        return max(0, sum(map(int, found.values())) // 1024 - self.resident_mib())

    def oom_kills(self):
        """Processes the guest's kernel killed for lack of memory since it booted."""
        return self.load.meminfo()["oom_kill"]
