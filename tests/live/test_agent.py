#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The agent in a real guest: its samples reach ballastd, people in the guest see what is lent and why, a burst is
relieved by a push, and whatever happens to the agent or its port costs that guest its agent and nothing else."""
import re

from bench import MIB, check, eventually, main

PORT = "/dev/virtio-ports/org.ballast.agent.0"


def demand_source(d, name):
    return d.guest(name).get("demand_source")


def memory(guest):
    """What the agent's process takes in the guest, KiB."""
    text = guest.shell.run("cat /proc/$(pidof ballast-agent)/smaps_rollup")
    return {m.group(1): int(m.group(2)) for m in re.finditer(r"(\w+): +(\d+) kB", text)}


def test_samples_and_status(a, d):
    eventually(lambda: demand_source(d, "a") == "agent", "the agent's samples reach ballastd", explain=d.log)
    check(a.shell.run("cat /sys/devices/system/memory/auto_online_blocks") == "online",
          "hot-added memory comes online by itself")
    check(a.shell.run("cat /sys/module/memory_hotplug/parameters/online_policy") == "auto-movable",
          "by the auto-movable policy")
    eventually(lambda: d.assigned_mib("a") < 180, "an idle guest gives", explain=d.log)
    eventually(lambda: re.search(r"lent to the host: \d+ MiB of", a.shell.run("ballast-agent status")),
               "and its agent says how much is lent to the host")
    text = a.shell.run("ballast-agent status; echo code $?")
    check("why: this guest needs about" in text and "agent: connected to the host" in text and "code 0" in text,
          "and why")
    size = memory(a)
    check(0 < size["Rss"] < 1024, f"the agent is small: {size['Rss']} KiB resident")
    check(size["Locked"] >= size["Pss"] - 64, "and locked")
    check(a.shell.run("cat /proc/$(pidof ballast-agent)/oom_score_adj") == "-1000", "and out of the OOM killer's way")


def test_burst(a, d):
    before = a.load.meminfo()
    assigned = d.assigned_mib("a")
    a.load.grow(150, rate_mib=60, wait=False)  # how fast it may be is for BENCH=relief: this machine may be busy
    eventually(lambda: a.load.meminfo()["balloon_deflate"] - before["balloon_deflate"] >= 32 * 256,
               "a burst is relieved", explain=d.log)
    a.load.wait_idle()
    check(a.load.checksum_kib() == 150 * 1024, "all of it is there")
    eventually(lambda: d.assigned_mib("a") > assigned + 100, "ballastd gave it", explain=d.log)
    check(a.load.meminfo()["oom_kill"] == 0, "nothing was killed")
    a.load.release()


def test_hot_added_memory(a, d):
    total = a.total_mib()
    a.load.grow(300)
    check(a.load.checksum_kib() == 300 * 1024, "the guest grows beyond what it booted with")
    check(a.plugged_mib() > 0 and a.total_mib() > total, "hot-added memory is online and in use")
    check(d.guest("a")["assigned_bytes"] // MIB <= a.balloon_mib() + a.plugged_mib(),
          "only what is online counts as given")
    a.load.release()


def test_killed_agent(a, d):
    a.shell.run("touch /tmp/noagent; kill -9 $(pidof ballast-agent)")
    eventually(lambda: demand_source(d, "a") == "statistics", "without its agent, statistics are used", explain=d.log)
    eventually(lambda: len(d.log_lines("'a'", "agent is silent")) == 1, "that is one line in the log", explain=d.log)
    check("not running" in a.shell.run("ballast-agent status"), "people in the guest see that it does not run")
    a.shell.run("rm /tmp/noagent")
    eventually(lambda: demand_source(d, "a") == "agent", "the agent is back", explain=d.log)


def test_second_agent(a, d):
    text = a.shell.run("ballast-agent; echo code $?")
    check("in use by another program" in text and "code 1" in text, "a second agent in the guest says why it can't run")
    check(demand_source(d, "a") == "agent", "and the first goes on")


def test_garbage(a, d):
    a.shell.run("touch /tmp/noagent; kill -9 $(pidof ballast-agent)")
    lines = len(d.log_lines("agent"))
    a.shell.run(f"printf 'hello version=1\\nsample seq=1 time=1 mem_total=4 mem_free=-1\\n' >{PORT}")
    eventually(lambda: d.log_lines("'a'", "nonsense came through its agent's port"),
               "garbage in the port is one sentence", explain=d.log)
    eventually(lambda: "nonsense came through" in (d.guest("a")["trouble"] or ""),
               "which status shows, too, from the next second on", explain=d.log)
    for _ in range(3):
        a.shell.run(f"head -c 65536 /dev/urandom >{PORT} &")
    eventually(lambda: demand_source(d, "a") == "statistics", "that guest is balanced by statistics", explain=d.log)
    check(len(d.log_lines("agent")) <= lines + 2, "and no flood of lines")
    check(demand_source(d, "b") == "agent", "no other guest notices")
    a.shell.run("rm /tmp/noagent; killall head 2>/dev/null")
    eventually(lambda: demand_source(d, "a") == "agent", "once the port is sensible again, so is the agent",
               explain=d.log)


def test_restarted_daemon(a, d):
    assigned = a.assigned_mib()
    d.kill()
    d.start()
    eventually(lambda: demand_source(d, "a") == "agent" and demand_source(d, "b") == "agent",
               "a new ballastd hears both agents", explain=d.log)
    check(abs(a.assigned_mib() - assigned) < 64, "and moved little for it")
    eventually(lambda: "agent: connected" in a.shell.run("ballast-agent status"), "the agent knows it")


def test_reset(a, d):
    a.reset()
    a.wait_up()
    eventually(lambda: demand_source(d, "a") == "agent" and d.guest("a")["sample_age_ms"] < 3000,
               "after a reset the guest's new agent is heard", explain=d.log)
    check(not d.log_lines("'a'", "two agents"), "and not taken for a second one")


def test(b):
    a, other = b.boot(("a", {"boot_mib": 256, "plug_mib": 256, "online": False, "agent": True}),
                      ("b", {"boot_mib": 256, "agent": True}))
    d = b.daemon(memory_mib=1024, guests={"*": {"minimum": "112 MiB"}})
    d.wait_for("a", "b")
    test_samples_and_status(a, d)
    test_burst(a, d)
    test_hot_added_memory(a, d)
    test_killed_agent(a, d)
    test_second_agent(a, d)
    test_garbage(a, d)
    test_restarted_daemon(a, d)
    test_reset(a, d)
    check(other.is_running() and demand_source(d, "b") == "agent", "the other guest had its agent all the time")


main(test)
