#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ten seconds of a real guest, with a burst in them, are recorded and decided again: the same comes out, byte for byte, and
not where one number of the record was changed. `why` names the burst."""
import json
import os
import threading
import time

from bench import check, eventually, main, run_cli

RECORD_SEC = 10
CUT_MIB = 24  # taken off what the guest said it had available


def replay(path):
    done = run_cli("replay", path, "--json")
    return done.returncode, json.loads(done.stdout)


def forge(path, forged):
    """The guest once said that it had CUT_MIB less available than it did."""
    with open(path) as f:
        lines = f.read().splitlines()
    available = {i: int(json.loads(line)["data"]["available_bytes"]) for i, line in enumerate(lines)
                 if line.startswith('{"input":"view"')}
    at = max(available, key=available.get)
    lines[at] = lines[at].replace(f'"available_bytes":{available[at]}',
                                  f'"available_bytes":{available[at] - (CUT_MIB << 20)}')
    with open(forged, "w") as f:
        f.write("\n".join(lines) + "\n")


def test(b):
    a, = b.boot(("a", {"boot_mib": 384, "agent": True}))
    a.monitor.ask("balloon", value=160 << 20)  # it has given before: a new ballastd takes nothing for its first 10 s
    eventually(lambda: a.assigned_mib() <= 161, "it has 160 MiB")
    d = b.daemon(memory_mib=b.host_mib(384), guests={"a": {"minimum": "96 MiB"}})
    d.wait_for("a")
    path, forged = (os.path.join(d.directory, name) for name in ("a.record", "forged.record"))
    done = []
    recording = threading.Thread(target=lambda: done.append(d.cli("record", path, "--for", f"{RECORD_SEC}s")))
    start = time.monotonic()
    recording.start()
    a.load.grow(180, rate_mib=60)
    eventually(lambda: "gave it" in d.cli("why", "a").stdout, "`why` tells what it was given",
               explain=lambda: d.cli("why", "a").stdout)
    a.load.release()
    eventually(lambda: "for a burst of" in d.cli("why", "a").stdout, "and names the burst it holds memory for",
               explain=lambda: d.cli("why", "a").stdout)
    check(json.loads(d.cli("why", "a", "--json").stdout)["decisions"], "for programs, too")
    recording.join()
    check(done[0].returncode == 0 and time.monotonic() - start >= RECORD_SEC, f"the recording ended: {done[0].stderr}")

    code, report = replay(path)
    check(code in (0, 4) and report["differ"] == 0 and report["end"] == "asked", f"all is the same: {report}")
    check(report["decisions"] >= RECORD_SEC and report["orders"] > 0 and report["guests"] == 1, "and it is no empty record")
    forge(path, forged)
    code, report = replay(forged)
    check(code == 1 and report["differ"] > 0 and report["first"]["guest"] == "a", "a changed number is found")


main(test)
