#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_manual.py SOURCE_ROOT BALLASTD BALLAST AGENT COPY: options, commands and keys are in --help and in the man pages, and the
man pages tell of no others."""
import os
import re
import subprocess
import sys
import tempfile

root, ballastd, ballast, agent, copy = sys.argv[1:6]
failures = []


def check(what, ok):
    if not ok:
        failures.append(what)


def read(*path):
    with open(os.path.join(root, *path), encoding="utf-8") as f:
        return f.read()


def run(*command):
    # no HOME, no XDG: help must not need them
    done = subprocess.run(command, env={"PATH": os.environ["PATH"], "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")},
                          capture_output=True, text=True, check=False)
    check(f"{' '.join(command)}: exit code {done.returncode}, stderr '{done.stderr}'", done.returncode == 0 and not done.stderr)
    return done.stdout


def plain(page):
    """A man page's text without its markup."""
    text = re.sub(r"\\f[BIRP]", "", page).replace("\\-", "-").replace("\\(aq", "'").replace("\\&", "")
    text = re.sub(r'(?m)^\.(B|I|BR|BI|IR|RB|RI|IP|TP|SH|TH|PP|br|nf|fi|RS|RE)\b ?', "", text)
    return text.replace('"', "")


def long_options(text):
    return set(re.findall(r"--[a-z][a-z-]*", text))


# the program's own tables, so that neither text can forget one
def getopt_options(*path):
    return {"--" + name for name in re.findall(r'\{"([a-z-]+)", (?:no|required)_argument', read(*path))}


daemon_options = getopt_options("src/daemon/options.c")
copy_options = set(re.findall(r'strcmp\(argv\[1\], "(--[a-z-]+)"', read("src/copy/copy_main.c")))
agent_options = getopt_options("src/agent/agent_options.c")
cli_options = set(re.findall(r'\{"(--[a-z-]+)", CLI_OPTION_', read("src/cli/cli.c")))
backup_commands = set(re.findall(r'(?m)^    \{"backup ([a-z-]+)", cmd_', read("src/cli/cmd_backup.c")))
commands = set(re.findall(r'(?m)^    \{"([a-z-]+)", cmd_', read("src/cli/cli.c")))
keys = set(re.findall(r'\{CONFIG_SECTION_[A-Z]+, CONFIG_[A-Z_]+, "([a-z-]+)"', read("src/config/config_keys.c")))
check("no options found in the sources", daemon_options and agent_options and copy_options and cli_options and commands)
check(f"only {len(keys)} keys found in the table", len(keys) >= 21)

daemon_page = plain(read("docs/man/ballastd.8"))
cli_page = plain(read("docs/man/ballast.1"))
backup_page = plain(read("docs/man/ballast-backup.1"))
config_page = plain(read("docs/man/ballast.yaml.5"))
daemon_help = run(ballastd, "--help")
cli_help = run(ballast, "--help")
config_help = run(ballastd, "--help-config")

for name, have, options in (("ballastd(8)", daemon_page, daemon_options), ("ballastd --help", daemon_help, daemon_options),
                            ("ballast(1) and ballast-backup(1)", cli_page + backup_page, cli_options),
                            ("ballast --help", cli_help, cli_options),
                            ("ballast-agent(8)", plain(read("docs/man/ballast-agent.8")), agent_options),
                            ("ballast-agent --help", run(agent, "--help"), agent_options),
                            ("ballast-copy(8)", plain(read("docs/man/ballast-copy.8")), copy_options),
                            ("ballast-copy --help", run(copy, "--help"), copy_options)):
    check(f"{name} lacks {sorted(options - long_options(have))}", options <= long_options(have))
    check(f"{name} knows {sorted(long_options(have) - options)}, which do not exist", long_options(have) <= options)
for name, have in (("ballast(1)", cli_page), ("ballast --help", cli_help)):
    for command in commands:
        check(f"{name} lacks the command '{command}'", re.search(rf"(?m)^ *{command}\b", have))
for command in commands:
    check(f"ballast help {command} says nothing", command in run(ballast, "help", command))
check("no commands of `ballast backup` found in the sources", backup_commands)
for command in backup_commands:
    check(f"ballast-backup(1) lacks the command '{command}'", re.search(rf"(?m)^ *{command}\b", backup_page))
    check(f"ballast backup {command} --help says nothing", f"backup {command}" in run(ballast, "backup", command, "--help"))
for key in keys:
    check(f"ballast.yaml(5) lacks the key '{key}'", re.search(rf"(?m)^{key}$", config_page))
    check(f"ballastd --help-config lacks the key '{key}'", re.search(rf"(?m)^  {key}: ", config_help))
version = run(ballastd, "--version").split()[-1]
for page in ("ballast.1", "ballast-backup.1", "ballast.yaml.5", "ballast-agent.8", "ballast-copy.8", "ballast-guardian.8", "ballastd.8"):
    check(f"{page} is not of version {version}", f'"ballast {version}"' in read("docs/man", page))



def example(text):
    """The indented block that begins with the line `host:`, without its indent."""
    found = re.search(r"(?m)^( *)host:.*\n(?:\1.*\n|\n)*", text)
    indent = len(found.group(1))
    return "".join(line[indent:] + "\n" for line in found.group(0).split("\n") if line.startswith(" " * indent))


# examples are copied: they must be right
for name, text in (("README.md", read("README.md")),
                   ("ballast.yaml(5)", plain(re.search(r"(?s)\.SH EXAMPLE\n\.nf\n(.*?)\.fi", read("docs/man/ballast.yaml.5"))
                                             .group(1).replace('"', "@")).replace("@", '"'))):
    block = example(text)
    check(f"the example of {name} is cut short: {block!r}", "guests:" in block and block.count("\n") > 8)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "ballast.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(block)
        run(ballast, "check-config", path)

for failure in failures:
    print(failure)
sys.exit(bool(failures))
