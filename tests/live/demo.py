#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The demo (make demo): real guests of different roles on a host too small for them, ballastd over them, a scripted
load inside them, what moves shown live, and a report that ends non-zero if a safety rule was broken.

    demo.py [--short]     --short: fewer guests, less plot; for continuous integration
"""
import argparse
import sys
import time

import bench
import demo_report
import truth
from demo_view import View
from vm import GuestError

LIAR_STARTUP_MIB = 160

# name: (what it is, how it is built)
GUESTS = {
    "web": ("steady, grows by day", dict(boot_mib=384)),
    "batch": ("grows and releases in bursts", dict(boot_mib=256, plug_mib=512)),
    "reboot": ("reboots in the middle", dict(boot_mib=256)),
    "stuck": ("its balloon hears nothing", dict(boot_mib=256, deaf=True)),
    "idle": ("does nothing", dict(boot_mib=384)),
    "liar": ("claims all, touches nothing", dict(boot_mib=256, plug_mib=256)),
}
SHORT = ("web", "batch", "reboot", "stuck", "liar")
BASE_LOAD_MIB = {"web": 40, "batch": 16, "reboot": 32, "stuck": 24, "idle": 0, "liar": 0}
# What all may hold together: each about what it needs idle, and one of them its peak. Booted, they hold far more.
CAPACITY_MIB = 1290
IDLE_NEED_MIB = 150


class Plot:
    """The script of the demo, step by step."""

    def __init__(self, b, view, names):
        self.b, self.view = b, view
        self.names = names
        self.short = names != tuple(GUESTS)
        self.guests, self.daemon, self.truth = {}, None, None
        self.liar_startup_mib = LIAR_STARTUP_MIB
        self.free = {}      # {when: {guest: its own free -m}}
        self.lied_at = None
        self.kill_seen = None
        self.forged = {}
        self.recorded_mib = {}

    def news(self, text):
        self.view.news(text)

    def boot(self):
        self.news(f"boots {len(self.names)} guests ({self.b.accelerator[1].split(',')[0]})")
        for name in self.names:
            self.guests[name] = self.b.start_guest(name, **GUESTS[name][1])
        for name in self.names:
            self.guests[name].wait_up()
            if BASE_LOAD_MIB[name]:
                self.guests[name].load.grow(BASE_LOAD_MIB[name])
        self.note_free("before")

    def note_free(self, when):
        self.free[when] = {}
        for name, guest in self.guests.items():
            try:
                self.free[when][name] = guest.free()
            except (TimeoutError, OSError, EOFError):
                pass  # the report says that it did not answer

    def start_ballast(self):
        # Each guest left out gives up its share of the host.
        capacity = CAPACITY_MIB - IDLE_NEED_MIB * (len(GUESTS) - len(self.names))
        memory = self.b.host_mib(capacity)
        self.news(f"starts ballastd: a host of {memory} MiB, {bench.RESERVE_MIB} MiB of it reserved")
        self.daemon = self.b.daemon(memory_mib=memory, guests={
            "liar": {"startup": f"{LIAR_STARTUP_MIB} MiB"}, "web": {"priority": 7000}, "idle": {"priority": 3000}})
        self.truth = truth.Truth(self.b, self.daemon, memory, bench.RESERVE_MIB)
        self.view.truth = self.truth
        self.truth.start()
        self.wait(lambda: self.daemon.fits() and self.assigned("web") < 260, 60, "takes what nobody needs, slowly")

    def assigned(self, name):
        samples = self.truth.samples
        return samples[-1].guests[name]["assigned"] if samples else 0

    def wait(self, condition, limit_sec, news=None):
        """Until it is so, or the time for it is up: the report tells what is wrong then."""
        if news:
            self.news(news)
        end = time.monotonic() + limit_sec
        while not condition() and time.monotonic() < end:
            time.sleep(0.3)

    def day(self):
        self.news("web: its day begins, it grows by 140 MiB")
        self.guests["web"].load.grow(140, rate_mib=12)
        self.wait(lambda: self.assigned("web") > 240, 10)

    def night(self):
        self.news("web: releases 120 MiB;  batch: grows by 200 MiB, holds it, releases it" +
                  ("" if self.short else ", twice"))
        self.guests["web"].load.release(120)
        self.guests["batch"].load.burst(200, 12, 1 if self.short else 2, hold_ms=5000, pause_ms=3000)

    def reboot(self):
        guest = self.guests["reboot"]
        self.news("reboot: resets; it may take back all it booted with")
        guest.booting = True
        guest.reset()

    def reboot_done(self):
        guest = self.guests["reboot"]
        guest.wait_up()
        self.wait(lambda: "booting" not in self.daemon.guest("reboot").get("flags", ["booting"]), 20)
        guest.booting = False
        self.news("reboot: is back")
        guest.load.grow(BASE_LOAD_MIB["reboot"])

    def lie(self, seconds):
        guest = self.guests["liar"]
        self.lied_at = self.lied_at or time.monotonic()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            guest.claim()
            time.sleep(0.5)

    def forge(self):
        guest = self.guests["liar"]
        self.news("liar: unloads its driver and writes that the balloon holds nearly all")
        guest.lost_driver = True
        guest.shell.run("echo 0 >/proc/sys/vm/nr_hugepages; rmmod virtio_balloon")
        guest.load.grow(60)
        guest.shell.run("forge 200")
        self.wait(lambda: self.daemon.has_flag("liar", "breach"), 15)
        self.forged = self.daemon.guest("liar")

    def kill_ballast(self):
        self.wait(self.is_quiet, 15, "waits until nothing moves")
        before = self.truth.samples[-1]
        self.news("kill -9 ballastd: guests keep what they have")
        self.daemon.kill()
        time.sleep(2)
        during = self.truth.samples[-1]
        self.daemon.start()
        self.daemon.wait_for(*self.names, quiet=True)
        self.news("a new ballastd has adopted them")
        time.sleep(3)
        self.kill_seen = [sample.assigned() for sample in (before, during, self.truth.samples[-1])]

    def is_quiet(self):
        recent = self.truth.samples[-12:]
        return all(sample.assigned() == recent[-1].assigned() for sample in recent)

    def run(self):
        self.boot()
        self.start_ballast()
        self.day()
        self.news("liar: claims all the memory it can name (huge pages it never touches)")
        self.lie(2)
        self.night()
        self.reboot()
        self.lie(4)
        self.reboot_done()
        self.wait(lambda: self.guests["batch"].load.state()["held"] > 200 * 1024, 20)
        self.lie(2)
        self.note_free("during")
        self.news("free -m was read in each guest: batch is at its peak")
        # What is moved is counted by the ballastd that moved it; the next one starts from zero.
        self.wait(lambda: not self.guests["batch"].load.state()["busy"], 60)
        self.forge()
        self.recorded_mib = {g["name"]: g for g in self.daemon.status()["guests"]}
        self.kill_ballast()
        self.note_free("after")

    def checksums(self):
        """{name: (KiB verified, None or what is wrong)}"""
        found = {}
        for name, guest in self.guests.items():
            try:
                found[name] = (guest.load.checksum_kib(), None)
            except (GuestError, TimeoutError, OSError, EOFError) as e:
                found[name] = (0, str(e))
        return found


def main():
    parser = argparse.ArgumentParser(description="Real guests on a host too small for them, balanced by ballast.")
    parser.add_argument("--short", action="store_true", help="fewer guests and less plot")
    arguments = parser.parse_args()
    names = SHORT if arguments.short else tuple(GUESTS)
    view = View({name: what for name, (what, _) in GUESTS.items()})
    try:
        with bench.Bench() as b:
            plot = Plot(b, view, names)
            try:
                view.start()
                plot.run()
            finally:
                if plot.truth:
                    plot.truth.stop()
                view.stop()
            passed = demo_report.print_report(plot, view.paint)
    except KeyboardInterrupt:
        print("\nstopped: every guest and ballastd are ended")
        sys.exit(130)
    sys.exit(0 if passed else 1)


main()
