#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What operators ask of the real ballastd, without any guest: values set, moves switched off; what of it is kept, what is
audited, what is refused.

test_operate.py BALLASTD
"""
import json
import os
import signal
import sys
import tempfile
import time

from test_ballastd import LONG_SEC, Daemon, Http, environment

CONFIG = """host: {memory: 1 GiB, reserve: 128 MiB}
defaults: {priority: 4000}
guests:
  web1: {minimum: 128 MiB, maximum: 1 GiB}
  web2: {minimum: 256 MiB}
"""


class Operator:
    """A ballastd with a configuration of its own, and the audit log it writes."""

    def __init__(self, program, directory):
        self.program, self.directory = program, directory
        self.path = os.path.join(directory, "ballast.yaml")
        self.saved = os.path.join(directory, "guests.d", "ballast-set.yaml")
        self.daemon, self.options = None, ()
        if not os.path.exists(self.path):
            self.write(self.path, CONFIG)

    @staticmethod
    def write(path, text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    @staticmethod
    def read(path):
        with open(path, encoding="utf-8") as f:
            return f.read()

    def start(self):
        self.daemon = Daemon(self.program, self.directory, "--config", self.path, *self.options, env=environment(self.directory))
        self.daemon.ask("/v1/version")

    def stop(self, number=signal.SIGTERM):
        code = self.daemon.stop(number)
        assert number != signal.SIGTERM or code == 0, self.daemon.text()

    def post(self, path, body=None):
        http = Http(self.daemon.socket)
        http.request("POST", path, json.dumps(body or {}))
        answer = http.getresponse()
        return answer.status, json.loads(answer.read())

    def done(self, path, body=None):
        """Asks, waits until what must be kept is kept, and returns the answer."""
        status, answer = self.post(path, body)
        assert status == 200, answer
        end = time.monotonic() + LONG_SEC
        while answer["save"]:
            state = self.daemon.ask("/v1/moves")[1]
            assert not state["save_trouble"] and time.monotonic() < end, state
            if state["saved"] >= answer["save"]:
                break
            time.sleep(0.01)
        return answer

    def reload(self):
        said = self.daemon.text().count("was read again")
        self.daemon.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + LONG_SEC
        while self.daemon.text().count("was read again") == said:
            assert time.monotonic() < end, self.daemon.text()
            time.sleep(0.02)

    def eventually(self, path, holds):
        end = time.monotonic() + LONG_SEC
        while True:
            answer = self.daemon.ask(path)[1]
            if holds(answer):
                return answer
            assert time.monotonic() < end, answer
            time.sleep(0.05)

    def ready(self):
        """The first decision was made: the host's numbers are known."""
        self.eventually("/v1/status", lambda s: s["host"]["decisions"] > 0 and s["host"]["capacity_bytes"])

    def reserve(self, **body):
        status, answer = self.post("/v1/reservations", body)
        assert status == 200, answer
        return answer

    def set(self, guest="web1", save=False, **values):
        return self.done(f"/v1/guests/{guest}/set", {"values": values, "save": save})

    def refused(self, path, body, says, status=400):
        code, answer = self.post(path, body)
        assert code == status and says in answer["error"], (code, answer)

    def audit(self, end=1):
        """The audit log, once it has `end` lines."""
        until = time.monotonic() + LONG_SEC
        while True:
            try:
                lines = self.read(os.path.join(self.directory, "state", "audit.jsonl")).splitlines()
            except FileNotFoundError:
                lines = []
            if len(lines) >= end:
                return [json.loads(line) for line in lines]
            assert time.monotonic() < until, lines
            time.sleep(0.01)


def test_set_holds_until_the_end(o):
    o.start()
    answer = o.set(minimum="256 MiB", priority="7000")
    assert answer["changed"] and "minimum 256 MiB (was 128 MiB), priority 7000 (was 4000)" in answer["text"], answer
    again = o.set(minimum="262144 KiB", priority="7000")
    assert not again["changed"] and "already so" in again["text"], again
    o.daemon.process.send_signal(signal.SIGHUP)
    o.daemon.wait_for("was read again")
    assert not o.set(minimum="256 MiB")["changed"], "a reload must not take it back"
    assert o.set(minimum="")["changed"], "an empty value takes it back"
    o.stop()
    assert not os.path.exists(o.saved)
    o.start()
    answer = o.set(minimum="128 MiB", priority="4000")
    assert not answer["changed"], f"the configuration holds again after a restart: {answer}"
    o.stop()


def test_saved_is_for_good_and_above_all(o):
    o.start()
    answer = o.set(save=True, minimum="256 MiB", mode="watch", buffer="12.5 %")
    assert answer["changed"] and "key 'minimum' of guest 'web1' is 128 MiB in" in answer["warning"], answer
    assert o.read(o.path) == CONFIG, "the administrator's file is his"
    o.set(guest="web2", save=True, reclaim="lazy")
    o.stop()
    text = o.read(o.saved)
    for words in ('"web1":', '"web2":', 'minimum: "256 MiB"', 'buffer: "12.5 %"', "mode: \"watch\"", "reclaim: \"lazy\""):
        assert words in text, text
    o.start()
    assert not o.set(minimum="256 MiB", mode="watch", buffer="12.5 %")["changed"]
    assert "does not hold" in o.daemon.text(), "a file that says something else is named"
    first = o.daemon.ask("/v1/version")[1]["config_hash"]
    o.set(save=True, minimum="", mode="", buffer="")
    assert "web1" not in o.read(o.saved) and "web2" in o.read(o.saved)
    o.daemon.process.send_signal(signal.SIGHUP)
    o.daemon.wait_for("was read again")
    assert o.daemon.ask("/v1/version")[1]["config_hash"] != first
    assert not o.set(minimum="128 MiB")["changed"]
    o.stop()


def test_nonsense_is_refused_whole(o):
    o.start()
    set1 = "/v1/guests/web1/set"
    cases = (({}, "'values' should be"), ({"values": []}, "'values' should be"), ({"values": {}}, "'values' should be"),
             ({"values": {"minimun": "1 GiB"}}, "did you mean 'minimum'"), ({"values": {"frob": "1"}}, "known are startup"),
             ({"values": {"minimum": "1 GiB", "priority": "0"}}, "key 'priority'"), ({"values": {"minimum": 5}}, "is no text"),
             ({"values": {"minimum": "1\0 GiB"}}, "is no text"), ({"values": {"minimum": "5 parsecs"}}, "key 'minimum'"),
             ({"values": {"minimum": "9" * 99}}, "is no text"), ({"values": {"qmp": "/x"}}, "can't be set at run time"),
             ({"values": {"access": "share"}}, "can't be set at run time"),
             ({"values": {"minimum": "2 GiB"}}, "minimum 2 GiB would be larger than maximum 1 GiB"),
             ({"values": {"minimum": "768 MiB"}}, "the minimums of the named guests would need"),
             ({"values": {"mode": "watch"}, "save": "yes"}, "'save'"), ({"values": {"mode": "watch"}, "force": True}, "'force'"))
    for body, says in cases:
        o.refused(set1, body, says)
    o.refused("/v1/guests/nobody/set", {"values": {"mode": "watch"}}, "there is no guest 'nobody'", status=404)
    o.refused("/v1/guests/nobody/pause", {}, "there is no guest 'nobody'", status=404)
    o.refused("/v1/off", {"now": True}, "no member 'now'")
    assert o.daemon.ask("/v1/moves")[1]["moves"] == "on"
    assert not o.set(minimum="128 MiB", priority="4000")["changed"], "nothing of all that held"
    o.stop()
    assert not os.path.exists(os.path.join(o.directory, "state", "audit.jsonl")), "nothing was done"


def test_who_did_what_is_audited(o):
    o.start()
    o.set(minimum="256 MiB", priority="7000")
    o.set(minimum="256 MiB")  # changes nothing
    o.set(save=True, minimum="256 MiB")  # but this does: it is for good now
    o.done("/v1/off")
    o.done("/v1/off")
    lines = o.audit(4)
    assert [l["what"] for l in lines] == ["set", "set", "set", "off"], lines
    assert [(l.get("key"), l.get("old"), l.get("new"), l.get("saved")) for l in lines[:3]] == [
        ("minimum", "128 MiB", "256 MiB", False), ("priority", "4000", "7000", False), ("minimum", "256 MiB", "256 MiB", True)]
    for line in lines:
        assert line["uid"] == os.getuid() and line["pid"] == os.getpid() and line["program"].startswith("python"), line
        assert line["user"] and line["time"].endswith("Z") and line["guest"] == (None if line["what"] == "off" else "web1"), line
    o.stop(signal.SIGKILL)
    with open(os.path.join(o.directory, "state", "audit.jsonl"), "a", encoding="utf-8") as f:
        f.write('{"time":"cut by a cr')
    o.start()
    o.done("/v1/on")
    end = o.read(os.path.join(o.directory, "state", "audit.jsonl")).splitlines()
    assert len(end) == 6 and json.loads(end[-1])["what"] == "on", end
    o.stop()


def test_the_audit_log_is_bounded(o):
    o.start()
    path = os.path.join(o.directory, "state", "audit.jsonl")
    for size in (1 << 20, 1 << 20):
        with open(path, "w", encoding="utf-8") as f:
            f.write("x" * (size - 1) + "\n")
        o.done("/v1/off")
        o.done("/v1/on")
    o.stop()
    assert os.path.getsize(path) < 4096 and os.path.exists(path + ".1") and os.path.exists(path + ".2")


def test_off_survives_everything(o):
    o.start()
    assert o.done("/v1/off")["moves"] == "off"
    o.stop(signal.SIGKILL)
    o.start()
    status = o.daemon.ask("/v1/status")[1]
    assert status["host"]["moves"] == "off" and "ballast on" in status["warnings"][0]["text"], status["warnings"]
    assert not o.done("/v1/off")["changed"]
    assert o.done("/v1/on")["changed"] and not o.done("/v1/on")["changed"]
    o.stop()
    o.start()
    assert o.daemon.ask("/v1/moves")[1]["moves"] == "on"
    o.stop()


def test_a_damaged_file_moves_nobody(o):
    o.start()
    o.done("/v1/off")
    o.stop()
    path = os.path.join(o.directory, "state", "operate.json")
    whole = o.read(path)
    for text in (whole[:-9], "", "[]", whole.replace('"off"', '"maybe"'), whole.replace('"version":1', '"version":2'), "\0"):
        o.write(path, text)
        o.start()
        state = o.daemon.ask("/v1/moves")[1]
        assert state["moves"] == "off" and "can't be read" in state["moves_text"], (text, state)
        o.stop()
    o.start()
    assert o.done("/v1/on")["changed"]
    o.stop()
    o.start()
    assert o.daemon.ask("/v1/moves")[1]["moves"] == "on"
    o.stop()


def test_memory_is_reserved_on_an_empty_host(o):
    """1 GiB less 128 MiB of reserve, and nobody who could give anything."""
    o.start()
    o.ready()
    for body, says, status in (({}, "needs a size", 400), ({"size_bytes": 1}, "can't be reserved", 400), ({"size_bytes": -1}, "'size_bytes'", 400),
                               ({"size_bytes": 1 << 60}, "can't be reserved", 400), ({"size_bytes": "1 GiB"}, "'size_bytes'", 400),
                               ({"size_bytes": 1 << 20, "guest": "a/b"}, "can't be the name", 400),
                               ({"size_bytes": 1 << 20, "expires_ms": 86400001}, "a day at most", 400),
                               ({"size_bytes": 1 << 20, "expires_ms": 5}, "a reservation lasts", 400),
                               ({"size_bytes": 1 << 20, "gather_ms": 0}, "waited for", 400),
                               ({"size_bytes": 1 << 30}, "guests can give", 409)):
        o.refused("/v1/reservations", body, says, status=status)
    first = o.reserve(size_bytes=512 << 20, guest="new", expires_ms=3600000)
    assert first["id"] == 1 and first["size_bytes"] == 512 << 20 and first["guest"] == "new", first
    held = o.eventually("/v1/reservations/1", lambda r: r["state"] == "held")
    assert held["missing_bytes"] == 0 and 0 < held["left_ms"] <= 3600000 and "held for new" in held["text"], held
    o.eventually("/v1/status", lambda s: s["host"]["reservations_bytes"] == 512 << 20)
    o.refused("/v1/reservations", {"size_bytes": 512 << 20}, "guests can give", status=409)
    rest = o.reserve(max=True)
    assert 0 < rest["size_bytes"] < 512 << 20 and rest["asked_bytes"] is None, rest
    assert [r["id"] for r in o.daemon.ask("/v1/reservations")[1]["reservations"]] == [1, 2]
    for name in ("0", "3", "x", "1x", "99999999999999999999", "-1"):
        assert o.daemon.ask("/v1/reservations/" + name)[0] == 404, name
        o.refused(f"/v1/reservations/{name}/cancel", {}, "there is no reservation", status=404)
    assert o.done("/v1/reservations/1/cancel")["changed"]
    again = o.done("/v1/reservations/1/cancel")
    assert not again["changed"] and "cancelled already" in again["text"], again
    short = o.reserve(size_bytes=64 << 20, expires_ms=1000)
    o.eventually(f"/v1/reservations/{short['id']}", lambda r: r["state"] == "expired")
    assert [l["what"] for l in o.audit(4)] == ["reserve", "reserve", "reserve-cancel", "reserve"]
    o.stop()


def test_released_is_off(o):
    o.start()
    assert o.done("/v1/release")["moves"] == "release" and not o.done("/v1/release")["changed"]
    o.stop(signal.SIGKILL)
    o.start()
    left = o.daemon.ask("/v1/release")[1]
    assert left == {"moves": "release", "guest_count": 0, "done": 0, "left": []}, left
    assert "ballast on" in o.daemon.ask("/v1/status")[1]["host"]["moves_text"]
    assert o.done("/v1/off")["moves"] == "off" and o.done("/v1/on")["moves"] == "on"
    o.stop()


def test_a_dry_run_moves_nothing(o):
    o.options = ("--dry-run",)
    o.start()
    o.ready()
    o.refused("/v1/release", {}, "dry run", status=409)
    o.refused("/v1/reservations", {"size_bytes": 1 << 20}, "dry run", status=409)
    o.stop()


def test_groups_decide_who_may(o):
    """As root only: somebody else must ask."""
    if os.geteuid() != 0:
        return
    def nobody(path):
        """The answer's HTTP status and error that uid 65534 gets, who is in nogroup; 0: he can't open the socket."""
        source, sink = os.pipe()
        if os.fork() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            try:
                code, answer = o.post(path)
            except PermissionError:
                code, answer = 0, {}
            os.write(sink, json.dumps([code, answer.get("hint", "")]).encode())
            os._exit(0)
        os.close(sink)
        with os.fdopen(source) as f:
            got = json.load(f)
        os.wait()
        return got
    os.chmod(o.directory, 0o755)
    o.start()
    assert nobody("/v1/off")[0] == 0
    for groups, code, says in (("{view-group: nogroup}", 403, "ballast-operate"),
                               ("{view-group: nogroup, operate-group: nogroup}", 200, ""), ("{view-group: no-such-group}", 403, "")):
        o.write(o.path, CONFIG + f"api: {groups}\n")
        o.reload()
        if "no-such" in groups:
            assert "the host has no group 'no-such-group'" in o.daemon.text()
        got = nobody("/v1/off")
        assert got[0] == code and says in got[1], (groups, got)
    o.stop()


def test_nowhere_to_write_is_said(o):
    state = os.path.join(o.directory, "state")
    o.write(state, "not a directory")
    o.start()
    answer = o.done("/v1/off")
    assert answer["changed"] and answer["save"] is None and "not kept over a restart" in answer["warning"], answer
    o.stop()
    os.unlink(state)
    o.start()
    o.write(os.path.join(o.directory, "guests.d"), "not a directory")
    answer = o.post("/v1/guests/web1/set", {"values": {"mode": "watch"}, "save": True})[1]
    end = time.monotonic() + LONG_SEC
    while not o.daemon.ask("/v1/moves")[1]["save_trouble"]:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert "guests.d" in o.daemon.ask("/v1/moves")[1]["save_trouble"]
    assert not o.set(mode="watch")["changed"], "it holds all the same"
    o.stop()


def main():
    failed = 0
    for name, function in list(globals().items()):
        if not name.startswith("test_"):
            continue
        with tempfile.TemporaryDirectory() as directory:
            o = Operator(os.path.abspath(sys.argv[1]), directory)
            try:
                function(o)
                print("ok", name, flush=True)
            except AssertionError as e:
                failed += 1
                print("FAILED", name, e, o.daemon.text() if o.daemon else "", flush=True)
            finally:
                if o.daemon and o.daemon.process.poll() is None:
                    o.daemon.stop(signal.SIGKILL)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
