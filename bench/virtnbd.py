# SPDX-License-Identifier: Apache-2.0
"""virtnbdbackup on libvirt, the peer that backups are measured against: a libvirtd of our own, without systemd, and domains. Needs root
and the packages virtnbdbackup and libvirt-daemon-system (they are not among those of tools/install-deps.sh)."""
import os
import shutil
import subprocess
import time

NAME = "ballast-bench"

def disk_xml(image, target):
    return (f"<disk type='file' device='disk'><driver name='qemu' type='qcow2' discard='unmap'/><source file='{image}'/>"
            f"<target dev='{target}' bus='virtio'/></disk>")


def channel_xml(name, path=None):
    source = f"<source mode='bind' path='{path}'/>" if path else ""
    return f"<channel type='unix'>{source}<target type='virtio' name='{name}'/></channel>"


def domain_xml(name, devices, memory_mib=64, kind="qemu", system="", more=""):
    """A domain of one virtual processor. system: in <os>; more: beside it."""
    return (f"<domain type='{kind}'><name>{name}</name><memory unit='MiB'>{memory_mib}</memory><vcpu>1</vcpu>"
            f"<os><type arch='x86_64' machine='q35'>hvm</type>{system}</os>{more}<devices>"
            f"<emulator>/usr/bin/qemu-system-x86_64</emulator>{devices}<controller type='usb' model='none'/>"
            "<memballoon model='none'/></devices></domain>\n")


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
    """libvirt, and virtnbdbackup of its domains. With an image: a domain NAME with it, paused, that boots nothing."""

    def __init__(self, directory, image=None):
        self.directory, self.image = os.path.join(directory, "virt"), image
        self.pids, self.domains, self.qemu_pid = [], [], None
        os.makedirs(self.directory)
        for path in (directory, self.directory):
            os.chmod(path, 0o755)  # QEMU runs as a user of its own there
        self.environment = {**os.environ, "LIBVIRT_DEFAULT_URI": "qemu:///system"}

    def run(self, *argv):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, env=self.environment)
        if done.returncode != 0:
            raise OSError(f"{argv}: {done.stdout[-500:]}{done.stderr[-500:]}")
        return done.stdout + done.stderr

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
        try:
            return self.begin()
        except BaseException:
            self.__exit__()
            raise

    def begin(self):
        configuration = os.path.join(self.directory, "libvirtd.conf")
        with open(configuration, "w", encoding="utf-8") as f:
            f.write(f'log_level = 3\nlog_outputs = "3:file:{self.directory}/libvirtd.log"\n')
        self.daemon("virtlogd")
        self.daemon("libvirtd", "-f", configuration)
        if self.image:
            self.qemu_pid = self.start(NAME, domain_xml(NAME, disk_xml(self.image, "vda")), "--paused")
        return self

    def start(self, name, xml, *how):
        """Defines and starts a domain; returns its QEMU's pid."""
        path = os.path.join(self.directory, name + ".xml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(xml)
        self.forget(name)  # one that a killed run left
        end = time.monotonic() + 30
        while True:
            try:
                self.run("virsh", "define", path)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
        self.domains.append(name)
        self.run("virsh", "start", *how, name)
        with open(f"/run/libvirt/qemu/{name}.pid", encoding="ascii") as f:
            return int(f.read())

    def forget(self, name):
        for argv in (("virsh", "destroy", name), ("virsh", "undefine", name, "--checkpoints-metadata")):
            try:
                self.run(*argv)
            except OSError:
                pass

    def __exit__(self, *_):
        for name in self.domains:
            self.forget(name)
        for pid in reversed(self.pids):
            end = time.monotonic() + 30
            try:
                os.kill(pid, 15)
                while time.monotonic() < end:  # it removes its socket as it ends, also one that the next has just made
                    os.kill(pid, 0)
                    time.sleep(0.05)
            except ProcessLookupError:
                pass

    def backup(self, target, level="copy", name=NAME):
        """level: copy (no checkpoint is kept), full, inc. Returns what it said."""
        return self.run("virtnbdbackup", "-d", name, "-l", level, "-o", target, "-z", "-n", "-S", self.directory)
