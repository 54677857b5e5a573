#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at every step of a backup: ballastd just before a step and just after its command was sent, ballast-copy, the process
that stores, the guardian, ballastd and its guardian at once, ballastd while it undoes what an earlier one left. The steps come
from the product. After each the guest must write again, nothing may be left in QEMU and on disk; in the end the next backup must be
incremental and, restored, be identical with an independent copy: each case has written into places of its own before and
after what was left was undone, so that a change that was lost would show.

Without an option a part of it, for CI. --all: everything (make test-steps). --only PATTERN: cases whose name has it; --lanes N: guests
side by side; --seed N: the order."""
import argparse
import queue
import random
import re
import threading
import time

import disks
import lane as lanes
from bench import main, say

COMPARE_EVERY = 70  # cases; each takes two places in the guest's file
PAUSE_SEC = 7       # of the guest's agent: longer than the guardian's limit


# ---- ways that lead to a step: rules for what is to happen there; False: it did not come there

def plain(lane, rule):
    return lane.kill_at(rule, rule)


def after_a_cut(lane, rule):
    """The bitmaps of a backup that was cut off are folded back first."""
    if not lane.kill_at("cont:kill", "cont"):
        return False
    lane.restart("a cut for " + rule)
    return lane.kill_at(rule, rule)


def undoing(first):
    """ballastd is killed at `first`, and the next one while it undoes that."""
    def way(lane, rule):
        if not lane.kill_at(first + ":kill", first):
            return False
        lane.write(f"{first} for {rule}")
        lane.fault(rule)
        lane.daemon.start(wait=False)
        for _ in range(1500):
            if lane.daemon.process.poll() is not None:
                return True
            if not lane.left():
                return False
            time.sleep(lanes.SOON_SEC)
        raise AssertionError(f"undoing {first}, {rule}: neither undone nor killed\n{lane.explain()}")
    return way


def cancelled(lane, rule):
    """Called off while QEMU's jobs run, slowly."""
    lane.guest.shell.run("dd if=/dev/urandom of=/a/much bs=1M count=6 conv=notrunc 2>/dev/null; sync")
    lane.daemon.terminate()
    lane.daemon.configure(lane.config(bandwidth="1 MiB"))
    lane.daemon.start(wait=False)
    lane.hold_at("pushed", rule)
    number = lane.run()

    def call_off():
        lane.pause_jobs()
        lane.ask("POST", "/v1/backup/cancel", {"job": number})
    came = lane.holds(number, call_off) and lane.dies(number)
    lane.daemon.configure(lane.config())
    if not came:
        lane.daemon.terminate()
    return came


def copy_killed(lane, rule):
    lane.hold_at("pushed", rule)
    number = lane.run()
    return lane.holds(number, lambda: lane.lose_copier(number)) and lane.dies(number)


def hung_agent(lane, rule):
    lane.hold_at("stop", rule)
    number = lane.run()
    return lane.holds(number, lambda: pause_agent(lane)) and lane.dies(number)


def pause_agent(lane):
    lane.guest.shell.run(f"kill -STOP $(pidof qemu-ga); (sleep {PAUSE_SEC}; kill -CONT $(pidof qemu-ga)) >/dev/null 2>&1 &")


# Steps that a good backup leaves out.
WAYS = {
    "repair-bitmaps": after_a_cut,
    "act": hung_agent,
    "copier-end": copy_killed,
    "graph-left": undoing("pushed"),
    "job-cancel": cancelled,
    "job-ends": cancelled,
}

# Steps of an exposure, which is no backup.
EXPOSING = {"iothreads", "iothread", "exports", "checkpoint-old", "nbd", "checkpoint", "since", "export", "relay", "exposed", "server-end",
            "exports-left", "export-drop", "export-ends", "nbd-stop", "settle-checkpoints", "serve", "served", "serve-end", "serve-remove"}

GROUPED = re.compile("meet-|turn")  # steps at which guests of one group wait for each other


# ---- cases: name, function of a lane; False: it did not come to the step

def kill_daemon(way, rule):
    def case(lane):
        if not way(lane, rule):
            return False
        lane.restart(rule)
        return True
    return case


def kill_while_held(step, kill, expected):
    """A helper process is killed just before the step; ballastd goes on."""
    def case(lane):
        lane.hold_at(step)
        number = lane.run()
        if not lane.holds(number, lambda: getattr(lane, kill)()):
            return False
        lane.fault("")
        job = lane.finish(number)
        if job["state"] not in expected:
            raise AssertionError(f"{kill} at {step}: the backup is {job['state']}: {job['error']}")
        lane.write(f"{kill} at {step}")
        lane.healed(f"{kill} at {step}")
        return True
    return case


def kill_both(step):
    def case(lane):
        lane.hold_at(step)
        if not lane.holds(lane.run(), lane.kill_both):
            return False
        lane.fault("")
        lane.daemon.start(wait=False)
        lane.healed(f"both at {step}")
        return True
    return case


def terminate(step):
    """No kill: an upgrade in the middle of a backup."""
    def case(lane):
        lane.hold_at(step)
        if not lane.holds(lane.run(), lane.terminate):
            return False
        lane.restart(f"SIGTERM at {step}")
        return True
    return case


def all_cases(steps):
    names = [name for name, _, _ in steps]
    cases = []
    for name, phase, each in steps:
        way = WAYS.get(name, plain)
        cases.append((f"daemon {name}", kill_daemon(way, f"{name}:kill"), name))
        cases.append((f"sent {name}", kill_daemon(way, f"{name}:sent-kill"), name))
        if each and way is plain:
            cases.append((f"daemon {name} of the second disk", kill_daemon(way, f"{name}*2:kill"), name))
        if name not in WAYS:
            cases.append((f"guardian {name}", kill_while_held(name, "kill_guardian", ("done",)), name))
        if name not in WAYS and names.index(name) > names.index("copier"):
            cases.append((f"receiver {name}", kill_while_held(name, "kill_copier", ("done", "failed")), name))
            cases.append((f"worker {name}", kill_while_held(name, "kill_worker", ("done", "failed")), name))
        if name not in WAYS:
            cases.append((f"SIGTERM {name}", terminate(name), name))
        if phase in ("window", "close") and name not in WAYS:
            cases.append((f"both {name}", kill_both(name), name))
        if phase == "teardown" and way is plain or name == "hook-after":  # the guardian has closed the window before
            for first in ("access", "pushed"):
                cases.append((f"undo after {first} {name}", kill_daemon(undoing(first), f"{name}:kill"), None))
                cases.append((f"undo after {first} {name}, sent", kill_daemon(undoing(first), f"{name}:sent-kill"), None))
                if each:
                    cases.append((f"undo after {first} {name} of the second disk",
                                  kill_daemon(undoing(first), f"{name}*2:kill"), None))
    return cases


def for_ci(cases):
    return [case for case in cases if case[0].startswith("daemon ") and not case[0].endswith("second disk")]


class Matrix:
    def __init__(self, cases):
        self.todo, self.lock, self.failed = queue.SimpleQueue(), threading.Lock(), None
        self.reached, self.unreached, self.total = set(), [], len(cases)
        for case in cases:
            self.todo.put(case)

    def next(self):
        try:
            return None if self.failed else self.todo.get_nowait()
        except queue.Empty:
            return None

    def work(self, lane):
        try:
            lane.begin()
            done = 0
            while case := self.next():
                name, function, step = case
                begin = time.monotonic()
                lane.grouped = bool(GROUPED.search(name))
                came = function(lane)
                with self.lock:
                    (self.reached.add(step) if came else self.unreached.append(name))
                say(f"{lane.name}: {name}{'' if came else ': did not come there'} ({time.monotonic() - begin:.1f} s)")
                if not came:
                    lane.fault("")
                    if not lane.daemon.is_running():
                        lane.daemon.start(wait=False)
                    lane.healed(name)
                done += 1
                if done % COMPARE_EVERY == 0:
                    lane.compare(f"after {done} cases")
            lane.compare(f"after {done} cases")
        except BaseException as e:  # of a thread: told by the main one
            self.failed = self.failed or e


def test(b):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    disks.need_tools()
    steps = [step for step in lanes.steps() if step[0] not in EXPOSING]
    cases = [case for case in all_cases(steps) if re.search(options.only, case[0])]
    if not options.all and not options.only:
        cases = for_ci(cases)
    random.Random(options.seed).shuffle(cases)  # what one leaves must not help the next
    matrix = Matrix(cases)
    side_by_side = [lanes.Lane(b, i, iothread=i % 2 == 0) for i in range(options.lanes)]
    threads = [threading.Thread(target=matrix.work, args=(lane,), daemon=True) for lane in side_by_side]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if matrix.failed:
        raise matrix.failed
    never = {step for _, _, step in cases if step} - matrix.reached
    say(f"{len(cases)} cases over {len(steps)} steps; writes waited at most {max(lane.worst_sec for lane in side_by_side):.1f} s; "
        f"not on the way: {', '.join(matrix.unreached) or 'none'}")
    if never and not options.only:
        raise AssertionError(f"no case comes to the steps {', '.join(sorted(never))}: give each a way (WAYS)")


main(test)
