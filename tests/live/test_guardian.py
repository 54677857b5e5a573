#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""S7: every freeze ends. ballastd is killed just before steps of the window, is stopped in it, its guardian is killed,
the guest's agent hangs before and after the freeze: the guest runs and writes again, nothing of the backup stays in QEMU,
and the next backup is right. So it is with hooks that fail or hang; the one after the thaw comes after each one before a freeze."""
import os
import signal
import subprocess
import time

import disks
import vm
from bench import CLI, CLEAN_ENVIRONMENT, check, eventually, main

LIMIT_SEC = 4


def begin(d):
    """Starts a backup and returns at once: what is done to ballastd in it ends the command, too."""
    return vm.spawn([CLI, "--socket", d.socket, "backup", "run", "g"], f"{d.directory}/run.log", env=CLEAN_ENVIRONMENT)


def state(d):
    """What is kept of windows: markers, notes, sockets, images."""
    return os.listdir(f"{d.runtime_dir}/backup") + os.listdir(f"{d.state_dir}/fleece")


def check_healed(g, d, what):
    eventually(lambda: disks.is_writable(g) and g.monitor.ask("query-status")["status"] == "running",
               f"{what}: the guest runs and writes", LIMIT_SEC + 16, d.log)


def restart(g, d, environment=None):
    """A ballastd that finds what is left, and undoes it."""
    d.environment = environment or {}
    d.start()
    eventually(lambda: not disks.leftovers(g) and not state(d), "a new ballastd takes back what was left", explain=d.log)
    d.wait_for("g", quiet=True)


def killed_at(g, d, step):
    d.terminate()
    d.environment = {"BALLAST_TEST_BACKUP": f"{step}:kill"}
    d.start()
    d.wait_for("g", quiet=True)
    command = begin(d)
    check(d.process.wait(60) == -signal.SIGKILL, f"ballastd is killed just before step '{step}'")
    vm.end(command)
    check_healed(g, d, step)
    restart(g, d)


def guardians(d):
    listed = subprocess.run(["ps", "--ppid", str(d.pid), "-o", "pid=,comm="], stdout=subprocess.PIPE, text=True, check=False)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if line.split()[1].startswith("ballast-guardia")]


def held(g, d, action, what, step="stop", expected=(0,)):
    """Something happens while the guest is frozen, just before `step`; returns how the command ended."""
    hold = f"{d.directory}/hold"
    d.terminate()
    d.environment = {"BALLAST_TEST_BACKUP": f"{step}:hold:{hold}"}
    d.start()
    d.wait_for("g", quiet=True)
    with open(hold, "w"):
        pass
    command = begin(d)
    eventually(lambda: d.has_flag("g", "frozen"), f"{what}: the guest is frozen", explain=d.log)
    action()
    os.unlink(hold)
    code = command.wait(60)
    check(code in expected, f"{what}: the command ends with exit code {code}")
    check_healed(g, d, what)


def end_as_systemd(g, d):
    """ballastd and all that it started get SIGTERM at once; the guardian outlives it."""
    def end():
        for pid in (d.pid, *guardians(d)):
            os.kill(pid, signal.SIGTERM)
    held(g, d, end, "told to end while the guest is frozen", expected=(1, 3))
    check(d.process.wait(60) == 0, "ballastd ended in order")
    restart(g, d)


class Hooks:
    """Both are one script: it writes down what it is, and does what the file `mode` says."""

    def __init__(self, directory):
        self.path, self.log, self.mode = (f"{directory}/{name}" for name in ("hook", "hooks", "mode"))
        with open(self.path, "w") as f:
            f.write(f"#!/bin/sh\necho $BALLAST_HOOK $BALLAST_STATE >>{self.log}\n. {self.mode}\n")
        os.chmod(self.path, 0o755)
        self.do("")

    def do(self, text):
        with open(self.mode, "w") as f:
            f.write(text + "\n")

    def ran(self):
        with open(self.log) as f:
            return f.read().split("\n")[:-1]

    def check_pairs(self, what):
        ran = self.ran()
        check(len(ran) % 2 == 0 and all(name == "before-freeze begin" for name in ran[::2]) and
              all(name.startswith("after-thaw ") for name in ran[1::2]), f"{what}: each hook has its other one {ran[-2:]}")


def hooks_that_fail(g, d, hooks):
    for text, words in (("echo no room >&2; exit 3", "exit code 3; it said: no room"), ("sleep 1000", "did not end within 2 s")):
        hooks.do(f"[ $BALLAST_HOOK = after-thaw ] || {{ {text}; }}")
        done = d.cli("backup", "run", "g")
        check(done.returncode == 1 and words in done.stderr, f"a hook before the freeze: {done.stderr}")
        check_healed(g, d, "after it")
        check(hooks.ran()[-2:] == ["before-freeze begin", "after-thaw failed"], "the other one ran")
    hooks.do("[ $BALLAST_HOOK = before-freeze ] || { echo stuck >&2; exit 1; }")
    done = d.cli("backup", "run", "g")
    check(done.returncode == 4 and "it said: stuck" in done.stdout, f"the hook after the thaw: a point, and said {done.stdout}")
    check(any("it said: stuck" in w["text"] for w in d.status()["warnings"]), "and in the status")
    hooks.do("")


def test(b):
    disks.need_tools()
    hooks = Hooks(b.directory)
    g, = b.boot(("g", {"boot_mib": 256, "disks": disks.images(b, "g"), "iothread": True}))
    repository = disks.repository(b)
    d = b.daemon(disks.config(b, repository, freeze_limit=f"{LIMIT_SEC} s", freeze_timeout="2 s",
                              before_freeze=hooks.path, before_freeze_timeout="2 s", after_thaw=hooks.path))
    d.wait_for("g")
    g.shell.run("writer /a/log 5 </dev/null >/dev/null 2>&1 &")
    d.cli("backup", "run", "g", "--freeze", "require", check_code=0)

    for step in ("hook-before", "freeze", "bitmaps", "plug", "cont", "thaw", "hook-after", "pushed", "settle-bitmaps"):
        killed_at(g, d, step)
        hooks.check_pairs(step)
    hooks_that_fail(g, d, hooks)
    done = d.cli("backup", "run", "g", "--json", check_code=0)
    check('"read":"full"' not in done.stdout, "after all of it the next backup is still incremental")

    end_as_systemd(g, d)
    d.terminate()
    d.environment = {"BALLAST_TEST_BACKUP": "plug:stop"}
    d.start()
    d.wait_for("g", quiet=True)
    command = begin(d)
    eventually(lambda: "T" in open(f"/proc/{d.pid}/stat").read().rsplit(")", 1)[1][:3], "ballastd is stopped in the window")
    time.sleep(LIMIT_SEC)
    check_healed(g, d, "after the limit")
    d.kill()
    vm.end(command)
    restart(g, d)

    held(g, d, lambda: os.kill(guardians(d)[0], signal.SIGKILL), "the guardian is killed")
    check(len(guardians(d)) == 1, "another guardian has taken its place")
    held(g, d, lambda: g.shell.run("kill -STOP $(pidof qemu-ga); (sleep 6; kill -CONT $(pidof qemu-ga)) >/dev/null 2>&1 &"),
         "the agent hangs in the freeze", expected=(0, 1, 4))
    eventually(lambda: not disks.leftovers(g) and not [name for name in state(d) if name.endswith(".frozen")],
               "nothing is left of it", explain=d.log)
    d.terminate()
    restart(g, d)

    g.shell.run("kill -STOP $(pidof qemu-ga)")
    done = d.cli("backup", "run", "g")
    check(done.returncode == 4 and "power failure" in done.stdout,
          f"a dead agent: the point is as after a power failure ({done.returncode}) {done.stdout}{done.stderr}")
    g.shell.run("kill -CONT $(pidof qemu-ga)")
    check_healed(g, d, "with a dead agent")
    done = d.cli("backup", "run", "g", "--freeze", "require", "--json", check_code=0)
    check('"consistency":"fs"' in done.stdout and '"read":"full"' not in done.stdout, "the last backup is whole")
    restored = f"{b.directory}/restored.raw"
    d.cli("backup", "restore", "g", "vda", restored, "--repository", repository, check_code=0)
    disks.run("e2fsck", "-fn", restored)
    disks.check_records(restored, 100, "restored")


main(test)
