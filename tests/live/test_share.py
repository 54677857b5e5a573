#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A monitor that another program uses, too: both are served, in turn. While the other holds it, that is said, and no other
guest notices. And another program that moves a guest's balloon gets that guest to itself, until the operator takes the
lever back (S11)."""
import threading
import time

import vm
from bench import always, check, eventually, main


class Neighbour(threading.Thread):
    """Another manager: connects, asks, leaves, five times a second."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.served, self.longest, self.wrong = path, 0, 0.0, None
        self.ended = threading.Event()

    def run(self):
        try:
            while not self.ended.wait(0.2):
                begin = time.monotonic()
                monitor = vm.Monitor(self.path)
                monitor.ask("query-status")
                monitor.close()
                self.longest = max(self.longest, time.monotonic() - begin)
                self.served += 1
        except Exception as e:  # shown by the test: a thread has nobody to raise to
            self.wrong = e

    def end(self):
        self.ended.set()
        self.join()


def is_fresh(d, name):
    age = d.guest(name).get("sample_age_ms")
    return age is not None and age < 3000


def test_turns(s, d):
    neighbour = Neighbour(s.monitor_path)
    neighbour.start()
    begin = s.assigned_mib()
    eventually(lambda: d.guest("s")["assigned_bytes"] >> 20 < begin - 24 and is_fresh(d, "s"),
               "the guest of a shared monitor is balanced", explain=d.log)
    check(s.assigned_mib() < begin - 16, "QEMU says so, too")
    served = neighbour.served
    eventually(lambda: neighbour.served > served + 10, "the other client is served between")
    neighbour.end()
    check(neighbour.wrong is None and neighbour.longest < 5, f"it waited for {neighbour.longest:.2f} s at most")
    check(not d.log_lines("held by another"), "that is nothing to say a word about")


def test_missed_events(s, d):
    s.monitor.ask("stop")
    eventually(lambda: d.has_flag("s", "paused"), "a pause is seen", explain=d.log)
    s.monitor.ask("cont")
    eventually(lambda: not d.has_flag("s", "paused") and is_fresh(d, "s"), "and its end", explain=d.log)


def test_held(s, d):
    holder = vm.Monitor(s.monitor_path)
    begin = time.monotonic()
    eventually(lambda: d.log_lines("monitor of 's' is held by another client", "-qmp unix:"),
               "a client that keeps the monitor is said", explain=d.log)
    check(time.monotonic() - begin < 60, "soon")
    eventually(lambda: is_fresh(d, "t"), "the other guest is sampled meanwhile", explain=d.log)
    eventually(lambda: d.has_flag("s", "silent"), "this one is shown as silent", explain=d.log)
    check(d.guest("s")["held_bytes"] > 64 << 20, "and counted as what it holds")
    holder.close()
    eventually(lambda: is_fresh(d, "s"), "when the other leaves, it is served at once", explain=d.log)
    check(len(d.log_lines("held by another")) == 1, "one line it was")


def test_foreign_hand(t, d):
    eventually(lambda: t.assigned_mib() < 210, "a guest has what ballast gives it", explain=d.log)
    time.sleep(4)  # else it might be a late movement of ballast's own
    t.monitor.ask("balloon", value=140 << 20)
    eventually(lambda: d.has_flag("t", "foreign-hand"), "another program's hand on its balloon is seen", explain=d.log)
    t.monitor.ask("balloon", value=140 << 20)
    eventually(lambda: t.assigned_mib() == 140, "it sets it again")
    always(lambda: t.assigned_mib() == 140, "ballast leaves it, below its minimum", 4, explain=d.log)
    check(len(d.log_lines("'t'", "moved by another program")) == 1, "one line says so")
    check("ballast set t mode=auto" in d.guest("t")["reasons"]["foreign-hand"], "and its reason how to end it")
    done = d.cli("set", "t", "mode=auto", check_code=0)
    check("has its lever again" in done.stdout, done.stdout.strip())
    eventually(lambda: t.assigned_mib() > 190 and not d.has_flag("t", "foreign-hand"), "then it is balanced again",
               explain=d.log)


def test(b):
    s, t = b.boot(("s", {"boot_mib": 256}), ("t", {"boot_mib": 256}))
    t.load.grow(110)  # so that its memory was touched
    t.load.release()
    d = b.daemon(memory_mib=2048, guests={"s": {"access": "share", "minimum": "112 MiB"}, "t": {"minimum": "200 MiB"}})
    d.wait_for("s", "t")
    test_turns(s, d)
    test_missed_events(s, d)
    test_held(s, d)
    test_foreign_hand(t, d)
    check(t.is_running() and is_fresh(d, "t"), "the other guest noticed nothing")


main(test)
