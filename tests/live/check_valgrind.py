#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real ballastd under valgrind over two real guests, one with an agent: it finds them, takes and gives, loses one, reads its
configuration anew, sends a message, and stops. tools/check-valgrind.sh runs it; it is no test of the suite, as it takes long."""
import os
import signal

import bench
from bench import check, eventually, main


class Checked(bench.Daemon):
    wrap = ["valgrind", *os.environ.get("VALGRIND_OPTS", "--error-exitcode=33").split()]


def test(b):
    a, c = b.boot(("a", {"boot_mib": 256, "agent": True}), ("c", {"boot_mib": 256}))
    command = os.path.join(b.directory, "notify")
    with open(command, "w") as f:
        f.write("#!/bin/sh\nexit 0\n")
    os.chmod(command, 0o700)
    text = bench.config_text(b.guests_dir, memory_mib=b.host_mib(360)) + f"notify: {{command: {command}}}\n"
    d = Checked(b.directory, b.guests_dir, 0, text)
    b.daemons.append(d)
    d.wait_for("a", "c")
    eventually(d.fits, "both are cut down to what the host has", explain=d.log)
    a.load.grow(60, rate_mib=10)
    for words in (("status",), ("show", "a"), ("why", "a"), ("dump",), ("notify-test",), ("pause", "c"), ("resume", "c")):
        d.cli(*words)
    os.kill(d.pid, signal.SIGHUP)
    eventually(lambda: d.log_lines("was read again"), "the configuration is read again", explain=d.log)
    c.kill()
    eventually(lambda: "c" not in d.guests(), "a guest is gone", explain=d.log)
    code = d.terminate()
    check(code == 0, f"valgrind found nothing (exit code {code})" if code == 0 else d.log())


main(test)
