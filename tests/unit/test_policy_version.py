#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_policy_version.py SOURCE_ROOT

The constants of the policy are those of POLICY_VERSION: a record tells under which version it was made (S6), so another value
of a constant needs another version. (That changed rules need one, too, is seen by test_record.) Comments and blanks don't
count."""
import hashlib
import os
import re
import sys

# version -> SHA-256 of the constants' lines, sorted
KNOWN = {
    1: "fa729fd2341907726df0fb01e9872a1a6a19dc894b353c0f14104d029f616837",
    2: "5ed0f6d7ca5e20a4d734fc53b2385d73ccf0a357d02474e9f824484edac8c901",
}

with open(os.path.join(sys.argv[1], "src/core/policy_defaults.h"), encoding="utf-8") as f:
    text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
constants = dict(re.findall(r"(?m)^#define (\w+) (.+?)\s*$", text))
version = int(constants.pop("POLICY_VERSION"))
lines = "".join(f"{name} {' '.join(value.split())}\n" for name, value in sorted(constants.items()))
digest = hashlib.sha256(lines.encode()).hexdigest()
if len(constants) < 40:
    print(f"only {len(constants)} constants were found: the pattern above is out of date")
    sys.exit(1)
if KNOWN.get(version) != digest:
    print(f"the constants of policy_defaults.h are not those of version {version}: raise POLICY_VERSION, and note\n"
          f"    {version + 1}: \"{digest}\",\nin {os.path.basename(__file__)}; test_record wants a line, too")
    sys.exit(1)
