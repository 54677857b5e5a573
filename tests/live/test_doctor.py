#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`ballast doctor` beside real guests: one that has everything and one that has nothing differ as they should, and what is
named as the change is enough: the guest boots with it, and the finding is gone."""
import json
import resource
import shlex

from bench import check, eventually, main, say

CAP_IPC_LOCK = 14

WELL = {"boot_mib": 256, "plug_mib": 256, "agent": True, "deflate_on_oom": True, "free_page_reporting": True,
        "extra": ("-m", "256M,maxmem=1G,slots=2", "-uuid", "2f9c7c9e-0f1d-4a64-8c1e-6f3f0a7d5b11")}


def findings(d, name):
    """{id: finding} of a guest; the exit code says whether there is a warning among them."""
    done = d.cli("doctor", name, "--json")
    found = {f["id"]: f for f in json.loads(done.stdout)["guests"][0]["findings"]}
    warnings = [f for f in found.values() if f["severity"] == "warning"]
    assert done.returncode == (4 if warnings else 0), (done.returncode, found)
    return found


def options(finding):
    """The first line to be typed: QEMU's options."""
    typed = [line.strip() for line in finding["change"].split("\n") if line.startswith(" -")]
    return shlex.split(typed[0])


def known(d, name):
    eventually(lambda: d.guest(name).get("levers_age_ms") is not None, f"ballastd knows {name}", explain=d.log)


def may_lock():
    with open("/proc/self/status") as f:
        capabilities = int(next(line for line in f if line.startswith("CapEff:")).split()[1], 16)
    return bool(capabilities & 1 << CAP_IPC_LOCK) or resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] == resource.RLIM_INFINITY


def test(b):
    well, bare = b.boot(("well", WELL), ("bare", {"boot_mib": 256, "balloon": False}))
    d = b.daemon(memory_mib=1024, guests={"*": {"minimum": "112 MiB"}})
    known(d, "bare")
    eventually(lambda: d.guest("well").get("agent_port") == "heard", "the agent of the other is heard", explain=d.log)
    missing = findings(d, "well")
    check(list(missing) == ["no-swap"], f"the guest that has all but swap lacks {list(missing)}")
    lacks = findings(d, "bare")
    check(sorted(lacks) == ["no-agent-port", "no-balloon", "no-uuid", "no-virtio-mem"], f"the other lacks {sorted(lacks)}")
    check(d.guest("bare")["hypervisor"].startswith("QEMU ") and d.guest("well")["machine_maximum_bytes"] == 1 << 30,
          "facts of QEMU are known")
    host = json.loads(d.cli("doctor", "--json", check_code=4).stdout)
    check({g["name"]: len(g["findings"]) for g in host["guests"]} == {"bare": 4, "well": 1}, "doctor without a name counts them")

    changes = [option for key in ("no-balloon", "no-agent-port", "no-virtio-mem") for option in options(lacks[key])]
    changes += ["-uuid" if option == "-uuid" else "1c9c7c9e-0f1d-4a64-8c1e-6f3f0a7d5b12" for option in options(lacks["no-uuid"])]
    say("applied: " + " ".join(changes))
    for guest in (well, bare):
        guest.kill()
    fixed = [("fixed", {"boot_mib": 160, "extra": ("-overcommit", "mem-lock=on")})] if may_lock() else []
    b.boot(("bare", {"boot_mib": 256, "balloon": False, "suffix": "2", "extra": changes}), *fixed)
    known(d, "bare")
    eventually(lambda: set(findings(d, "bare")) <= {"no-swap"}, "with what it named, all but swap is there",
               explain=lambda: f"{findings(d, 'bare')}\n{d.log()}")
    if fixed:
        known(d, "fixed")
        check("fixed" in findings(d, "fixed") and "locked" in d.guest("fixed")["reasons"]["fixed"],
              "locked memory is fixed, with its reason")
        check(d.guest("fixed")["order"] == "none" and not d.has_flag("fixed", "breach"), "and nothing is tried")


main(test)
