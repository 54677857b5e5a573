#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The demo's safety checks can fail: made-up samples that keep each rule, and such that break it. Needs no guest."""
import truth
from demo_view import bar

MIB = truth.MIB
CAPACITY_MIB = 1000


class Made:
    """A truth of samples written by hand. Each: (seconds, {name: assigned or a dictionary})"""

    def __init__(self, *samples):
        self.samples = [truth.Sample(when, {name: guest(g) for name, g in guests.items()}, status(said))
                        for when, guests, *said in samples]

    def capacity_mib(self, sample):
        return CAPACITY_MIB


def guest(given):
    fields = {"boot": 512, "maximum": 512, "resident": 0, "overhead": 0, "booting": False, "lost": False}
    return {**fields, **(given if isinstance(given, dict) else {"assigned": given})}


def status(said):
    fields = {"target_bytes": 200 * MIB, "demand_bytes": 100 * MIB, "minimum_bytes": 128 * MIB,
              "maximum_bytes": 512 * MIB, "lower_bytes": 150 * MIB, "order": "none", "order_bytes": 0, "flags": [],
              "moved_bytes": 0}
    return {"guests": [{**fields, **g} for g in said[0]]} if said else None


def stuck_for(moved_bytes):
    """Three samples in which 's' is stuck; moved_bytes(t): what the other moved so far."""
    return Made(*((t, {"a": 1}, [{"name": "s", "flags": ["stuck"]}, {"name": "a", "moved_bytes": moved_bytes(t)}])
                  for t in range(3)))


def lied(got_mib, target_mib):
    return Made((0, {"l": 140}), (2, {"l": {"assigned": got_mib, "resident": 100}},
                                  [{"name": "l", "target_bytes": target_mib * MIB}]))


def told(order_mib):
    return Made((0, {"a": 200}, [{"name": "a", "order": "shrink", "order_bytes": order_mib * MIB}]))


# rule: (keeps it, breaks it)
CASES = {
    "S1": (truth.check_books(Made((0, {"a": 300, "b": 500}), (1, {"a": 400, "b": 500}))),
           truth.check_books(Made((0, {"a": 300, "b": 700}), (1, {"a": 400, "b": 700})))),
    "S1b": (truth.check_reset(Made((0, {"a": 200, "b": {"assigned": 100, "booting": True}}),
                                   (9, {"a": 300, "b": {"assigned": 100, "booting": True}}))),
            truth.check_reset(Made((0, {"a": 490, "b": {"assigned": 100, "booting": True}}),
                                   (1, {"a": 500, "b": {"assigned": 100, "booting": True}}),
                                   (9, {"a": 600, "b": {"assigned": 100, "booting": True}})))),
    "S2 target": (truth.check_range(Made((0, {"a": 300}, [{"name": "a"}]))),
                  truth.check_range(Made((0, {"a": 300}, [{"name": "a", "target_bytes": 600 * MIB}])))),
    "S2 size": (truth.check_range(Made((0, {"a": 512}))), truth.check_range(Made((0, {"a": 513})))),
    "S3": (truth.check_free_first(Made((0, {"a": 400, "b": 500}), (1, {"a": 500, "b": 500}))),
           truth.check_free_first(Made((0, {"a": 480, "b": 500}), (1, {"a": 580, "b": 500})))),
    "S4": (truth.check_stuck(stuck_for(lambda t: t * MIB), "s"), truth.check_stuck(stuck_for(lambda t: MIB), "s")),
    "S5": (truth.check_liar(lied(160, 300), "l", 1, 160), truth.check_liar(lied(200, 300), "l", 1, 160)),
    "S5 shown": (truth.check_liar(lied(160, 300), "l", 1, 160), truth.check_liar(lied(160, 150), "l", 1, 160)),
    "S10": (truth.check_kill({"a": 200}, {"a": 200}, {"a": 200}), truth.check_kill({"a": 200}, {"a": 200}, {"a": 240})),
    "S13 order": (truth.check_unharmed(told(160), {}, {}), truth.check_unharmed(told(140), {}, {})),
    "S13 kill": (truth.check_unharmed(Made(), {"a": None}, {"a": 0}),
                 truth.check_unharmed(Made(), {"a": None}, {"a": 1})),
    "S13 memory": (truth.check_unharmed(Made(), {"a": None}, {}), truth.check_unharmed(Made(), {"a": "damaged"}, {})),
}


def main():
    for name, (good, bad) in CASES.items():
        assert good.passed, f"{name}: {good.broken}"
        assert not bad.passed, f"{name} was not seen broken"
        print(f"{name}: held, and broken: {bad.broken[0]}")
    assert bar(0, 0, 0, 10) == ".........." and bar(25, 50, 100, 8) == "##==...." and bar(900, 900, 100, 4) == "####"


main()
