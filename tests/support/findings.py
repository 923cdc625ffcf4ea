"""Configurations for the checks, written down in one file each: "=== NAME" begins a file, "=== findings" what is found.

"{dir}" stands for the directory that the files are put into. A name may be followed by a mode (octal) and by "old",
which makes the file a day older.
"""

import os
import time
from pathlib import Path
from typing import Final

from posthouse.commands.check.probe import TableProbe
from posthouse.config import catalog
from posthouse.config.check import check_directory
from posthouse.config.check_restrictions import KNOWN
from posthouse.config.check_services import KNOWN_PROGRAMS
from posthouse.config.check_tables import KNOWN_TYPES
from posthouse.config.findings import Finding
from posthouse.config.registry import Registry
from posthouse.config.rows import row_of

GOOD_MAIN: Final = "compatibility_level = 3.11\nmyhostname = mail.example.com\nalias_maps =\n"
GOOD_MASTER: Final = """\
smtp      inet  n - n -   - smtpd
cleanup   unix  n - n -   0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n -   - trivial-rewrite
bounce    unix  - - n -   0 bounce
defer     unix  - - n -   0 bounce
smtp      unix  - - n -   - smtp
relay     unix  - - n -   - smtp
local     unix  - n n -   - local
virtual   unix  - n n -   - virtual
error     unix  - - n -   - error
discard   unix  - - n -   - discard
"""


def whole() -> Registry:
    """Give a registry in which all of Postfix is built: what is then found is a mistake."""
    rows = [row for name in catalog.entries() if (row := row_of(name)) is not None]
    return Registry.of(rows, KNOWN_PROGRAMS, KNOWN_TYPES, KNOWN)


def unpack(case: Path, directory: Path) -> list[str]:
    """Write the files of a case; returns the findings that it expects."""
    text = case.read_text(encoding="utf-8").replace("{dir}", str(directory))
    parts = dict(part.split("\n", 1) for part in text.split("=== ")[1:])
    expected = parts.pop("findings", "").splitlines()
    parts.setdefault("main.cf", "")
    if "whole" not in parts.pop("base", ""):
        parts["main.cf"] = GOOD_MAIN + parts["main.cf"]
        parts.setdefault("master.cf", GOOD_MASTER)
    for heading, content in parts.items():
        name, *words = heading.split()
        path = directory / name
        path.write_text(content, encoding="utf-8")
        for word in words:
            if word == "old":
                os.utime(path, (time.time() - 86400,) * 2)
            else:
                path.chmod(int(word, 8))
    return expected


def found_in(directory: Path, registry: Registry) -> list[Finding]:
    """Check a directory as root's system, tables looked into."""
    return check_directory(str(directory), registry, as_root=True, probe=TableProbe())


def lines_of(findings: list[Finding], directory: Path) -> list[str]:
    """Show findings as a case has them: identifier, place, severity, text."""
    return [
        f"[{finding.id}] {finding}".replace(f"{directory}/", "").replace(str(directory), ".") for finding in findings
    ]
