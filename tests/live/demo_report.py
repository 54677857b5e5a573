# SPDX-License-Identifier: Apache-2.0
"""The demo's last words: each guest's own view, its checksum, what moved and how fast, and each safety rule, passed
or broken."""
import time

import truth

MIB = 1 << 20
EXAMPLES = 3


def heading(paint, text):
    print("\n" + paint("bold", text))


def print_free(plot, paint):
    heading(paint, "What each guest sees (its own free -m, MiB): before ballast, at batch's peak, at the end")
    for name in plot.names:
        print(f"  {name}")
        for when in ("before", "during", "after"):
            lines = plot.free.get(when, {}).get(name, "").splitlines()
            memory = next((line for line in lines if line.startswith("Mem:")), "Mem: no answer")
            if when == "before" and lines:
                print(f"    {'':<8}{lines[0].rstrip()}")
            print(f"    {when:<8}{memory}")


def fastest(plot, name):
    """Largest rise and fall of its assigned memory, MiB a second, over about a second."""
    up = down = 0
    samples = plot.truth.samples
    first = 0
    for last in range(1, len(samples)):
        while samples[last].when - samples[first].when > 1.2 and first < last - 1:
            first += 1
        a, b = samples[first].guests[name], samples[last].guests[name]
        if a["booting"] or b["booting"] or a["lost"] or b["lost"]:
            continue
        rate = (b["assigned"] - a["assigned"]) / max(0.5, samples[last].when - samples[first].when)
        up, down = max(up, rate), max(down, -rate)
    return up, down


def print_moves(plot, paint):
    heading(paint, "What moved")
    print(f"  {'guest':<9}{'least':>7}{'most':>7}{'MiB moved':>11}{'commands':>10}{'turns':>7}"
          f"{'fastest up':>14}{'down':>12}")
    for name in plot.names:
        seen = [s.guests[name]["assigned"] for s in plot.truth.samples]
        said = plot.recorded_mib.get(name, {})
        up, down = fastest(plot, name)
        print(f"  {name:<9}{min(seen):>7}{max(seen):>7}{(said.get('moved_bytes') or 0) // MIB:>11}"
              f"{said.get('orders') or 0:>10}{said.get('turns') or 0:>7}{up:>8.0f} MiB/s{down:>6.0f} MiB/s")
    print(f"  ({len(plot.truth.samples)} samples of QEMU and /proc; commands and turns as ballastd counts them)")


def judge(plot, verdicts):
    kills = {}
    for name, guest in plot.guests.items():
        try:
            kills[name] = guest.oom_kills()
        except (TimeoutError, OSError, EOFError, RuntimeError):
            kills[name] = 1  # a guest that does not answer is no proof that nothing was killed
    forged = truth.Rule("S5", "a guest that forges its balloon is shown in breach, and counts as what the host sees")
    said = plot.forged
    forged.evidence = f"it said 56 MiB, {(said.get('held_bytes') or 0) // MIB} MiB were reported as held"
    if "breach" not in said.get("flags", []):
        forged.broken.append("no breach was shown")
    elif said["held_bytes"] // MIB < 57:
        forged.broken.append("its word was taken")
    return [truth.check_books(plot.truth), truth.check_reset(plot.truth), truth.check_range(plot.truth),
            truth.check_free_first(plot.truth), truth.check_stuck(plot.truth, "stuck"),
            truth.check_liar(plot.truth, "liar", plot.lied_at, plot.liar_startup_mib), forged,
            truth.check_kill(*plot.kill_seen),
            truth.check_unharmed(plot.truth, {name: wrong for name, (_, wrong) in verdicts.items()}, kills),
            truth.check_survival(plot.daemon)]


def print_report(plot, paint):
    """True where every rule held."""
    verdicts = plot.checksums()
    print_free(plot, paint)
    heading(paint, "The pattern each guest keeps in memory")
    for name, (size_kib, wrong) in verdicts.items():
        fine = f"{size_kib // 1024} MiB verified word by word" if size_kib else "keeps none"
        print(f"  {name:<9}" + (paint("red", wrong) if wrong else fine))
    print_moves(plot, paint)
    heading(paint, "Safety rules (docs/design.md 4)")
    rules = judge(plot, verdicts)
    for rule in rules:
        mark = paint("green", "held  ") if rule.passed else paint("red", "BROKEN")
        print(f"  {mark} {rule.name:<4} {rule.text}")
        print(f"              {rule.evidence}")
        for broken in rule.broken[:EXAMPLES]:
            print(f"              {broken}")
        if len(rule.broken) > EXAMPLES:
            print(f"              and {len(rule.broken) - EXAMPLES} more")
    problems = plot.truth.problems
    if problems:
        print(f"\n{len(problems)} samples could not be taken, the first: {problems[0]}")
    broken = [rule.name for rule in rules if not rule.passed]
    took = time.monotonic() - plot.view.begin
    if broken:
        print("\n" + paint("red", f"BROKEN: {', '.join(broken)}") + f"  ({took:.0f} s)")
        print("What ballastd said:\n" + plot.daemon.log()[-8000:])
    else:
        print("\n" + paint("green", f"all {len(rules)} checks held") + f"  ({took:.0f} s)")
    return not broken
