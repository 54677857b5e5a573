#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_docs.py SOURCE_ROOT: what the documents name is there: functions, files, constants, targets of make, other documents."""
import os
import re
import sys

root = sys.argv[1]
failures = []
DOCUMENTS = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "docs/design.md", "docs/drivers.md", "docs/api.md", "docs/agent-protocol.md", "docs/record-format.md", "docs/backup-protocol.md",
             "docs/repository-format.md"]
# rooms laid out for features to come; the documents say so where they name them
TO_COME = {"src/store", "src/backup", "src/copy", "src/core/ladder", "web", "hv_libvirt", "hv_xen"}


def read(path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


sources, names = {}, set()
for top in ("src", "tests", "tools", "fuzz", "packaging", "docs", ".ci"):
    for directory, _, files in os.walk(os.path.join(root, top)):
        for name in files:
            names.add(name)
            if name.endswith((".c", ".h")):
                sources[os.path.join(directory, name)] = read(os.path.relpath(os.path.join(directory, name), root))
code = "\n".join(sources.values())
targets = set(re.findall(r"(?m)^([a-z-]+):", read("Makefile")))


def exists(word):
    """True, False, or None for a word that is no name of ours."""
    if re.fullmatch(r"[a-z_0-9]+\(\)", word):
        return re.search(rf"\b{word[:-2]}\(", code) is not None or f"*{word[:-2]})(" in code
    if re.fullmatch(r"[a-z_]+_\*\(\)|[A-Z][A-Z_0-9]+_\*", word):
        return word.split("*")[0] in code
    if re.fullmatch(r"(POLICY|ENGINE|CONFIG|HV|QMP|API|WIRE|AGENT|GUEST|SHARE|HOST)_[A-Z_0-9]+", word):
        return re.search(rf"\b{word}\b", code) is not None
    if re.fullmatch(r"struct [a-z_]+", word):
        return f"{word} {{" in code
    if re.fullmatch(r"[a-z_0-9]+\.(c|h|py|sh|service|yaml)", word):
        return word in names or word in ("ballast.yaml",)
    if re.fullmatch(r"(src|tests|tools|docs|fuzz|packaging|web)/[\w./*-]*", word):
        path = word.rstrip("/")
        if "*" in path:
            return any(name.startswith(os.path.basename(path).split("*")[0]) for name in os.listdir(os.path.join(root, os.path.dirname(path))))
        return path in TO_COME or os.path.exists(os.path.join(root, path))
    if re.fullmatch(r"make [a-z-]+.*", word):
        return word.split()[1] in targets
    return None


checked = 0
for document in DOCUMENTS:
    text = read(document)
    for word in re.findall(r"`([^`\n]+)`", text):
        found = exists(word)
        checked += found is not None
        if found is False:
            failures.append(f"{document} names `{word}`, which is not there")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        checked += 1
        if not os.path.exists(os.path.join(root, os.path.dirname(document), link)):
            failures.append(f"{document} links to {link}, which is not there")
for path in re.findall(r"docs/([a-z-]+\.md)", code):
    if not os.path.exists(os.path.join(root, "docs", path)):
        failures.append(f"a comment refers to docs/{path}, which is not there")
if checked < 100:
    failures.append(f"only {checked} names were found to check")

for failure in failures:
    print(failure)
sys.exit(bool(failures))
