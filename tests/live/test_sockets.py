#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Monitors that give no guest: in use by another client, nobody behind them, babbling, not there, another manager's.
Guests without a balloon, or without its driver. One sentence each; the good guest beside them is served at once."""
import os
import socket
import threading

import vm
from bench import check, eventually, main


def babble(server):
    """Whoever connects is told nonsense as fast as it reads."""
    while True:
        try:
            client, _ = server.accept()
            while True:
                client.sendall(b'{"QMP": [[[[' * 4096 + b"\0\xff\n")
        except ConnectionError:
            client.close()
        except OSError:
            return


def listener(b, name):
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.path.join(b.guests_dir, name))
    server.listen()
    return server


def test(b):
    busy, bare, good, driverless = b.boot("busy", ("bare", {"balloon": False}), "good",
                                    ("driverless", {"kernel_options": "test.nomodule=virtio_balloon"}))
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(os.path.join(b.guests_dir, "dead.qmp"))
    dead.close()
    mute = listener(b, "mute.qmp")  # never says a word
    babbler = listener(b, "babbler.qmp")
    threading.Thread(target=babble, args=[babbler], daemon=True).start()
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
    said("babbler")
    said("absent")
    said("'100'", "args: -chardev socket,id=ballast")
    said("lv", "libvirt")
    eventually(lambda: d.has_flag("bare", "no-balloon"), "a guest without a balloon is shown, with the reason",
               explain=d.log)
    check(d.guest("bare")["held_bytes"] >= 250 << 20, "and counted as what it holds")

    eventually(lambda: d.has_flag("driverless", "silent"), "one whose balloon has no driver is shown as silent",
               explain=d.log)
    check(d.guest("driverless")["held_bytes"] == 256 << 20 and d.guest("driverless")["available_bytes"] is None,
          "it counts as all it has, and statistics that are not set are not taken for numbers")
    check(driverless.assigned_mib() == 256, "nothing is done to it")

    client.close()
    eventually(lambda: d.guest("busy").get("demand_bytes"), "once the other client leaves, 'busy' is found",
               explain=d.log)
    check(d.is_running() and len(d.log().splitlines()) < 60, "the log is not flooded")
    mute.close()
    babbler.close()


main(test)
