#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`ballast top` on a real terminal (a pty) beside a real ballastd, as whoever runs this.

test_top.py BALLASTD BALLAST
"""
import http.server
import json
import os
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading

from screen import Terminal
from test_ballastd import Daemon, environment

BALLASTD, BALLAST = (os.path.abspath(path) for path in sys.argv[1:3])
WITHOUT = "built without ncurses"


def daemon(directory, env):
    config = os.path.join(directory, "ballast.yaml.test")
    with open(config, "w", encoding="utf-8") as f:
        f.write("host: {memory: 1 GiB, reserve: 128 MiB}\n")
    d = Daemon(BALLASTD, directory, "--config", config, env=env)
    d.ask("/v1/version")
    return d


def top(socket_path, env, term="xterm-256color", locale="C.UTF-8", options=(), **size):
    env = dict(env, TERM=term, LC_ALL=locale, **dict(options))
    return Terminal([BALLAST, "top", "--socket", socket_path], env, **size)


def ends_well(t, code=0):
    assert t.wait_end() == code, (t.process.returncode, t.screen.text())
    assert t.is_as_before(), "the terminal is not as before"
    t.close()


def test_lives_through_restarts(env, directory):
    d = daemon(directory, env)
    t = top(d.socket, env)
    t.wait_words("memory is high", "GUEST", "ballastd knows no guest yet", "q quit")
    assert t.screen.alternate == 1 and t.screen.colours > 0
    d.stop(signal.SIGKILL)
    t.wait_words("ballastd does not answer, trying again", "memory is high")
    d = daemon(directory, env)
    t.wait_for(lambda text: "does not answer" not in text, "it never notices that ballastd is back")
    t.press("?")
    t.wait_words("Keys", "Any key goes back")
    t.press("x")
    t.wait_words("GUEST")
    t.press("q")
    ends_well(t)
    d.stop()
    assert top_fails(d.socket, env)[0] == 3


def test_resizes(env, directory):
    d = daemon(directory, env)
    t = top(d.socket, env)
    t.wait_words("MEMORY", "STATE")
    t.resize(50, 132)
    t.wait_for(lambda text: "DEMAND, 5 min" in text and "q quit" in text.split("\n")[49], "it does not grow")
    t.resize(12, 40)
    t.wait_for(lambda text: "GUEST" in text and "MEMORY" not in text and "q quit" in text.split("\n")[11],
               "it does not shrink")
    t.resize(3, 10)
    t.wait_words("too small")
    t.resize(24, 80)
    t.wait_words("MEMORY", "q quit")
    t.press("q")
    ends_well(t)
    d.stop()


def test_every_way_out_gives_the_terminal_back(env, directory):
    d = daemon(directory, env)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, None):
        t = top(d.socket, env)
        t.wait_words("q quit")
        if number is None:
            t.press("\x03")  # Ctrl-C
        else:
            t.process.send_signal(number)
        ends_well(t)
    t = top(d.socket, env)
    t.wait_words("q quit")
    os.close(t.slave)
    os.close(t.master)  # the window is closed
    assert t.process.wait(60) == 0
    d.stop()


def test_plain_terminals(env, directory):
    d = daemon(directory, env)
    for term, locale, options in (("vt100", "C", {}), ("xterm", "C", {}), ("linux", "C.UTF-8", {"NO_COLOR": "1"})):
        t = top(d.socket, env, term, locale, options)
        t.wait_words("GUEST", "[...." if locale == "C" else "[\u00b7\u00b7\u00b7", "q quit")
        assert locale != "C" or t.screen.raw.isascii(), "something else than ASCII on a terminal without UTF-8"
        assert term == "xterm" or t.screen.colours == 0, "colours where there should be none"
        t.press("q")
        ends_well(t)
    d.stop()


def top_fails(socket_path, env, term="xterm"):
    # ncurses itself leaks when it refuses a terminal
    t = top(socket_path, env, term, options={"ASAN_OPTIONS": env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"})
    code = t.wait_end()
    text, as_before = t.screen.text(), t.is_as_before()
    t.close()
    assert as_before
    return code, text


def test_refuses(env, directory):
    d = daemon(directory, env)
    for term in ("dumb", "no-such-terminal"):
        code, text = top_fails(d.socket, env, term)
        assert code == 1 and f"'{term}'" in text and "ballast status --watch" in text, (code, text)
    done = subprocess.run([BALLAST, "top", "--socket", d.socket], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env,
                          timeout=60)
    assert done.returncode == 2 and "top needs a terminal" in done.stderr and not done.stdout, done
    done = subprocess.run([BALLAST, "top", "--json", "--socket", d.socket], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=env, timeout=60)
    document = json.loads(done.stdout)
    assert done.returncode == 0 and document["status"]["guests"] == [] and document["history"]["step_ms"] == 5000, done
    d.stop()


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Handler(http.server.BaseHTTPRequestHandler):
    """A ballastd with guests that nobody boots here."""
    guests = [{"name": f"web{i:02}", "mode": "auto", "memory_status": "ok", "assigned_bytes": (100 + i) << 20,
               "demand_bytes": (50 + i) << 20, "maximum_bytes": 1 << 30, "pressure_percent": 50.0 + i, "flags": []}
              for i in range(30)]
    history = [{"name": "web03", "assigned_bytes": [100 << 20], "demand_bytes": [60 << 20],
                "moves": [{"order": "grow", "from_bytes": 1 << 20, "to_bytes": 9 << 20, "orders": 1, "age_ms": 4000,
                           "lasted_ms": 0, "reason": "it lacks room\u009b31m"}]}]

    def do_GET(self):  # noqa: N802
        documents = {"/v1/status": {"daemon": {}, "host": {"name": "evil\x1b[2J", "state": "high"}, "guests": self.guests},
                     "/v1/history": {"step_ms": 5000, "guests": self.history}}
        body = json.dumps(documents[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass


def test_keys_reach_it(env, directory):
    path = os.path.join(directory, "fake.sock")
    with Server(path, Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        t = top(path, env)
        t.wait_words("evil?[2J: memory is high, 30 guests", "web29: ")
        t.press("n\x1bOB\x1bOB\x1bOB")  # by name, and down three times
        t.wait_words("web03: ", "4 s ago: grow 1 MiB -> 9 MiB: it lacks room")
        t.press("\x1bOF")  # End
        t.wait_words("\nweb29 ", "web29: ")
        t.press("/9\r")
        t.wait_words("3 of 30 guests", "only '9'", "web09")
        t.press("\x1b")  # Escape
        t.wait_words("30 guests by name")
        t.press("q")
        ends_well(t)
        server.shutdown()


def main():
    with tempfile.TemporaryDirectory() as directory:
        if WITHOUT in top_fails(os.path.join(directory, "none"), environment(directory))[1]:
            print(f"this ballast was {WITHOUT}")
            return 77
    failed = 0
    for name, function in list(globals().items()):
        if not name.startswith("test_"):
            continue
        with tempfile.TemporaryDirectory() as directory:
            try:
                function(environment(directory), directory)
                print("ok", name, flush=True)
            except AssertionError as e:
                failed += 1
                print("FAILED", name, e, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
