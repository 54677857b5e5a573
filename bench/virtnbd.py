# SPDX-License-Identifier: Apache-2.0
"""virtnbdbackup on libvirt, the peer that backups are measured against: a libvirtd of our own, without systemd, and a domain that boots
nothing. Needs root and the packages virtnbdbackup and libvirt-daemon-system (they are not among those of tools/install-deps.sh)."""
import os
import shutil
import subprocess
import time

NAME = "ballast-bench"
DOMAIN = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='file' device='disk'><driver name='qemu' type='qcow2' discard='unmap'/><source file='{image}'/><target dev='vda' bus='virtio'/></disk>
<controller type='usb' model='none'/><memballoon model='none'/></devices></domain>
"""


def missing():
    """Why it can't be measured here; "": it can."""
    if os.geteuid() != 0:
        return "virtnbdbackup is not measured: that needs root"
    for program in ("virtnbdbackup", "libvirtd", "virtlogd", "virsh"):
        if not shutil.which(program):
            return f"virtnbdbackup is not measured: {program} is missing (packages virtnbdbackup, libvirt-daemon-system)"
    if os.path.exists("/run/libvirt/libvirt-sock") and subprocess.run(["virsh", "-c", "qemu:///system", "version"],
                                                                      capture_output=True, check=False).returncode == 0:
        return "virtnbdbackup is not measured: a libvirtd runs here, which is not ours to use"
    return ""


class Virtnbd:
    """The domain, paused; virtnbdbackup of it."""

    def __init__(self, directory, image):
        self.directory, self.image = os.path.join(directory, "virt"), image
        self.pids = []
        os.makedirs(self.directory)
        for path in (directory, self.directory):
            os.chmod(path, 0o755)  # QEMU runs as a user of its own there
        self.environment = {**os.environ, "LIBVIRT_DEFAULT_URI": "qemu:///system"}

    def run(self, *argv):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, env=self.environment)
        if done.returncode != 0:
            raise OSError(f"{argv}: {done.stdout[-500:]}{done.stderr[-500:]}")
        return done.stdout

    def daemon(self, program, *options):
        pidfile = os.path.join(self.directory, program + ".pid")
        self.run(program, "-d", "-p", pidfile, *options)
        end = time.monotonic() + 30
        while not os.path.exists(pidfile):
            if time.monotonic() > end:
                raise OSError(f"{program} did not start")
            time.sleep(0.05)
        with open(pidfile, encoding="ascii") as f:
            self.pids.append(int(f.read()))

    def __enter__(self):
        configuration = os.path.join(self.directory, "libvirtd.conf")
        with open(configuration, "w", encoding="utf-8") as f:
            f.write(f'log_level = 3\nlog_outputs = "3:file:{self.directory}/libvirtd.log"\n')
        self.daemon("virtlogd")
        self.daemon("libvirtd", "-f", configuration)
        domain = os.path.join(self.directory, "domain.xml")
        with open(domain, "w", encoding="utf-8") as f:
            f.write(DOMAIN.format(name=NAME, image=self.image))
        end = time.monotonic() + 30
        while True:
            try:
                self.run("virsh", "define", domain)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
        self.run("virsh", "start", "--paused", NAME)
        with open(f"/run/libvirt/qemu/{NAME}.pid", encoding="ascii") as f:
            self.qemu_pid = int(f.read())
        return self

    def __exit__(self, *_):
        for argv in (("virsh", "destroy", NAME), ("virsh", "undefine", NAME, "--checkpoints-metadata")):
            try:
                self.run(*argv)
            except OSError:
                pass
        for pid in reversed(self.pids):
            try:
                os.kill(pid, 15)
            except ProcessLookupError:
                pass

    def backup(self, target):
        self.run("virtnbdbackup", "-d", NAME, "-l", "copy", "-o", target, "-z", "-n", "-S", self.directory)
