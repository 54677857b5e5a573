#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_tree.py ROOT | --self-test

Checks what the compiler can't: that dependencies between layers point down only, that headers are included bare and have
unique names, that each source file begins with its license, that no file names a path of somebody's machine, and that
files stay small enough to read. Prints each violation as "file:line: what; what to do"; exits with 1 if there is any.
--self-test breaks each rule once in a tree of its own and sees that it is found."""

import os
import re
import sys
import tempfile

# docs/design.md, "Layers": what the files of a layer may include, besides their own layer. As in src/meson.build.
LAYERS = {
    "base": "",
    "core": "base",
    "host": "base core",
    "hv": "base core host wire",
    "wire": "base core",
    "store": "base core",
    "config": "base core",
    "engine": "base core host hv",
    "backup": "base core host hv wire store",
    "daemon": "base core host hv wire store config engine backup",
    "replay": "base core wire",
    "cli": "base core host wire config backup replay",
    "agent": "base core wire",
    "copy": "base core host hv wire store backup",
    "sim": "base core host hv engine",
}
LINES_MAX = 600  # more can't be held in mind at once
LINES_MAX_TESTS = 700  # lists of cases: read one by one
GENERATED = ()  # files that a program writes; may be longer
SPDX = "SPDX-License-Identifier: Apache-2.0"
SKIPPED_DIRECTORIES = re.compile(r"^(\.git|build.*|\.venv|__pycache__|\..*cache)$")
C_FILE = re.compile(r"\.[ch]$")
SOURCE_FILE = re.compile(r"\.(c|h|py|sh|build)$|(^|/)(Makefile|meson_options\.txt)$")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]*)"')
# Written so that this file does not find itself. Homes of users are not among them: tests name such paths.
MACHINE_PATH = re.compile(r"(?<![\w.~$})-])/(work|root)/[A-Za-z0-9._-]")


def tree_files(root):
    for directory, subdirectories, names in os.walk(root):
        subdirectories[:] = sorted(d for d in subdirectories if not SKIPPED_DIRECTORIES.match(d))
        for name in sorted(set(names) - {".git"}):
            path = os.path.join(directory, name)
            if not os.path.islink(path) and os.path.isfile(path):
                yield os.path.relpath(path, root), path


def read_lines(path):
    """None for a file that is no text."""
    with open(path, "rb") as f:
        content = f.read()
    if b"\0" in content[:4096]:
        return None
    return content.decode("utf-8", "replace").splitlines()


def layer_of(name):
    parts = name.split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "src" else None


def check_includes(name, lines, headers, complain):
    layer = layer_of(name)
    if layer is not None and layer not in LAYERS:
        complain(name, 1, f"directory src/{layer} is no layer; add it to the table of layers here and in docs/design.md")
        return
    for number, line in enumerate(lines, 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        header = found.group(1)
        if "/" in header:
            complain(name, number, f'#include "{header}" with a path; include headers bare')
            continue
        owner = headers.get(header)
        if layer and owner and owner != layer and owner not in LAYERS[layer].split():
            complain(name, number, f"layer {layer} includes {header} of layer {owner}; dependencies point down only")


def check_license(name, lines, complain):
    script = bool(lines) and lines[0].startswith("#!")
    if C_FILE.search(name):
        if not lines or lines[0] != f"/* {SPDX} */":
            complain(name, 1, f"the first line must be '/* {SPDX} */'")
    elif SOURCE_FILE.search(name) or script:
        if f"# {SPDX}" not in lines[:2]:
            complain(name, 1, f"'# {SPDX}' must be the first line (the second after #!)")


def check_text(name, lines, complain):
    for number, line in enumerate(lines, 1):
        found = MACHINE_PATH.search(line)
        if found:
            complain(name, number, f"path of one machine: '{found.group(0)}...'; take it from the caller")
    most = LINES_MAX_TESTS if name.startswith("tests/") else LINES_MAX
    if SOURCE_FILE.search(name) and len(lines) > most and name not in GENERATED:
        complain(name, len(lines), f"{len(lines)} lines; split it, {most} are the most")


def check_tree(root):
    """All violations, as lines for people."""
    problems = []

    def complain(name, line, what):
        problems.append(f"{name}:{line}: {what}")

    files = [(name, lines) for name, path in tree_files(root) if (lines := read_lines(path)) is not None]
    headers = {}
    first = {}
    for name, _ in files:
        if not name.endswith(".h"):
            continue
        base = os.path.basename(name)
        if base in first:
            complain(name, 1, f"a header of this name is {first[base]} already; names are unique in the tree")
        first.setdefault(base, name)
        if layer_of(name):
            headers.setdefault(base, layer_of(name))
    for name, lines in files:
        if C_FILE.search(name):
            check_includes(name, lines, headers, complain)
        check_license(name, lines, complain)
        check_text(name, lines, complain)
    return problems


def self_test():
    c = f"/* {SPDX} */\n"
    base = {"src/base/err.h": c, "src/core/decide.h": c, "src/hv/hv.h": c, "src/engine/engine.h": c}
    machine = "/" + "work"
    cases = [
        ("a clean tree", {"src/hv/hv.c": c + '#include "hv.h"\n#include "decide.h"\n#include "err.h"\n'}, None),
        ("an upward include", {"src/core/a.c": c + '#include "hv.h"\n'}, "dependencies point down"),
        ("base knows nothing of core", {"src/base/a.c": c + '  #  include "decide.h"\n'}, "dependencies point down"),
        ("hv below engine", {"src/hv/a.c": c + '#include "engine.h"\n'}, "dependencies point down"),
        ("a path in an include", {"src/core/a.c": c + '#include "../base/err.h"\n'}, "bare"),
        ("the same in a test", {"tests/unit/a.c": c + '#include "../../src/base/err.h"\n'}, "bare"),
        ("an unknown layer", {"src/misc/a.c": c}, "no layer"),
        ("a header twice", {"src/hv/err.h": c}, "unique"),
        ("a header twice, in tests", {"tests/lib/err.h": c}, "unique"),
        ("no license in C", {"src/base/a.c": "\n" + c}, "first line must be"),
        ("an empty C file", {"src/base/a.c": ""}, "first line must be"),
        ("no license in a script", {"tools/a.sh": "#!/bin/sh\n\n# " + SPDX + "\n"}, "must be the first line"),
        ("no license, no ending", {"tools/run": "#!/bin/sh\necho\n"}, "must be the first line"),
        ("a machine's path", {"docs/a.md": f"see {machine}/x\n"}, "path of one machine"),
        ("no machine's path", {"docs/a.md": f"see docs{machine}/x and net{machine}s\n"}, None),
        ("a long file", {"src/base/a.c": c * (LINES_MAX + 1)}, "lines; split it"),
        ("a long test", {"tests/unit/a.c": c * (LINES_MAX_TESTS + 1)}, "lines; split it"),
        ("a file just short enough", {"src/base/a.c": c * LINES_MAX}, None),
        ("what is built does not count", {"build-x/a.c": "x"}, None),
    ]
    failed = 0
    for what, extra, expected in cases:
        with tempfile.TemporaryDirectory() as root:
            for name, text in {**base, **extra}.items():
                os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
                with open(os.path.join(root, name), "w", encoding="utf-8") as f:
                    f.write(text)
            problems = check_tree(root)
        good = not problems if expected is None else len(problems) == 1 and expected in problems[0]
        if not good:
            failed += 1
            print(f"{what}: expected {expected!r}, found {problems}")
    print(f"{len(cases) - failed} of {len(cases)} cases as expected")
    return 1 if failed else 0


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    if sys.argv[1] == "--self-test":
        return self_test()
    problems = check_tree(sys.argv[1])
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
