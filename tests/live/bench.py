# SPDX-License-Identifier: Apache-2.0
"""The bench of the live tests: guests (vm.py), ballastd and the command line over them, and everything ended when a
test ends.

    with bench.Bench() as b:
        a, c = b.boot(("a", dict(boot_mib=256)), ("c", dict(boot_mib=256)))
        d = b.daemon(memory_mib=400)
        eventually(lambda: d.guest("a")["assigned_bytes"] < 200 << 20, "a gives")

Run by /usr/bin/python3, standard library only. A test that cannot run here ends with exit code 77 and the reason.
"""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import vm
from vm import GuestError

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("BALLAST_BUILD", os.path.join(ROOT, "build")))
DAEMON = os.path.join(BUILD, "src", "daemon", "ballastd")
CLI = os.path.join(BUILD, "src", "cli", "ballast")
GUEST_DIR = os.path.join(BUILD, "tests", "live", "guest")

EXIT_SKIP = 77
LONG_SEC = 120    # no assertion on speed: only what never happens takes this long
READY_SEC = 60
STEADY_SEC = 12  # a guest just found is only watched for 10 s
CLI_SEC = 60
OVERHEAD_GROWTH_MIB = 8  # a QEMU under emulation goes on translating code for a while
RESERVE_MIB = 64         # of the pretended host: its states are shares of this, QEMU's own wobbling must not reach them
MIB = 1 << 20

# Kept from setting paths of our own: the tests name all of them.
CLEAN_ENVIRONMENT = {"BALLAST_LIBEXEC_DIR": os.path.join(BUILD, "src", "copy"), "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
for _name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
    if _name in os.environ:
        CLEAN_ENVIRONMENT[_name] = os.environ[_name]


def skip(reason):
    print(reason, flush=True)
    sys.exit(EXIT_SKIP)


def say(text):
    print(f"{time.monotonic() - _START:6.1f} s  {text}", flush=True)


_START = time.monotonic()


def eventually(condition, what, deadline_sec=LONG_SEC, explain=None, every_sec=0.25):
    """Waits until condition() is true and returns its value; if it never is: AssertionError with what and explain()."""
    end = time.monotonic() + deadline_sec
    while True:
        value = condition()
        if value:
            if what:
                say("yes: " + what)
            return value
        if time.monotonic() > end:
            raise AssertionError(f"never within {deadline_sec} s: {what}" + (f"\n{explain()}" if explain else ""))
        time.sleep(every_sec)


def always(condition, what, seconds, explain=None):
    """Holds for so many seconds: for things that must *not* happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not condition():
            raise AssertionError(f"no longer true: {what}" + (f"\n{explain()}" if explain else ""))
        time.sleep(0.25)
    say(f"for {seconds} s: {what}")


def check(condition, what):
    if not condition:
        raise AssertionError(what)
    say("yes: " + what)


def guest_build():
    """Builds the guest if it is not there; ends the test as skipped where this machine lacks something."""
    done = subprocess.run([os.path.join(HERE, "guest", "make-guest.sh"), GUEST_DIR], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode == EXIT_SKIP:
        skip(done.stdout.strip().splitlines()[-1])
    if done.returncode != 0:
        sys.exit(f"the test guest could not be built:\n{done.stdout}")
    if not shutil.which("qemu-system-x86_64"):
        skip("qemu-system-x86_64 is missing: run tools/install-deps.sh")


def run_cli(*arguments, check_code=None, environment=None):
    """The command line program; returns the finished process with stdout and stderr as text."""
    done = subprocess.run([CLI, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=CLI_SEC,
                          env={**CLEAN_ENVIRONMENT, **(environment or {})})
    if check_code is not None and done.returncode != check_code:
        raise AssertionError(f"ballast {' '.join(arguments)}: exit code {done.returncode}, not {check_code}\n"
                             f"{done.stdout}{done.stderr}")
    return done


class Daemon:
    """ballastd over one directory of guests, with directories of its own."""

    environment, wrap = {}, []  # more for a test's own kind of it: variables; a program to run it under

    def __init__(self, run_dir, guests_dir, number, config, options=(), wait=True):
        self.directory = os.path.join(run_dir, f"d{number}")
        os.makedirs(self.directory)
        self.runtime_dir = os.path.join(self.directory, "run")
        self.state_dir = os.path.join(self.directory, "state")
        self.socket = os.path.join(self.runtime_dir, "api.sock")
        self.log_path = os.path.join(self.directory, "log")
        self.guests_dir = guests_dir
        self.default_guests_dir = os.path.join(self.runtime_dir, "guests")
        self.options = list(options)
        self.config_path = None
        self.process = None
        if config is not None:
            self.config_path = os.path.join(self.directory, "ballast.yaml")
            self.configure(config)
        self.start(wait)

    def configure(self, text):
        with open(self.config_path, "w") as f:
            f.write(text)

    def start(self, wait=True):
        argv = [*self.wrap, DAEMON, "--runtime-dir", self.runtime_dir, "--state-dir", self.state_dir] + self.options
        if self.config_path:
            argv += ["--config", self.config_path]
        # Without a configuration the defaults look for one in the user's own directories: they are empty here.
        environment = {**CLEAN_ENVIRONMENT, **self.environment, "HOME": self.directory,
                       "XDG_CONFIG_HOME": os.path.join(self.directory, "config")}
        self.process = vm.spawn(argv, self.log_path, env=environment)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        end = time.monotonic() + READY_SEC
        while self.cli("status", "--json").returncode != 0:
            if self.process.poll() is not None:
                raise AssertionError(f"ballastd ended with code {self.process.returncode}:\n{self.log()}")
            if time.monotonic() > end:
                raise AssertionError(f"ballastd is not ready after {READY_SEC} s:\n{self.log()}")
            time.sleep(0.1)

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process.poll() is None

    def kill(self):
        """kill -9"""
        vm.end(self.process)

    def terminate(self):
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
        return self.process.wait(READY_SEC)

    def log(self):
        try:
            with open(self.log_path, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def log_lines(self, *words):
        """Lines that hold all the words."""
        return [line for line in self.log().splitlines() if all(word in line for word in words)]

    def cli(self, *arguments, **options):
        return run_cli("--socket", self.socket, *arguments, **options)

    def status(self):
        """{"host": {...}, "guests": [...]}"""
        done = self.cli("status", "--json")
        if done.returncode not in (0, 4):  # 4: done, with warnings
            raise AssertionError(f"ballast status: exit code {done.returncode}: {done.stderr}\n{self.log()[-4000:]}")
        return json.loads(done.stdout)

    def status_or_none(self):
        """None while it does not run."""
        done = self.cli("status", "--json")
        return json.loads(done.stdout) if done.returncode in (0, 4) else None

    def host(self):
        return self.status()["host"]

    def guests(self):
        return {guest["name"]: guest for guest in self.status()["guests"]}

    def guest(self, name):
        """Its fields, or an empty dictionary while it is not known."""
        return self.guests().get(name, {})

    def assigned_mib(self, name):
        return (self.guest(name).get("assigned_bytes") or 0) // MIB

    def has_flag(self, name, flag):
        return flag in self.guest(name).get("flags", [])

    def fits(self):
        """The guests hold no more than they may in all."""
        host = self.host()
        return host["held_bytes"] <= host["capacity_bytes"]

    def wait_for(self, *names, quiet=False):
        """All these are known and have told something of themselves. quiet: says nothing of it."""
        def known():
            guests = self.guests()
            return all(guests.get(name, {}).get("demand_bytes") for name in names)
        eventually(known, None if quiet else f"ballastd knows {', '.join(names)}", explain=self.log)
        return self


def config_text(guests_dir, memory_mib=None, reserve_mib=RESERVE_MIB, guests=None, defaults=None):
    """A configuration over guests_dir. guests: {pattern: {key: value}}"""
    lines = ["host:"]
    if memory_mib is not None:
        lines += [f"  memory: {memory_mib} MiB"]
    lines += [f"  reserve: {reserve_mib} MiB", "discover:", f"  - qmp-directory: {guests_dir}"]
    if defaults:
        lines += ["defaults:"] + [f"  {key}: {value}" for key, value in defaults.items()]
    if guests:
        lines += ["guests:"]
        for pattern, keys in guests.items():
            lines += [f'  "{pattern}":'] + [f"    {key}: {value}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


class Bench(contextlib.AbstractContextManager):
    """Directory and processes of one test. Leaving it, however, ends its processes and removes the directory."""

    def __init__(self, need_daemon=True):
        if need_daemon and not (os.path.exists(DAEMON) and os.path.exists(CLI)):
            sys.exit(f"{DAEMON} is not built: run make build, or set BALLAST_BUILD")
        guest_build()
        self.accelerator = vm.probe_accelerator(GUEST_DIR)
        # Unix sockets allow paths of 107 bytes only.
        self.directory = tempfile.mkdtemp(prefix="ballast-")
        self.guests_dir = os.path.join(self.directory, "guests")
        os.makedirs(self.guests_dir)
        self.guests, self.daemons = [], []
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda signum, frame: sys.exit(128 + signum))

    def __exit__(self, kind, error, trace):
        # A second Ctrl-C must not leave half of it behind.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if kind is not None and kind is not SystemExit and kind is not KeyboardInterrupt:
            self.explain()
        for daemon in self.daemons:
            daemon.kill()
        for guest in self.guests:
            guest.kill()
        if os.environ.get("BALLAST_KEEP"):
            say(f"kept: {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        return False

    def explain(self):
        """After a failure: what ballastd said, and the end of each console."""
        for daemon in self.daemons:
            print(f"---- {daemon.directory}: log of ballastd (running: {daemon.is_running()})\n{daemon.log()[-12000:]}")
            if daemon.is_running():
                done = daemon.cli("status")
                print(f"---- status\n{done.stdout}{done.stderr}")
        for guest in self.guests:
            print(f"---- console of '{guest.name}' (running: {guest.is_running()})\n{guest.console()[-1500:]}")
        sys.stdout.flush()

    def start_guest(self, name, **options):
        """Starts QEMU and returns at once; wait_up() waits."""
        guests_dir = options.pop("guests_dir", self.guests_dir)
        guest = vm.Guest(name, self.directory, guests_dir, GUEST_DIR, self.accelerator, **options)
        self.guests.append(guest)
        return guest

    def boot(self, *wanted):
        """boot("a", ("b", {"boot_mib": 512})): starts all, waits for all, returns them in order."""
        guests = [self.start_guest(w) if isinstance(w, str) else self.start_guest(w[0], **w[1]) for w in wanted]
        for guest in guests:
            guest.wait_up()
            say(f"guest '{guest.name}' is up: {guest.total_mib()} MiB visible")
        return guests

    def host_mib(self, capacity_mib, reserve_mib=RESERVE_MIB):
        """The pretended host on which all guests started so far can hold capacity_mib together."""
        overhead = sum(guest.overhead_mib() + OVERHEAD_GROWTH_MIB for guest in self.guests if guest.is_running())
        return capacity_mib + reserve_mib + overhead

    def steady(self, daemon):
        """Waits until no guest's memory has moved for STEADY_SEC; returns {name: assigned MiB}."""
        seen = [(0, None)]

        def quiet():
            now = {guest.name: guest.assigned_mib() for guest in self.guests if guest.is_running()}
            if now != seen[0][1] or not daemon.fits():
                seen[0] = (time.monotonic(), now)
            return time.monotonic() > seen[0][0] + STEADY_SEC
        eventually(quiet, "the guests are balanced and nothing moves", explain=daemon.log)
        return seen[0][1]

    def daemon(self, config=None, options=(), wait=True, **settings):
        """config: text; else settings are those of config_text(); config=False: none at all."""
        if config is None:
            config = config_text(self.guests_dir, **settings)
        daemon = Daemon(self.directory, self.guests_dir, len(self.daemons), config or None, options, wait)
        self.daemons.append(daemon)
        return daemon


def main(test, **options):
    """Runs test(bench); the exit code is that of the test."""
    with Bench(**options) as b:
        test(b)
    say("passed")
