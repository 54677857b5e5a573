#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A backup is no excuse to slow the balancer. The repository's disk hangs (hold_writes.c): a burst in one guest is relieved
while another guest is frozen for its backup, and one in that guest while its copy waits for the disk. Once the disk is back
the backup is done."""
import http.client
import json
import os
import socket
import threading

import bench
import disks
from bench import check, eventually, main

HOLD = os.path.join(bench.BUILD, "tests", "live", "libhold_writes.so")
BOOT_MIB = 384
LENT_MIB = 200   # what both have at first: enough for what runs in them
BURST_MIB = 120
DATA_MIB = 64    # beyond ballast-copy's buffers and what sockets hold: it can't end without the disk


class HeldDaemon(bench.Daemon):
    """Writes into the repository's chunks wait while there is no gate; each backup waits at `stop` while there is a hold."""

    def start(self, wait=True):
        self.gate, self.hold = f"{self.directory}/gate", f"{self.directory}/hold"
        self.environment = {"LD_PRELOAD": HOLD, "HOLD_DIR": f"{self.repository}/chunks", "HOLD_GATE": self.gate,
                            "BALLAST_TEST_BACKUP": f"stop:hold:{self.hold}"}
        return super().start(wait)

    def held(self):
        """Whether somebody waits for the disk."""
        return os.path.exists(self.gate + ".held")

    def job(self):
        """The newest backup as the API tells it; {"step_name": None} while there is none."""
        api = http.client.HTTPConnection("ballastd", timeout=bench.CLI_SEC)
        api.sock = socket.socket(socket.AF_UNIX)
        api.sock.connect(self.socket)
        api.request("GET", "/v1/backup")
        jobs = json.loads(api.getresponse().read())["jobs"]
        api.close()
        return jobs[-1] if jobs else {"step_name": None}


def burst(guest, d, what):
    """The guest sees the memory it asks for, and the backup has come no further meanwhile."""
    total, step = guest.total_mib(), d.job()["step_name"]
    guest.load.grow(BURST_MIB, rate_mib=50)
    eventually(lambda: guest.total_mib() > total + 40, f"{what}: the guest in a burst gets memory", explain=d.log)
    job = d.job()
    check(job["state"] == "running" and job["step_name"] == step, f"the backup is at its step '{step}' all the while")
    check(guest.load.checksum_kib() == BURST_MIB * 1024 and guest.oom_kills() == 0, "the guest has all it asked for")


def test(b):
    disks.need_tools()
    a, g = b.boot(("a", {"boot_mib": BOOT_MIB, "agent": True}),
                  ("g", {"boot_mib": BOOT_MIB, "agent": True, "disks": disks.images(b, "g")}))
    g.shell.run(f"dd if=/dev/urandom of=/a/f bs=1M count={DATA_MIB} 2>/dev/null; sync; echo 3 >/proc/sys/vm/drop_caches", 60)
    for guest in (a, g):
        guest.monitor.ask("balloon", value=LENT_MIB << 20)
    eventually(lambda: a.balloon_mib() == g.balloon_mib() == LENT_MIB, "the guests have lent much of their memory")
    HeldDaemon.repository = disks.repository(b)
    memory = f"  memory: {b.host_mib(2 * BOOT_MIB)} MiB\n"
    text = disks.config(b, HeldDaemon.repository, freeze_limit="60 s").replace("host:\n", "host:\n" + memory)
    d = HeldDaemon(b.directory, b.guests_dir, 0, text)
    b.daemons.append(d)
    d.wait_for("a", "g")
    with open(d.hold, "w"):
        pass
    done = []
    thread = threading.Thread(target=lambda: done.append(d.cli("backup", "run", "g", "--freeze", "require", "--json")))
    thread.start()

    eventually(lambda: d.job()["step_name"] == "stop" and d.has_flag("g", "frozen"), "'g' is frozen", explain=d.log)
    burst(a, d, "another guest is frozen")
    os.unlink(d.hold)
    eventually(lambda: d.held() and d.job()["step_name"] == "pushed", "the copy waits for the disk", explain=d.log)
    a.load.release()
    burst(g, d, "its own copy hangs")
    check(disks.is_writable(g), "and writes on")

    with open(d.gate, "w"):
        pass
    thread.join()
    check(done[0].returncode == 0, f"the disk is back, and the backup is done {done[0].stderr}")
    eventually(lambda: not disks.leftovers(g), "nothing is left in QEMU")


main(test)
