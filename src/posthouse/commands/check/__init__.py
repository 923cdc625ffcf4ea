"""posthouse check: look for mistakes in main.cf, master.cf and tables, before they cost mail. Changes nothing.

Exit status: 0 nothing that counts (notes never do), 1 warnings with --strict, 2 errors (the mail system would not
start), 64 wrong usage. docs/checks.md lists every finding by its identifier.
"""

import getopt
import os
import shutil
import sys
from typing import Final

from posthouse.commands.check.probe import TableProbe
from posthouse.commands.check.show import WIDTH, as_json, as_text
from posthouse.commands.registry import registry
from posthouse.config.check import check_directory
from posthouse.config.findings import KINDS, Finding, Severity
from posthouse.config.load import config_directory

USAGE: Final = """\
usage: posthouse check [-c DIR] [--json] [--strict] [--only ID[,ID...]] [--ignore ID[,ID...]]

  --json     one array of objects: id, severity, file, line, what, consequence, fix
  --strict   warnings count too: exit status 1
  --only     show findings of these kinds alone; --ignore: leave these out (docs/checks.md lists them)
exit status: 0 nothing that counts, 1 warnings with --strict, 2 errors
"""
EX_USAGE: Final = 64


def main(words: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    try:
        options, rest = getopt.gnu_getopt(
            sys.argv[1:] if words is None else words, "c:h", ["json", "strict", "only=", "ignore=", "help"]
        )
    except getopt.GetoptError as error:
        return _usage(str(error))
    values = dict(options)
    if "-h" in values or "--help" in values:
        sys.stdout.write(USAGE)
        return 0
    only, ignored = _kinds(values.get("--only", "")), _kinds(values.get("--ignore", ""))
    unknown = [name for name in (*only, *ignored) if name not in KINDS]
    if rest or unknown:
        return _usage(f"no such kind of finding: {unknown[0]}" if unknown else f"unexpected argument: {rest[0]}")
    directory = os.path.abspath(config_directory(values.get("-c")))
    found = check(directory)
    shown = [finding for finding in found if finding.id not in ignored and (not only or finding.id in only)]
    if "--json" in values:
        sys.stdout.write(as_json(shown))
    else:
        coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        width = shutil.get_terminal_size((WIDTH, 0)).columns if sys.stdout.isatty() else WIDTH
        sys.stdout.write(as_text(shown, coloured=coloured, width=width))
    return status_of(shown, strict="--strict" in values)


def check(directory: str) -> list[Finding]:
    """Check a directory for the system that will be started from it: by root, when root owns its main.cf."""
    return check_directory(directory, registry(), as_root=_is_for_root(directory), probe=TableProbe())


def status_of(findings: list[Finding], *, strict: bool) -> int:
    """Give the exit status."""
    worst = min((finding.severity for finding in findings), default=Severity.NOTE)
    if worst is Severity.ERROR:
        return 2
    return 1 if strict and worst is Severity.WARNING else 0


def _is_for_root(directory: str) -> bool:
    if os.geteuid() == 0:
        return True
    try:
        return os.stat(f"{directory}/main.cf").st_uid == 0
    except OSError:
        return False


def _kinds(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if word]


def _usage(why: str) -> int:
    sys.stderr.write(f"posthouse check: {why}\n{USAGE}")
    return EX_USAGE
