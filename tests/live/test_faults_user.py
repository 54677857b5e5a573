#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""QEMU runs as a user of its own, ballastd as root with no more capabilities, and a state directory of the mode, that its systemd
unit gives it: full and incremental backups are right, what QEMU must open is its user's and nobody else's, and all of it is
gone afterwards."""
import os
import re
import shutil
import stat

from bench import ROOT, check, main, skip
from faults import Lab

NOBODY = 65534


def mine(path, kind):
    seen = os.lstat(path)
    check(seen.st_uid == NOBODY and not seen.st_mode & 0o077 and kind(seen.st_mode),
          f"{os.path.basename(path)} is QEMU's user's, and nobody else's ({stat.filemode(seen.st_mode)})")


def unit(key):
    with open(f"{ROOT}/packaging/ballastd.service") as f:
        return re.search(rf"^{key}=(.*)$", f.read(), re.M).group(1)


def test(b):
    if os.geteuid() != 0:
        skip("only root can run a QEMU of another user")
    os.chmod(b.directory, 0o711)
    os.chown(b.guests_dir, NOBODY, NOBODY)
    lab = Lab(b, user=NOBODY)
    lab.boot()
    if shutil.which("setpriv"):
        names = [name.removeprefix("CAP_").lower() for name in unit("CapabilityBoundingSet").split()]
        lab.wrap = ["setpriv", "--no-new-privs", f"--bounding-set=-all,+{',+'.join(names)}"]
    lab.daemon(hold="push")
    os.chmod(lab.d.state_dir, 0o700)
    lab.failed(lab.begin(), "ermission denied")
    check("chmod o+x" in lab.job()["hint"], "a state directory that QEMU may not pass is named")
    lab.check_clean("a state directory that QEMU may not pass")
    os.chmod(lab.d.state_dir, int(unit("StateDirectoryMode"), 8))
    lab.good("a QEMU of another user", "full")
    run = lab.begin(at="push")
    for path in os.listdir(f"{lab.d.state_dir}/fleece"):
        mine(f"{lab.d.state_dir}/fleece/{path}", stat.S_ISREG)
    for path in os.listdir(f"{lab.d.runtime_dir}/backup"):
        if path.endswith(".nbd"):
            mine(f"{lab.d.runtime_dir}/backup/{path}", stat.S_ISSOCK)
    lab.go_on()
    check(run.end()["state"] == "done", "the second backup is done")
    lab.daemon(hold="cont")
    lab.exact("exactly", {"vda": "incremental", "vdb": "incremental"})


main(test)
