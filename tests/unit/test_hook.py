#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: test_hook.py BALLAST-PREPARE
The administrator's commands before a freeze and after its thaw, as ballast-prepare runs them: what they get, what is told of
those that fail, an end for those that hang, and that the second is run once, whatever became of the first and of ballastd."""
import json
import os
import subprocess
import sys
import tempfile
import time

PREPARE = sys.argv[1]
LONG_MS = 60000
TRIES = 600


def start(order):
    process = subprocess.Popen([PREPARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(json.dumps(order).encode() + b"\n")
    process.stdin.close()
    return process


def ask(order):
    process = start(order)
    answer = json.loads(process.stdout.read())
    process.stdout.close()
    process.wait()
    return answer


def eventually(condition, what):
    for _ in range(TRIES):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")


class Hooks:
    def __init__(self, directory):
        self.directory = directory
        self.note = f"{directory}/run/g.hook"
        self.log = f"{directory}/log"

    def script(self, name, text):
        path = f"{self.directory}/{name}"
        with open(path, "w") as f:
            f.write(f"#!/bin/sh\n{text}\n")
        os.chmod(path, 0o755)
        return path

    def before(self, before=None, after=None, ms=LONG_MS):
        order = {"hook": "before-freeze", "note": self.note, "guest": "g", "identity": "id", "repository": "/srv/b"}
        if before:
            order.update({"before-freeze": before, "before-freeze_ms": ms})
        if after:
            order.update({"after-thaw": after, "after-thaw_ms": ms})
        return order

    def after(self, checkpoint=True):
        return {"hook": "after-thaw", "note": self.note, "checkpoint": checkpoint}

    def logged(self):
        with open(self.log, "a+") as f:
            f.seek(0)
            return f.read().splitlines()


def well(h):
    say = h.script("say", f'echo "$BALLAST_HOOK $BALLAST_STATE $BALLAST_GUEST $BALLAST_IDENTITY $BALLAST_REPOSITORY $#" >>{h.log};'
                          f'env | cut -d= -f1 | sort | tr "\\n" " " >{h.log}.env')
    assert ask(h.before(say, say)) == {"done": True, "ran": True}
    with open(f"{h.log}.env") as f:
        names = set(f.read().split()) - {"PWD", "SHLVL", "OLDPWD", "_"}  # the shell's own
    assert names == {"PATH", "LANG", "BALLAST_HOOK", "BALLAST_STATE", "BALLAST_GUEST", "BALLAST_IDENTITY",
                     "BALLAST_REPOSITORY"}, names
    assert os.path.exists(h.note), "the second one is owed"
    assert ask(h.after()) == {"done": True, "ran": True}
    assert not os.path.exists(h.note)
    assert ask(h.after()) == {"done": True, "ran": False}, "once"
    assert h.logged() == ["before-freeze begin g id /srv/b 0", "after-thaw done g id /srv/b 0"], h.logged()


def no_shell(h):
    answer = ask(h.before(f"/bin/true; touch {h.log}"))
    assert "cannot start it" in answer["error"], answer
    assert not os.path.exists(h.log)
    ask(h.after())


def failing(h):
    bad = h.script("bad", "echo out; echo first >&2; echo 'the last \033[1mword' >&2; exit 3")
    after = h.script("after", f"echo $BALLAST_STATE >>{h.log}; exit 7")
    error = ask(h.before(bad, after))["error"]
    assert f"the before-freeze hook '{bad}' of guest 'g' ended with exit code 3; it said: the last ?[1mword" == error, error
    error = ask(h.after(checkpoint=False))["error"]
    assert error.endswith("ended with exit code 7") and h.logged() == ["failed"], error
    assert not os.path.exists(h.note), "it ran: it is not owed any more"
    error = ask(h.before(f"{h.directory}/nowhere"))["error"]
    assert "exit code 127; it said: cannot start it: No such file" in error, error
    ask(h.after())


def hanging(h):
    hangs = h.script("hangs", f"echo still waiting >&2; trap '' TERM; echo $$ >{h.log}; sleep 1000 & sleep 1000")
    answer = ask(h.before(hangs, None, 300))
    assert "did not end within 300 ms and was stopped; it said: still waiting" in answer["error"], answer
    pid = int(h.logged()[0])
    eventually(lambda: not os.path.exists(f"/proc/{pid}") and not group(pid), "nothing of it is left")
    ask(h.after())


def group(leader):
    listed = subprocess.run(["ps", "-o", "pid=", "-g", str(leader)], stdout=subprocess.PIPE, text=True, check=False)
    return listed.stdout.split()


def chatty(h):
    """More than a pipe holds, and no newline at all."""
    answer = ask(h.before(h.script("chatty", "head -c 300000 /dev/zero | tr '\\0' x >&2; echo >&2; echo end >&2; exit 1")))
    assert answer["error"].endswith("it said: end"), answer
    ask(h.after())


def ballastd_gone(h):
    """Killed while the first runs: that ends, and the next ballastd's second comes after it."""
    before = h.script("before", f"trap 'echo ended >>{h.log}; exit 1' TERM; echo begun >>{h.log}; while :; do sleep 0.05; done")
    process = start(h.before(before, h.script("after", f"echo after $BALLAST_STATE >>{h.log}")))
    eventually(lambda: h.logged() == ["begun"], "the first runs")
    process.stdout.close()
    assert ask(h.after(checkpoint=False)) == {"done": True, "ran": True}
    process.wait()
    assert h.logged() == ["begun", "ended", "after failed"], h.logged()
    assert not os.path.exists(h.note)


def prepare_killed(h):
    before = h.script("before", f"echo $$ >{h.log}; exec sleep 1000")
    process = start(h.before(before, h.script("after", f"echo after >>{h.log}")))
    eventually(h.logged, "the first runs")
    process.kill()
    process.stdout.close()
    process.wait()
    pid = int(h.logged()[0])
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), "it ends with ballast-prepare")
    assert ask(h.after())["ran"]
    assert h.logged()[1:] == ["after"]


def notes(h):
    """One that is not whole: nothing was run after it. A note that can't be written: nothing is run."""
    os.makedirs(os.path.dirname(h.note))
    for text in ("", '{"guest":"g","after-thaw":"/bin/fal'):
        with open(h.note, "w") as f:
            f.write(text)
        assert ask(h.after()) == {"done": True, "ran": False}
        assert not os.path.exists(h.note)
    os.symlink(h.log, h.note)
    answer = ask(h.before(h.script("touch", f"touch {h.log}"), "/bin/true"))
    assert "error" in answer and not os.path.exists(h.log), answer


for test in (well, no_shell, failing, hanging, chatty, ballastd_gone, prepare_killed, notes):
    with tempfile.TemporaryDirectory(prefix="ballast-hook-") as directory:
        test(Hooks(directory))
