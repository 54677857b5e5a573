#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Starts the real ballastd without any guest, as whoever runs this: how it starts, what it refuses, how it stops.

test_ballastd.py BALLASTD BALLAST
"""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

LONG_SEC = 60  # ends what hangs; nothing here is timed


class Http(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=LONG_SEC)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LONG_SEC)
        self.sock.connect(self.path)


class Daemon:
    def __init__(self, program, directory, *options, env=None):
        self.runtime = os.path.join(directory, "run")
        self.socket = os.path.join(self.runtime, "api.sock")
        self.log = open(os.path.join(directory, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [program, "--runtime-dir", self.runtime, "--state-dir", os.path.join(directory, "state"), *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log, env=env)

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def ask(self, path):
        end = time.monotonic() + LONG_SEC
        while True:
            try:
                http_ = Http(self.socket)
                http_.request("GET", path)
                answer = http_.getresponse()
                return answer.status, json.loads(answer.read())
            except (FileNotFoundError, ConnectionRefusedError):
                if self.process.poll() is not None or time.monotonic() > end:
                    raise AssertionError("no answer from the API:\n" + self.text()) from None
                time.sleep(0.02)

    def wait_for(self, words):
        end = time.monotonic() + LONG_SEC
        while words not in self.text():
            assert self.process.poll() is None and time.monotonic() < end, f"never said '{words}':\n{self.text()}"
            time.sleep(0.02)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(LONG_SEC)
        self.log.flush()
        return code


def environment(directory):
    """Nothing of ours: no real configuration of whoever runs this."""
    env = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS") or k == "PATH"}
    env.update(HOME=directory, XDG_RUNTIME_DIR=directory, XDG_CONFIG_HOME=directory, XDG_STATE_HOME=directory)
    return env


def refused(program, env, *options):
    done = subprocess.run([program, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, timeout=LONG_SEC)
    lines = [l for l in done.stderr.splitlines() if l.startswith("error: ")]
    assert len(lines) == 1, f"one sentence, not {done.stderr!r}"
    return done.returncode, lines[0]


def test_help_and_version(program, env, _):
    for option, words in (("--help", "Usage: ballastd"), ("--version", "ballastd 0.")):
        done = subprocess.run([program, option], capture_output=True, text=True, env=env, timeout=LONG_SEC)
        assert done.returncode == 0 and words in done.stdout and not done.stderr, done


def test_wrong_usage(program, env, directory):
    assert refused(program, env, "--frob")[0] == 2
    code, line = refused(program, env, "--config", os.path.join(directory, "none.yaml"), "--runtime-dir", directory)
    assert code == 2 and "none.yaml" in line, line
    path = os.path.join(directory, "bad.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("host:\n  reserve: 5 parsecs\n")
    code, line = refused(program, env, "--config", path, "--runtime-dir", directory)
    assert code == 2 and "bad.yaml:2" in line and "reserve" in line, line
    assert not os.path.exists(os.path.join(directory, "api.sock"))


def test_runtime_dir_that_is_none(program, env, directory):
    path = os.path.join(directory, "file")
    with open(path, "w", encoding="utf-8"):
        pass
    code, line = refused(program, env, "--config", CONFIG, "--runtime-dir", path)
    assert code == 1 and path in line, line
    code, line = refused(program, env, "--config", CONFIG, "--runtime-dir", "/proc/ballast")
    assert code == 1 and "/proc/ballast" in line, line


def test_runs_and_stops(program, env, directory):
    d = Daemon(program, directory, "--config", CONFIG, env=env)
    status, answer = d.ask("/v1/status")
    assert status == 200 and answer["guests"] == [] and answer["host"]["state"] in ("high", "soft", "hard", "low"), answer
    d.wait_for(" runs")
    code, line = refused(program, env, "--config", CONFIG, "--runtime-dir", d.runtime)
    assert code == 1 and str(d.process.pid) in line, line
    assert d.ask("/v1/status")[0] == 200  # the first one does not mind
    d.process.send_signal(signal.SIGHUP)
    d.wait_for("was read again")
    assert d.stop() == 0, d.text()
    assert not os.path.exists(d.socket), "the socket is left behind"
    again = Daemon(program, directory, "--config", CONFIG, env=env)
    assert again.ask("/v1/status")[0] == 200
    assert again.stop(signal.SIGINT) == 0


def test_killed_one_is_replaced(program, env, directory):
    d = Daemon(program, directory, "--config", CONFIG, env=env)
    d.ask("/v1/status")
    d.stop(signal.SIGKILL)
    again = Daemon(program, directory, "--config", CONFIG, env=env)
    assert again.ask("/v1/status")[0] == 200
    assert again.stop() == 0


def test_without_configuration(program, env, directory):
    if os.geteuid() == 0 and os.path.exists("/etc/ballast/ballast.yaml"):
        return
    d = Daemon(program, directory, env=env)
    assert d.ask("/v1/status")[0] == 200
    d.wait_for("only watched")
    d.wait_for(os.path.join(d.runtime, "guests"))
    assert d.stop() == 0


def test_bad_reload_changes_nothing(program, env, directory):
    path = os.path.join(directory, "own.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("host: {memory: 512 MiB, reserve: 64 MiB}\n")
    d = Daemon(program, directory, "--config", path, env=env)
    first = d.ask("/v1/status")[1]
    assert first["host"]["reserve_bytes"] == 64 << 20 and len(first["daemon"]["config_hash"]) == 16, first
    with open(path, "w", encoding="utf-8") as f:
        f.write("host: {memory: 512 MiB, reserve: 96 MiB, frob: 1}\n")
    d.process.send_signal(signal.SIGHUP)
    d.wait_for("the one before still holds")
    kept = d.ask("/v1/status")[1]
    assert kept["host"]["reserve_bytes"] == 64 << 20
    assert kept["daemon"]["config_hash"] == first["daemon"]["config_hash"]
    with open(path, "w", encoding="utf-8") as f:
        f.write("host: {memory: 512 MiB, reserve: 96 MiB}\n")
    d.process.send_signal(signal.SIGHUP)
    d.wait_for("was read again")
    time.sleep(0.2)  # the API's answers are cached for a tenth of that
    taken = d.ask("/v1/status")[1]
    assert taken["host"]["reserve_bytes"] == 96 << 20
    assert taken["daemon"]["config_hash"] != first["daemon"]["config_hash"]
    assert d.stop() == 0


def test_messages(program, env, directory):
    """The notify command: none, one that works, one that hangs, by `ballast notify-test` and a reload."""
    path, command = os.path.join(directory, "own.yaml"), os.path.join(directory, "notify")
    host = "host: {memory: 512 MiB, reserve: 64 MiB}\n"

    def notify_test(*options):
        done = subprocess.run([CLI, "--socket", d.socket, "notify-test", *options], capture_output=True, text=True, env=env,
                              timeout=LONG_SEC)
        return done.returncode, done.stdout, done.stderr

    def configure(script, timeout):
        with open(command, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\n" + script)
        os.chmod(command, 0o700)
        with open(path, "w", encoding="utf-8") as f:
            f.write(host + f"notify: {{command: {command}, timeout: {timeout}}}\n")
        read = d.text().count("was read again")
        d.process.send_signal(signal.SIGHUP)
        while d.text().count("was read again") == read:
            time.sleep(0.02)

    with open(path, "w", encoding="utf-8") as f:
        f.write(host)
    d = Daemon(program, directory, "--config", path, env=env)
    d.ask("/v1/status")
    code, _, said = notify_test()
    assert code == 1 and "no notify command is configured" in said and "reload" in said, said
    configure("echo paged about $BALLAST_EVENT\n", "30 s")
    code, said, _ = notify_test()
    assert code == 0 and "ended well; it printed: paged about test" in said, said
    d.wait_for("notify command (test): paged about test")
    code, said, _ = notify_test("--json")
    assert code == 0 and json.loads(said)["last_test"]["result"] is None and json.loads(said)["sent"] == 2, said
    configure("sleep 1000\n", "1 s")
    code, _, said = notify_test()
    assert code == 1 and f"'{command}' did not end within 1 s and was stopped" in said, said
    warnings = [w["text"] for w in d.ask("/v1/status")[1]["warnings"]]
    assert any("did not end within 1 s" in w and "1 of 3" in w for w in warnings), warnings
    assert d.ask("/v1/dump")[1]["notify"]["failed"] == 1
    assert d.stop() == 0, d.text()


def test_a_log_that_hangs(program, env, directory):
    """S12: nobody reads its stderr, the pipe is full; it decides, answers and stops all the same."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    try:
        while True:
            os.write(theirs, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(theirs, True)
    runtime = os.path.join(directory, "run")
    d = Daemon.__new__(Daemon)
    d.runtime, d.socket, d.text = runtime, os.path.join(runtime, "api.sock"), lambda: ""
    d.process = subprocess.Popen([program, "--config", CONFIG, "--runtime-dir", runtime, "--state-dir", directory,
                                  "--log-level", "debug"], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    end = time.monotonic() + LONG_SEC
    while d.ask("/v1/status")[1]["host"]["decisions"] < 3:
        assert time.monotonic() < end, "it does not decide while its log hangs"
        time.sleep(0.1)
    d.process.send_signal(signal.SIGTERM)
    assert d.process.wait(LONG_SEC) == 0
    os.close(ours)


CONFIG = ""
CLI = ""


def main():
    global CONFIG, CLI
    program, CLI = (os.path.abspath(path) for path in sys.argv[1:3])
    failed = 0
    for name, function in list(globals().items()):
        if not name.startswith("test_"):
            continue
        with tempfile.TemporaryDirectory() as directory:
            CONFIG = os.path.join(directory, "ballast.yaml.test")
            with open(CONFIG, "w", encoding="utf-8") as f:
                f.write("host: {memory: 1 GiB, reserve: 128 MiB}\n")
            try:
                function(program, environment(directory), directory)
                print("ok", name, flush=True)
            except AssertionError as e:
                failed += 1
                print("FAILED", name, e, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
