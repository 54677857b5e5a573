#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_backup.py BALLAST REPO_FILL BALLAST_PREPARE: the commands of `ballast backup` on a repository that repo_fill fills."""
import glob
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import tempfile

ballast, fill, prepare = sys.argv[1:4]
top = tempfile.mkdtemp(prefix="ballast-backup-")
repository = os.path.join(top, "repo")
CHUNK = 65536
failures = []


def check(what, ok, *more):
    if not ok:
        failures.append(f"{what} {' '.join(str(m) for m in more)}")


def run(*words, code=0, where=None):
    """ballast backup WORDS: (stdout, stderr)."""
    done = subprocess.run([ballast, "backup", *words, "--repository", where or repository], capture_output=True, text=True,
                          check=False, env={"PATH": os.environ["PATH"], "TZ": "UTC", "HOME": top, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")})
    check(f"{' '.join(words)}: exit code {done.returncode} instead of {code}", done.returncode == code or code is None, done.stdout, done.stderr)
    return done.stdout, done.stderr


def run_json(*words, code=0):
    out, _ = run(*words, "--json", code=code)
    return json.loads(out)


def point(guest, time, *disks, parent="-", facts=None):
    env = dict(os.environ)
    if facts:
        env["REPO_FILL_FACTS"] = json.dumps(facts)
    done = subprocess.run([fill, repository, guest, time, parent, *disks], capture_output=True, text=True, check=False, env=env)
    check(f"point {guest} {time}", done.returncode == 0, done.stderr)
    return done.stdout.strip()


def image(name, chunks, seed, size=None):
    """An image whose chunk n holds noise of chunks[n]; None: zeroes."""
    path = os.path.join(top, name)
    with open(path, "wb") as f:
        for n in chunks:
            f.write(bytes(CHUNK) if n is None else random.Random(f"{seed}-{n}").randbytes(CHUNK // 2) + b"text " * (CHUNK // 10) + b"end"[:CHUNK - CHUNK // 2 - CHUNK // 10 * 5])
        if size is not None:
            f.truncate(size)
    return path


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError as e:
        failures.append(str(e))
        return None


def same(a, b):
    return read(a) == read(b)


def chunk_files():
    return sorted(p for p in glob.glob(os.path.join(repository, "chunks/??/*")) if len(os.path.basename(p)) == 62)


def test_init():
    out, _ = run("init", "--chunk-size", "64 KiB")
    check("init says what is next", "ballast backup run" in out)
    check("directories are ours alone", all(stat.S_IMODE(os.stat(d).st_mode) == 0o700 for d in glob.glob(repository + "/*/")))
    check("files are ours alone", all(stat.S_IMODE(os.stat(os.path.join(repository, f)).st_mode) == 0o600 for f in ("repository.json", "restore.sh")))
    _, err = run("init", code=1)
    check("init twice", "there is a repository already" in err)
    full = os.path.join(top, "full")
    os.makedirs(full)
    open(os.path.join(full, "letters.odt"), "w").close()
    _, err = run("init", code=1, where=full)
    check("init in a directory with files", "is not empty" in err and os.listdir(full) == ["letters.odt"])
    run("init", "--chunk-size", "100 KiB", code=1, where=os.path.join(top, "odd"))
    check("a refused init leaves nothing", not os.path.exists(os.path.join(top, "odd")))
    _, err = run("list", code=1, where=top)
    check("no repository", "is no repository" in err)
    run("check", code=1)


def test_points():
    """Two guests with a disk in common; the second point of web1 changes one chunk and zeroes another."""
    a = image("a", [1, 2, None, 3, 4], "a", size=4 * CHUNK + 512)
    b = image("b", [1, 2, None, 3, None, None], "a")
    c = image("c", [1, 9, None, None, 4], "a", size=4 * CHUNK + 512)
    facts = {"consistency": "fs", "command_line": ["qemu-system-x86_64", "-name", "guest=web1,debug-threads=on", "-uuid",
             "11111111-2222-3333-4444-555555555555", "-device", "virtio-net-pci,mac=52:54:00:aa:bb:cc", "it's", "-drive", "id=vda,if=none,file=/old/a.qcow2",
             "-drive", "id=vdb,if=none,file=/old/b"],
             "group": {"id": "00000000000000ab", "common": True, "guests": [
                 {"guest": n, "identity": n, "time": "20260101T000000Z"} for n in ("web1", "db", "gone")]}}
    check("its name", point("web1", "20260101T000000Z", "vda=" + a, "vdb=" + b, facts=facts) == "web1/20260101T000000Z")
    before = len(chunk_files())
    point("db", "20260101T000000Z", "vda=" + b)
    check("what is the same is stored once", len(chunk_files()) == before, before, len(chunk_files()))
    point("web1", "20260102T000000Z", "vda=" + c, parent="20260101T000000Z")
    check("one chunk and one index more", len(chunk_files()) == before + 2)
    points = run_json("list")["points"]
    check("list", [p["point"] for p in points] == ["db/20260101T000000Z", "web1/20260101T000000Z", "web1/20260102T000000Z"], points)
    check("list of one guest", len(run_json("list", "web1")["points"]) == 2)
    shown = run_json("show", "web1")
    check("show: the last one", shown["time"] == "2026-01-02T00:00:00Z" and shown["disks"][0]["kind"] == "incremental", shown)
    check("show: facts", run_json("show", "web1/2026-01-01T00:00:00Z")["facts"]["consistency"] == "fs")
    out, _ = run("show", "web1/20260101T000000Z")
    check("show: text", "consistency fs" in out and "disk vdb" in out)
    check("show: group", "group 00000000000000ab, at one instant with db/20260101T000000Z gone/20260101T000000Z (not there)" in out, out)
    check("list: group", [p["group"] for p in points] == [None, "00000000000000ab", None] and "group 00000000000000ab" in run("list")[0])
    _, err = run("show", "web1/20260103T000000Z", code=1)
    check("no such point", "ballast backup list" in err)
    return a, b, c


def test_restore(a, b, c):
    out = os.path.join(top, "out.raw")
    text, _ = run("restore", "web1/20260101T000000Z", "vda", out)
    check("restore: identical", same(out, a))
    check("restore: zeroes are holes", os.stat(out).st_blocks * 512 < os.stat(out).st_size)
    check("restore: the definition", "debug-threads=on" in text and "'it'\\''s'" in text, text)
    _, err = run("restore", "web1", "vda", out, code=1)
    check("restore: no overwriting", "--force" in err and same(out, a))
    run("restore", "web1", "vda", out, "--force")
    check("restore: overwritten", same(out, c))
    directory = os.path.join(top, "disks")
    done = run_json("restore", "web1/20260101T000000Z", directory, "--name", "copy")
    check("restore: all disks", same(directory + "/vda.raw", a) and same(directory + "/vdb.raw", b))
    with open(done["script"], encoding="utf-8") as f:
        script = f.read()
    check("restore: a script for the new guest", done["script"] == os.path.realpath(directory) + "/start.sh" and "/old/" not in script
          and f"file={os.path.realpath(directory)}/vdb.raw" in script and "aa:bb:cc" not in script and "guest=copy," in script
          and "11111111" not in script and "'it'\\''s'" in script and stat.S_IMODE(os.stat(done["script"]).st_mode) == 0o700, script)
    _, err = run("restore", "web1", "vda", os.path.join(top, "x"), "--name", "a,b", code=2)
    check("restore: a name that is none", "can't be the name" in err)
    line = run_json("restore", "web1/20260101T000000Z", "vda", os.path.join(top, "one"), "--name", "copy")["command_line"]
    check("restore: another name, UUID, MAC", line[2] == "guest=copy,debug-threads=on" and line[4] != "11111111-2222-3333-4444-555555555555"
          and len(line[4]) == 36 and "mac=52:54:00:" in line[6] and "aa:bb:cc" not in line[6], line)
    _, err = run("restore", "web1", "vdz", os.path.join(top, "x"), code=1)
    check("restore: no such disk", "no disk 'vdz'" in err)
    if shutil.which("qemu-img"):
        qcow2 = os.path.join(top, "out.qcow2")
        run("restore", "web1", "vda", qcow2, "--format", "qcow2")
        done = subprocess.run(["qemu-img", "compare", "-f", "qcow2", "-F", "raw", qcow2, c], capture_output=True, text=True, check=False)
        check("restore: qcow2", done.returncode == 0, done.stdout, done.stderr)
    check("restore: nothing left over", not glob.glob(top + "/*partial*") and not glob.glob(top + "/out.qcow2.*"))
    check("restore: no lock file left over", not glob.glob(repository + "/locks/*.reader"))


def shell_restore(name, disk, out):
    return subprocess.run(["sh", os.path.join(repository, "restore.sh"), name, disk, out], capture_output=True, text=True, check=False)


def test_restore_sh(a, b, c):
    if not shutil.which("zstd"):
        return
    listed = subprocess.run(["sh", os.path.join(repository, "restore.sh")], capture_output=True, text=True, check=False)
    check("restore.sh lists", "web1/20260102T000000Z" in listed.stdout and "disk vdb" in listed.stdout, listed)
    for name, disk, wanted in (("web1/20260101T000000Z", "vda", a), ("web1/20260101T000000Z", "vdb", b), ("web1/20260102T000000Z", "vda", c)):
        out = os.path.join(top, "sh-" + os.path.basename(wanted))
        done = shell_restore(name, disk, out)
        check(f"restore.sh {name} {disk}", done.returncode == 0 and same(out, wanted), done.stderr)
    check("restore.sh overwrites nothing", shell_restore("web1/20260101T000000Z", "vda", os.path.join(top, "sh-a")).returncode == 1)
    check("restore.sh: no such disk", shell_restore("web1/20260101T000000Z", "vdz", os.path.join(top, "sh-z")).returncode == 1)


def test_prune():
    for day in range(3, 13):
        point("web1", f"202601{day:02}T000000Z", "vda=" + image("d", [1, 100 + day, None], "a"))
    run("protect", "web1/20260101T000000Z")
    dry = run_json("prune", "web1", "--keep", "last=2,daily=3", "--dry-run")
    fate = {p["point"][5:13]: (p["kept"], p["reason"]) for p in dry["points"]}
    check("dry run", dry["dry_run"] and dry["removed"] == 6 and len(run_json("list", "web1")["points"]) == 12, dry)
    check("dry run: reasons", fate["20260112"] == (True, "last, 1 of 2") and fate["20260110"] == (True, "daily, 1 of 3")
          and fate["20260107"] == (False, "no rule keeps it") and fate["20260101"] == (True, "protected"), fate)
    run("prune", "web1", "--keep", "last=2,daily=3")
    left = [p["time"][:10] for p in run_json("list", "web1")["points"]]
    check("prune", left == ["2026-01-01", "2026-01-08", "2026-01-09", "2026-01-10", "2026-01-11", "2026-01-12"], left)
    _, err = run("prune", "--keep", "dayly=3", code=2)
    check("prune: a mistyped rule", "dayly=3" in err)
    run("prune", code=2)
    run("prune", "--keep", "last=0", code=2)
    before = chunk_files()
    for path in before:
        os.utime(path, (1, 1))
    dry = run_json("sweep", "--dry-run")
    check("sweep: dry", dry["removed"] > 0 and chunk_files() == before, dry)
    contents = {p: (os.stat(p).st_ino, read(p)) for p in before}
    swept = run_json("sweep")
    check("sweep", swept["removed"] == dry["removed"] == len(before) - len(chunk_files()), swept)
    check("sweep rewrites nothing", all(contents[p] == (os.stat(p).st_ino, read(p)) for p in chunk_files()))
    check("all is whole after it", run_json("verify")["ok"])
    run("unprotect", "web1/20260101T000000Z")
    check("unprotected", run_json("prune", "web1", "--keep", "last=1", "--dry-run")["removed"] == 5)


def known_disk(guest):
    """What the next backup of the guest is told of its disk vda in the newest point."""
    order = {"repository": repository, "identity": guest, "note": os.path.join(top, "note/v.job"), "fleece": []}
    done = subprocess.run([prepare], input=json.dumps(order) + "\n", capture_output=True, text=True, check=False)
    return json.loads(done.stdout)["disks"]["vda"]


def test_verify():
    """Every kind of damage is found, named with its points, kept from being built upon, and healed by the next full."""
    a = image("v", [201, 202, 203, 204, 205, None], "v")
    before = set(chunk_files())
    facts = {"disks": {"vda": {"bitmap": 5}}}
    point("v", "20260201T000000Z", "vda=" + a, facts=facts)
    check("a whole disk can be built upon", known_disk("v") == {"bitmap": 5, "size_bytes": 6 * CHUNK}, known_disk("v"))
    mine = sorted(set(chunk_files()) - before, key=lambda p: os.stat(p).st_size)[1:]  # but for the index: the smallest
    check("five chunks", len(mine) == 5, mine)
    data = bytearray(read(mine[0]))
    data[len(data) // 2] ^= 1
    with open(mine[0], "wb") as f:
        f.write(data)
    os.truncate(mine[1], 100)
    os.remove(mine[2])
    shutil.copy(mine[3], mine[4])  # another's content
    found = run_json("verify", code=1)
    what = {os.path.basename(os.path.dirname(p)) + os.path.basename(p): p for p in mine}
    damaged = {d["chunk"]: d["what"] for d in found["damaged"]}
    check("verify: what", {what.get(k): v for k, v in damaged.items()} == {mine[0]: "changed", mine[1]: "changed", mine[2]: "missing", mine[4]: "changed"}, damaged)
    check("verify: who", [(p["point"], p["disk"], p["chunks"]) for p in found["points_damaged"]] == [("v/20260201T000000Z", "vda", 4)], found)
    _, err = run("restore", "v", "vda", os.path.join(top, "no"), code=1)
    check("restore refuses damage", "missing" in err and not os.path.exists(os.path.join(top, "no")), err)
    run("check", "v", code=1)
    out, _ = run("verify", code=1)
    check("verify: text", "v/20260201T000000Z vda" in out and "stores them again" in out, out)
    run("verify", "--sample", "0.01 %", code=None)  # it may be the chunk that it looks at
    check("a damaged disk is not built upon, also after a verify that did not look there",
          "is damaged" in known_disk("v").get("damaged", ""), known_disk("v"))
    point("v", "20260202T000000Z", "vda=" + a, facts=facts)
    check("the new point of it can be", "damaged" not in known_disk("v"), known_disk("v"))
    check("the next full heals", run_json("verify")["ok"])
    check("nothing is remembered of it", read(os.path.join(repository, "state/damaged")) == b"")
    run("restore", "v/20260201T000000Z", "vda", os.path.join(top, "healed"))
    check("and the old point is whole again", same(os.path.join(top, "healed"), a))
    run_json("sweep")
    check("sweep removes what was put aside", not glob.glob(repository + "/chunks/??/*.bad"))
    check("sampled", 0 < run_json("verify", "--sample", "50 %")["checked"] < found["chunks"])
    run("verify", "--sample", "101 %", code=2)


def test_manifest():
    """A changed manifest is refused, listed as such, and stops sweep; a newer format is refused."""
    path = os.path.join(repository, "vm/v/20260202T000000Z/manifest.json")
    text = read(path)
    with open(path, "wb") as f:
        f.write(text.replace(b'"size_bytes":', b'"size_bytes":1', 1))
    listed = run_json("list", "v", code=4)["points"]
    check("a changed manifest", "SHA-256" in listed[-1]["error"], listed)
    _, err = run("sweep", code=1)
    check("sweep stops at it", "nobody knows what it needs" in err, err)
    check("restore.sh refuses it", shell_restore("v/20260202T000000Z", "vda", os.path.join(top, "m")).returncode == 1)
    os.remove(path)
    os.symlink("/etc/passwd", path)
    _, err = run("show", "v/20260202T000000Z", code=1)
    check("a link is not followed", "cannot be read" in err or "cannot open" in err, err)
    shutil.rmtree(os.path.dirname(path))
    version = os.path.join(repository, "repository.json")
    old = read(version)
    with open(version, "wb") as f:
        f.write(old.replace(b'"version":1', b'"version":2'))
    _, err = run("list", code=1)
    check("a newer version", "version 2" in err and "use a newer one" in err, err)
    with open(version, "wb") as f:
        f.write(old)


def test_check():
    _, err = run("check", "--max-age", "1 h", code=1)
    run("check", "--max-age", "x", code=2)
    shutil.rmtree(os.path.join(repository, "vm"))
    os.mkdir(os.path.join(repository, "vm"))
    done = subprocess.run([fill, repository, "now", "", "-", "vda=" + image("n", [1], "n")], capture_output=True, text=True, check=False)
    check("a point of now", done.returncode == 0, done.stderr)
    state = run_json("check", "--max-age", "1 h")
    check("fine", state["state"] == "ok" and state["guests"][0]["points"] == 1, state)
    done = subprocess.run([fill, repository, "now", "20380101T000000Z", "-", "vda=/nowhere"], capture_output=True, text=True, check=False)
    check("a backup that fails", done.returncode == 1)
    check("failed", run_json("check", code=1)["state"] == "failed")
    state = run_json("check", "--max-age", "1 h", code=4)
    check("failed, but young enough", state["state"] == "warning" and "/nowhere" in state["guests"][0]["reason"], state)
    check("a failed one leaves no directory", os.listdir(os.path.join(repository, "vm/now")).count("20380101T000000Z") == 0)


try:
    test_init()
    images = test_points()
    test_restore(*images)
    test_restore_sh(*images)
    test_prune()
    test_verify()
    test_manifest()
    test_check()
finally:
    shutil.rmtree(top)
    for failure in failures:
        print(failure)
sys.exit(bool(failures))
