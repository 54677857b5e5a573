# SPDX-License-Identifier: Apache-2.0
"""What is true of the guests and of the host, sampled without ballast, beside what ballast says; and the safety rules
(docs/design.md 4) checked on it. Used by the demo.

Truth comes from QEMU (the test's own monitor), from the host's view of each QEMU's memory (/proc/PID/smaps) and from
the guests' kernels.
"""
import threading
import time

from vm import GuestError

SAMPLE_SEC = 0.25
ANSWER_SEC = 5
MIB = 1 << 20
CAP_IPC_LOCK, CAP_SYS_RESOURCE = 14, 24

# Between reading one guest and the next, memory moves: this much at once is no finding.
SKEW_MIB = 12
# A command that was under way when a guest reset may still arrive.
ARRIVAL_SEC = 2.0


class Sample:
    """One look at everything. guests: {name: {...}}, MiB."""

    def __init__(self, when, guests, status):
        self.when, self.guests, self.status = when, guests, status

    def counted_mib(self):
        """Each guest as what it may hold: one that boots as all it boots with (S1b)."""
        return sum(max(g["assigned"], g["resident"], g["boot"] if g["booting"] else 0) for g in self.guests.values())

    def assigned(self):
        return {name: g["assigned"] for name, g in self.guests.items()}

    def held_mib(self):
        return sum(max(g["assigned"], g["resident"]) for g in self.guests.values())

    def overhead_mib(self):
        return sum(g["overhead"] for g in self.guests.values())


class Truth(threading.Thread):
    """Samples in the background until stop(). Set guest.booting and guest.lost_driver while they are so."""

    def __init__(self, bench, daemon, memory_mib, reserve_mib):
        super().__init__(daemon=True)
        self.bench, self.daemon_under_test = bench, daemon
        self.memory_mib, self.reserve_mib = memory_mib, reserve_mib
        self.samples = []
        self.problems = []
        self.ending = threading.Event()
        self.views = {}  # {name: the guest's own meminfo}, refreshed once a second
        self.view_due = 0

    def run(self):
        while not self.ending.wait(SAMPLE_SEC):
            try:
                self.samples.append(self.look())
            except (OSError, EOFError, GuestError, AssertionError, ValueError) as e:
                self.problems.append(f"{type(e).__name__}: {e}")

    def stop(self):
        self.ending.set()
        self.join(60)

    def look(self):
        now = time.monotonic()
        guests = {}
        for guest in self.bench.guests:
            guests[guest.name] = {
                "boot": guest.boot_mib, "maximum": guest.boot_mib + guest.plug_mib, "assigned": guest.assigned_mib(),
                "resident": guest.resident_mib(), "overhead": guest.overhead_mib(), "booting": guest.booting,
                "lost": guest.lost_driver}
        if now >= self.view_due:
            self.view_due = now + 1
            for guest in self.bench.guests:
                self.look_inside(guest)
        status = self.daemon_under_test.status_or_none()
        return Sample(now, guests, status)

    def look_inside(self, guest):
        if guest.booting:
            self.views.pop(guest.name, None)
            return
        try:
            self.views[guest.name] = guest.load.meminfo(timeout=ANSWER_SEC)
        except (TimeoutError, GuestError):
            self.views.pop(guest.name, None)

    def capacity_mib(self, sample):
        return self.memory_mib - self.reserve_mib - sample.overhead_mib()


class Rule:
    """One safety rule's verdict: passed, and what it is founded on or what broke it."""

    def __init__(self, name, text):
        self.name, self.text = name, text
        self.broken, self.evidence = [], ""

    @property
    def passed(self):
        return not self.broken


def rises(truth):
    """(before, after, name): a guest's assigned memory rose, and not by what it did itself."""
    for before, after in zip(truth.samples, truth.samples[1:]):
        for name, g in after.guests.items():
            was = before.guests.get(name)
            if was and not g["booting"] and not was["booting"] and not g["lost"] and g["assigned"] > was["assigned"]:
                yield before, after, name


def check_books(truth):
    rule = Rule("S1", "commands of ballast never make guests hold more than the host has for them")
    count = 0
    for before, after, name in rises(truth):
        count += 1
        over = after.held_mib() - truth.capacity_mib(after)
        if over > SKEW_MIB and after.held_mib() > before.held_mib() + SKEW_MIB:
            rule.broken.append(f"'{name}' grew while all held {over} MiB too much")
    rule.evidence = f"{count} samples in which a guest grew"
    return rule


def check_reset(truth):
    rule = Rule("S1b", "a guest that boots counts as all it boots with; no other is harmed for it")
    boots = sum(g["booting"] for s in truth.samples for g in s.guests.values())
    since = None
    for before, after, name in rises(truth):
        if not any(g["booting"] for g in before.guests.values()):
            since = None
            continue
        since = since or before.when
        over = after.counted_mib() - truth.capacity_mib(after)
        grew = after.counted_mib() - before.counted_mib()
        if after.when > since + ARRIVAL_SEC and over > SKEW_MIB and grew > SKEW_MIB:
            rule.broken.append(f"'{name}' grew although a booting guest may need the memory ({over} MiB too much)")
    rule.evidence = f"{boots} samples of a booting guest" if boots else "no guest booted"
    if not boots:
        rule.broken.append("no guest was seen booting")
    return rule


def check_range(truth):
    rule = Rule("S2", "targets between minimum and maximum; no guest grows above its maximum")
    targets = 0
    for sample in truth.samples:
        for g in (sample.status or {}).get("guests", []):
            if g.get("target_bytes") is None or not g.get("demand_bytes"):
                continue
            targets += 1
            if not g["minimum_bytes"] <= g["target_bytes"] <= max(g["maximum_bytes"], g.get("lower_bytes") or 0):
                rule.broken.append(f"target of '{g['name']}': {g['target_bytes'] // MIB} MiB")
        for name, g in sample.guests.items():
            if g["assigned"] > g["maximum"]:
                rule.broken.append(f"'{name}' has {g['assigned']} MiB, its maximum is {g['maximum']} MiB")
    rule.evidence = f"{targets} targets"
    return rule


def check_free_first(truth):
    rule = Rule("S3", "nothing is given before it is free")
    count = 0
    for before, after, name in rises(truth):
        count += 1
        free = truth.capacity_mib(before) - before.held_mib()
        given = after.held_mib() - before.held_mib()
        if given > max(free, 0) + SKEW_MIB:
            rule.broken.append(f"'{name}' was given memory: {free} MiB were free, all together grew by {given} MiB")
    rule.evidence = f"{count} samples in which a guest grew"
    return rule


def check_stuck(truth, stuck):
    rule = Rule("S4", "a guest that is stuck delays nobody")
    last, moved, seen = None, 0, 0
    for sample in truth.samples:
        for g in (sample.status or {}).get("guests", []):
            if g["name"] == stuck and "stuck" in g["flags"]:
                seen += 1
                others = sum(o.get("moved_bytes") or 0 for o in sample.status["guests"] if o["name"] != stuck)
                if last is not None and others > last:
                    moved += others - last
                last = others
    if not seen:
        rule.broken.append(f"'{stuck}' was never shown as stuck")
    elif not moved:
        rule.broken.append("nobody moved while it was stuck")
    rule.evidence = f"{moved // MIB} MiB moved among the others while '{stuck}' was stuck"
    return rule


def check_liar(truth, liar, start, startup_mib):
    rule = Rule("S5", "what a guest says moves only its own target, and not beyond what it was seen to touch")
    touched = had = most = claims = 0
    for sample in truth.samples:
        g = sample.guests[liar]
        touched = max(touched, g["resident"])
        if sample.when < start:
            had = g["assigned"]
            continue
        if g["lost"]:
            continue
        most = max(most, g["assigned"])
        said = next((s for s in (sample.status or {}).get("guests", []) if s["name"] == liar), {})
        claims += (said.get("target_bytes") or 0) // MIB > g["assigned"]
        bound = max(had, startup_mib, touched * 3 // 2, touched + 64) + SKEW_MIB
        if g["assigned"] > bound:
            rule.broken.append(f"'{liar}' has {g['assigned']} MiB, what it touched supports {bound} MiB")
    if not claims:
        rule.broken.append(f"'{liar}' never claimed more than it had: nothing was shown")
    rule.evidence = f"'{liar}' had {had} MiB, claimed more in {claims} samples, and got to {most} MiB"
    return rule


def check_kill(before, during, after):
    rule = Rule("S10", "guests run on when ballastd is killed; a new one adopts them without moving memory")
    for name, had in before.items():
        for what, now in (("without ballastd", during), ("after its restart", after)):
            if abs(now[name] - had) > 1:
                rule.broken.append(f"'{name}': {had} MiB before, {now[name]} MiB {what}")
    rule.evidence = f"{len(before)} guests kept {sum(before.values())} MiB"
    return rule


def check_unharmed(truth, verdicts, kills):
    """verdicts: {name: None or what is wrong with its memory}; kills: {name: processes its kernel killed}"""
    rule = Rule("S13", "no guest is taken below what it needs: nothing killed, no memory damaged")
    shrinks = 0
    for sample in truth.samples:
        for g in (sample.status or {}).get("guests", []):
            if g.get("order") == "shrink":
                shrinks += 1
                if (g.get("order_bytes") or 0) + MIB < (g.get("lower_bytes") or 0):
                    rule.broken.append(f"'{g['name']}' was told {g['order_bytes'] // MIB} MiB,"
                                       f" its lower limit is {g['lower_bytes'] // MIB}")
    for name, wrong in verdicts.items():
        if wrong:
            rule.broken.append(f"'{name}': {wrong}")
    for name, count in kills.items():
        if count:
            rule.broken.append(f"'{name}': its kernel killed {count} processes")
    rule.evidence = f"{len(verdicts)} checksums, {shrinks} samples of a guest told to shrink"
    return rule


def has_capability(number):
    with open("/proc/self/status") as f:
        mask = next(int(line.split()[1], 16) for line in f if line.startswith("CapEff:"))
    return bool(mask >> number & 1)


def check_survival(daemon):
    rule = Rule("S14", "ballastd's memory is locked and the kernel kills others first")
    with open(f"/proc/{daemon.pid}/status") as f:
        locked_kib = next((int(line.split()[1]) for line in f if line.startswith("VmLck:")), 0)
    with open(f"/proc/{daemon.pid}/oom_score_adj") as f:
        score = int(f.read())
    rule.evidence = f"{locked_kib} KiB locked, OOM score {score}"
    if not has_capability(CAP_IPC_LOCK):
        rule.evidence += "; locking is not allowed here"
    elif locked_kib == 0:
        rule.broken.append("nothing is locked")
    if not has_capability(CAP_SYS_RESOURCE):
        rule.evidence += "; lowering the score is not allowed here"
    elif score > -500:
        rule.broken.append(f"its OOM score is {score}")
    return rule
