#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Without a configuration file ballastd finds the guests, only watches, and says what it would do and save. With
--dry-run it decides by its configuration and moves nothing either."""
import os

from bench import always, check, eventually, main


def test(b):
    d = b.daemon(config=False, wait=False)
    os.makedirs(d.default_guests_dir, exist_ok=True)
    a, c = b.boot(("a", {"boot_mib": 384, "guests_dir": d.default_guests_dir}), ("c", {"boot_mib": 384}))
    d.wait_ready()
    d.wait_for("a")
    a.load.grow(40)
    eventually(lambda: d.guest("a").get("advice_bytes", 0) and d.guest("a")["advice_bytes"] < 300 << 20,
               "it says what size it would aim at", explain=d.log)
    check(d.guest("a")["mode"] == "watch", "in watch mode")
    check(d.host()["saving_bytes"] > 32 << 20, "and what that would save")
    always(lambda: a.assigned_mib() == 384, "nothing moves", 14)
    check("watch" in d.log(), "its log says that it only watches")
    check("watch" in d.cli("status", check_code=0).stdout, "so does the table")

    e = b.daemon(memory_mib=b.host_mib(200), options=["--dry-run"])
    e.wait_for("c")
    eventually(lambda: e.guest("c").get("order") == "shrink", "--dry-run: it would take from 'c'", explain=e.log)
    always(lambda: c.assigned_mib() == 384, "but nothing moves", 10)
    check(e.log_lines("'c'"), "the log tells what it would do")


main(test)
