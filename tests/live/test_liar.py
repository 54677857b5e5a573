#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""S5. A guest whose kernel says it needs everything, while it touches nothing: huge pages set aside, never used. It
gains nothing; a guest that fills its memory gets it."""
from bench import check, eventually, main

STARTUP_MIB = 160


def test(b):
    shape = {"boot_mib": 256, "plug_mib": 512}
    liar, honest = b.boot(("liar", shape), ("honest", shape))
    d = b.daemon(memory_mib=b.host_mib(900), guests={"*": {"startup": f"{STARTUP_MIB} MiB"}})
    d.wait_for("liar", "honest")
    eventually(lambda: liar.assigned_mib() < STARTUP_MIB, "the liar has less than what it boots with", explain=d.log)
    had = liar.assigned_mib()

    liar.claim()
    honest.load.grow(400, rate_mib=15, wait=False)

    def fed():
        liar.claim()
        return honest.assigned_mib() >= 450
    eventually(fed, "the honest guest gets what it fills", explain=d.log)
    honest.load.wait_idle()
    for _ in range(20):
        liar.claim()
        liar.shell.run("sleep 0.5")
    status = d.guest("liar")
    check(status["pressure_percent"] >= 80, f"the liar's own numbers cry for memory ({status['pressure_percent']} %)")
    bound = max(had, STARTUP_MIB, liar.resident_mib() * 3 // 2, liar.resident_mib() + 64) + 16
    check(liar.assigned_mib() <= bound,
          f"it has {liar.assigned_mib()} MiB: no more than what it was seen to touch supports ({bound})")
    check(status["target_bytes"] > status["assigned_bytes"], "though it claims more")
    check(honest.load.checksum_kib() == 400 * 1024 and honest.oom_kills() == 0, "the honest guest is well")


main(test)
