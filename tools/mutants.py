#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tools/mutants.py [--list] [--backup] [NAME-PART ...]: are the tests of the core, and of backups, worth something?

Copies the tree, builds it, then puts in the faults of tests/mutants one after the other and runs unit tests and scenarios
until one fails. A fault that no test notices is a hole in the tests: exit code 1. --backup: only those of backups. All of
them take half an hour.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "mutants"))
sys.dont_write_bytecode = True
from mutants import MUTANTS  # noqa: E402
from mutants_backup import MUTANTS_BACKUP  # noqa: E402

# Tests of programs, sockets and documents look at no rule of the core; those that do run first.
NAMES_UNIT = ("vectors", "decide", "needs", "learn", "demand", "weight", "levels", "share", "properties",
              "properties_decide", "model")
NAMES_BACKUP = ("bitmap_plan", "assembly", "window", "repo", "repository crashes", "copy", "qga", "copy_job", "backup")
NAMES_LIVE = ("copy_faults",)  # boots no guest
NOT_ASKED = "the mutants fit the source"  # it compares the lists with the source and would notice any change


def run(command, cwd):
    return subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def first_failure(build, suite, names):
    log = build / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    command = ["meson", "test", "-C", str(build), "--no-rebuild", "--suite", suite, "--maxfail", "1", *names]
    run(command, build)
    for line in log.read_text().splitlines() if log.exists() else []:
        test = json.loads(line)
        if test["result"] in ("FAIL", "TIMEOUT", "ERROR"):
            return test["name"].split(" / ")[-1]
    return None


def source_of(file):
    """Those of the core go by their bare name."""
    return pathlib.Path("src") / (file if "/" in file else f"core/{file}")


def killer(build, is_backup=False):
    done = run(["ninja", "-C", str(build)], build)
    if done.returncode != 0:
        return "the compiler:" + done.stdout[-400:]
    known = json.loads(run(["meson", "introspect", str(build), "--tests"], build).stdout)
    units = [t["name"] for t in known if "ballast:unit" in t["suite"] and t["name"] != NOT_ASKED]
    if is_backup:
        live = [t["name"] for t in known if "ballast:live" in t["suite"] and t["name"] in NAMES_LIVE]
        return (first_failure(build, "unit", [n for n in NAMES_BACKUP if n in units]) or
                (first_failure(build, "live", live) if live else None))
    return (first_failure(build, "unit", [n for n in NAMES_UNIT if n in units]) or first_failure(build, "scenario", []) or
            first_failure(build, "unit", [n for n in units if n not in NAMES_UNIT]))


def main():
    wanted = [a for a in sys.argv[1:] if not a.startswith("--")]
    known = MUTANTS_BACKUP if "--backup" in sys.argv else MUTANTS + MUTANTS_BACKUP
    mutants = [m for m in known if not wanted or any(w in m[0] for w in wanted)]
    if "--list" in sys.argv or not mutants:
        for name, file, *_ in known:
            print(f"{file:22} {name}")
        return 0 if mutants else 2
    with tempfile.TemporaryDirectory(prefix="ballast-mutants-") as room:
        tree, build = pathlib.Path(room) / "tree", pathlib.Path(room) / "build"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("build*", ".git"), symlinks=True)
        made = run(["meson", "setup", "-Dlive=true", str(build), str(tree)], tree)
        if made.returncode != 0:
            print(made.stdout[-2000:], "meson setup failed", sep="\n", file=sys.stderr)
            return 1
        found = killer(build) or killer(build, is_backup=True)
        if found:
            print(f"'{found}' fails without any fault: mend that first", file=sys.stderr)
            return 1
        alive = []
        for i, (name, file, old, new) in enumerate(mutants, 1):
            path = tree / source_of(file)
            text = path.read_text()
            path.write_text(text.replace(old, new, 1))
            found = killer(build, is_backup="/" in file)
            path.write_text(text)
            os.utime(path)
            print(f"{i:3}/{len(mutants)}  {file:22} {name}: {'noticed by ' + found if found else 'NOT NOTICED'}", flush=True)
            if not found:
                alive.append(name)
    print(f"{len(mutants) - len(alive)} of {len(mutants)} faults noticed")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
