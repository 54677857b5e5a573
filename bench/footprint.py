#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What ballast itself costs: make bench BENCH=footprint

One ballastd over 100 simulated guests (fake_guests.c: processes with a monitor, a balloon and statistics) and eight real
ones with ballast-agent. Once all have given what they do not need and nothing moves, they idle for ten minutes: memory of
ballastd at their end and at its most, its processor time, and memory and processor time of the agent in a guest.

Beside it, in the same run and over the same simulated guests: a loop that asks each for its balloon and its statistics
once a second, in Python, as other balancers are.

    footprint.py [--minutes N] [--simulated N] [--real N]
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "live"))

import bench  # noqa: E402  pylint: disable=wrong-import-position
import vm  # noqa: E402  pylint: disable=wrong-import-position

FAKE_GUESTS = os.path.join(bench.BUILD, "bench", "fake_guests")
QUIET_SEC = 30        # nothing was ordered for so long: all have what they need
SETTLE_SEC = 600      # 1 % of assigned each second at first: it takes some minutes
LOOP_SEC = 30         # of the other loop
REAL_MIB = 192
HELD_SIM_MIB = 128
GOAL_RSS_MIB = 12
GOAL_CPU_PERCENT = 1  # of one processor, for 108 guests sampled each second: "about nothing"

# The other loop: one connection to each monitor, two questions each second.
LOOP = """
import json, os, socket, sys, time
def ask(s, f, command, **arguments):
    s.sendall(json.dumps({"execute": command, "id": 1, "arguments": arguments}, separators=(",", ":")).encode() + b"\\n")
    while True:
        answer = json.loads(f.readline())
        if "return" in answer:
            return answer["return"]
monitors = []
for name in sorted(os.listdir(sys.argv[1])):
    if name.startswith("sim"):
        s = socket.socket(socket.AF_UNIX)
        s.connect(os.path.join(sys.argv[1], name))
        f = s.makefile()
        f.readline()
        ask(s, f, "qmp_capabilities")
        monitors.append((s, f))
print("ready", flush=True)
while True:
    started = time.monotonic()
    for s, f in monitors:
        ask(s, f, "query-balloon")
        ask(s, f, "qom-get", path="/machine/peripheral/balloon0", property="guest-stats")
    time.sleep(max(0, 1 - (time.monotonic() - started)))
"""


def say(text):
    print(text, file=sys.stderr, flush=True)


def cpu_sec(pid):
    """Processor time of all its threads so far; the kernel counts it by the nanosecond in schedstat."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def memory_mib(pid):
    """{"VmRSS": MiB, "VmHWM": MiB, "RssAnon": MiB}"""
    with open(f"/proc/{pid}/status") as f:
        return {k: int(v) / 1024 for k, v in re.findall(r"(VmRSS|VmHWM|RssAnon):\s+(\d+) kB", f.read())}


def report(case, metric, value, unit, n, goal=None, met=None, baseline=None, baseline_value=None):
    line = {"bench": "footprint", "case": case, "metric": metric, "value": value, "unit": unit, "n": n}
    if baseline:
        line.update(baseline=baseline, baseline_value=baseline_value, ratio=round(baseline_value / value, 2) if value else None)
    if goal:
        line.update(goal=goal, met=met)
    print(json.dumps(line), file=STDOUT, flush=True)
    than = f"   ({baseline}: {baseline_value} {unit})" if baseline else ""
    say(f"{case:36} {metric:44} {value:10} {unit}{'' if met in (None, True) else '   GOAL MISSED: ' + goal}{than}")


def settle(b, d, names):
    """Until no guest was told anything for QUIET_SEC."""
    d.wait_for(*names)
    last, since, end = None, time.monotonic(), time.monotonic() + SETTLE_SEC
    while time.monotonic() < since + QUIET_SEC and time.monotonic() < end:
        orders = d.host()["orders"]
        if orders != last:
            last, since = orders, time.monotonic()
        time.sleep(1)
    if time.monotonic() >= end:
        say("some guests are still moved; the idle time below has some commands in it")
    return last


class Agent:
    """ballast-agent in one guest: what its own kernel says of it."""

    def __init__(self, guest):
        self.run = guest.shell.run
        self.pid = re.findall(r"\d+", self.run("pidof ballast-agent"))[-1]

    def cpu_sec(self):
        return int(re.findall(r"\d+", self.run(f"cat /proc/{self.pid}/schedstat"))[-3]) / 1e9

    def memory_kib(self):
        text = self.run(f"cat /proc/{self.pid}/smaps_rollup")
        return {k: int(v) for k, v in re.findall(r"(Rss|Anonymous):\s+(\d+) kB", text)}


def other_loop(directory):
    """(MiB, percent of a processor) of the Python loop."""
    process = subprocess.Popen([sys.executable, "-c", LOOP, directory], stdout=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()
        before, started = cpu_sec(process.pid), time.monotonic()
        time.sleep(LOOP_SEC)
        percent = (cpu_sec(process.pid) - before) / (time.monotonic() - started) * 100
        return memory_mib(process.pid)["VmRSS"], percent
    finally:
        process.kill()
        process.wait()


def measure(b, options):
    simulated = vm.spawn([FAKE_GUESTS, b.guests_dir, str(options.simulated)], os.path.join(b.directory, "fake.log"))
    try:
        real = b.boot(*((f"real{i}", {"boot_mib": REAL_MIB, "agent": True}) for i in range(options.real)))
        names = [f"sim{i:03}" for i in range(options.simulated)] + [g.name for g in real]
        bench.eventually(lambda: all(os.path.exists(os.path.join(b.guests_dir, n + ".qmp")) for n in names), None)
        d = b.daemon(memory_mib=b.host_mib(options.simulated * HELD_SIM_MIB + options.real * REAL_MIB))
        before = settle(b, d, names)
        agent = Agent(real[0]) if real else None
        say(f"all have what they need after {before} commands; {options.minutes} idle minutes begin")

        started, cpu, agent_cpu = time.monotonic(), cpu_sec(d.pid), agent.cpu_sec() if agent else 0
        time.sleep(options.minutes * 60)
        seconds = time.monotonic() - started
        percent = (cpu_sec(d.pid) - cpu) / seconds * 100
        agent_percent = (agent.cpu_sec() - agent_cpu) / seconds * 100 if agent else 0
        memory, orders = memory_mib(d.pid), d.host()["orders"] - before
        agent_memory = agent.memory_kib() if agent else {}
        d.terminate()
        loop_mib, loop_percent = other_loop(b.guests_dir)
    finally:
        vm.end(simulated)

    case = f"{options.simulated} simulated, {options.real} real guests"
    loop = f"Python loop over the {options.simulated} simulated ones, 1 s"
    report(case, "ballastd, resident", round(memory["VmRSS"], 1), "MiB", 1, f"<= {GOAL_RSS_MIB} MiB",
           memory["VmRSS"] <= GOAL_RSS_MIB, loop, round(loop_mib, 1))
    report(case, "ballastd, resident at its most", round(memory["VmHWM"], 1), "MiB", 1)
    report(case, "ballastd, resident without shared libraries", round(memory["RssAnon"], 1), "MiB", 1)
    report(case, f"ballastd, processor over {options.minutes} idle min", round(percent, 3), "% of one", 1,
           f"<= {GOAL_CPU_PERCENT} %", percent <= GOAL_CPU_PERCENT, loop, round(loop_percent, 3))
    report(case, "commands in that time", orders, "commands", 1)
    if agent:
        report("in a guest", "ballast-agent, resident", agent_memory["Rss"], "KiB", 1, "< 1024 KiB", agent_memory["Rss"] < 1024)
        report("in a guest", "ballast-agent, processor (emulated)", round(agent_percent, 3), "% of one", 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--simulated", type=int, default=100)
    parser.add_argument("--real", type=int, default=8)
    options = parser.parse_args()
    with bench.Bench() as b:
        measure(b, options)


sys.stdout, STDOUT = sys.stderr, sys.stdout  # what the bench of the live tests says is for people
main()
