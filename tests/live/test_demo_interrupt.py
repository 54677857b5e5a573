#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C in the demo, on a terminal: whatever it was doing, no process and no file of it stays. And NO_COLOR is
respected."""
import os
import pty
import re
import select
import shutil
import signal
import tempfile
import time

import bench
from bench import check

MOMENTS = ("boots", "its day begins")  # words shown while guests boot, and while ballastd and a load run


def processes(word):
    """Running processes with word in their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if word.encode() in f.read() and int(pid) != os.getpid():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def interrupted(moment):
    directory = tempfile.mkdtemp(prefix="ballast-i-")
    pid, terminal = pty.fork()
    if pid == 0:
        environment = {**os.environ, "TMPDIR": directory, "TERM": "xterm", "NO_COLOR": "1",
                       "BALLAST_BUILD": bench.BUILD}
        demo = os.path.join(bench.HERE, "demo.py")
        os.execve("/usr/bin/python3", ["python3", demo], environment)
    shown = b""
    begin = time.monotonic()
    seen = interrupted_once = False
    status = None
    while status is None:
        try:
            if select.select([terminal], [], [], 0.2)[0]:
                shown += os.read(terminal, 65536)
        except OSError:
            pass  # its end of the terminal is closed
        seen = seen or len(processes(directory)) > 1
        if not interrupted_once and seen and moment.encode() in shown:
            os.write(terminal, b"\x03")
            interrupted_once = True
        if time.monotonic() > begin + 2 * bench.LONG_SEC:
            os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"it did not end after Ctrl-C:\n{shown[-3000:].decode(errors='replace')}")
        done, code = os.waitpid(pid, os.WNOHANG)
        status = code if done else None
    os.close(terminal)
    text = shown.decode(errors="replace")
    check(seen, "guests were running")
    check(os.waitstatus_to_exitcode(status) == 130, f"exit code {os.waitstatus_to_exitcode(status)}: {text[-600:]}")
    check(not processes(directory), "none of its processes is left")
    check(not os.listdir(directory), "none of its files is left")
    check("Traceback" not in text, "and it says no more than needed")
    check(not re.search(r"\033\[[0-9;]+m", text), "NO_COLOR: no colours")  # but the cursor moves
    shutil.rmtree(directory)


def main():
    bench.guest_build()
    for moment in MOMENTS:
        interrupted(moment)


main()
