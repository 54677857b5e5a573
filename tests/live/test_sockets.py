#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Monitors that give no guest: in use by another client, nobody behind them, not there, another manager's. Guests
without a balloon. One sentence each; the good guest beside them is served at once."""
import os
import socket

import vm
from bench import check, eventually, main


def test(b):
    busy, bare, good = b.boot("busy", ("bare", {"balloon": False}), "good")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(os.path.join(b.guests_dir, "dead.qmp"))
    dead.close()
    mute = socket.socket(socket.AF_UNIX)  # listens, and never says a word
    mute.bind(os.path.join(b.guests_dir, "mute.qmp"))
    mute.listen()
    with open(os.path.join(b.guests_dir, "file.qmp"), "w") as f:
        f.write("no socket\n")
    client = vm.Monitor(busy.monitor_path)

    d = b.daemon(memory_mib=2048, guests={
        "absent": {"qmp": os.path.join(b.guests_dir, "nowhere", "absent.qmp")},
        "100": {"qmp": "/var/run/qemu-server/100.qmp"},
        "lv": {"qmp": "/var/lib/libvirt/qemu/domain-1-lv/monitor.sock"}})
    d.wait_for("good")
    check(good.total_mib() > 0, "the good guest is served")

    def said(*words):
        eventually(lambda: len(d.log_lines(*words)) == 1, f"one line: {' ... '.join(words)}", explain=d.log)

    said("busy", "another client")
    said("dead")
    said("mute")
    said("file")
    said("absent")
    said("'100'", "args: -chardev socket,id=ballast")
    said("lv", "libvirt")
    eventually(lambda: d.has_flag("bare", "no-balloon"), "a guest without a balloon is shown, with the reason",
               explain=d.log)
    check(d.guest("bare")["held_bytes"] >= 250 << 20, "and counted as what it holds")

    client.close()
    eventually(lambda: d.guest("busy").get("demand_bytes"), "once the other client leaves, 'busy' is found",
               explain=d.log)
    check(d.is_running() and len(d.log().splitlines()) < 60, "the log is not flooded")
    mute.close()


main(test)
