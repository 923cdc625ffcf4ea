"""How findings are shown: for people, by file and line; for machines, as JSON."""

import json
import textwrap
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Final

from posthouse.config.findings import Finding, Severity, counted

WIDTH: Final = 110  # characters of a line of text, at most
NARROWEST: Final = 50
INDENT: Final = 17
_COLOURS: Final = {Severity.ERROR: "\033[1;31m", Severity.WARNING: "\033[33m", Severity.NOTE: "\033[36m"}
_PLAIN, _BOLD, _DIM = "\033[0m", "\033[1m", "\033[2m"


def as_json(findings: list[Finding]) -> str:
    """Write one array of objects. `line` is 0 where a finding is about no one line."""
    rows = [{**finding._asdict(), "severity": finding.severity.word} for finding in findings]
    return json.dumps(rows, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace").decode() + "\n"


def as_text(findings: list[Finding], *, coloured: bool, width: int = WIDTH) -> str:
    """Write the findings of each file in the order of its lines, then how many there are. width: of the terminal."""
    lines: list[str] = []
    by_file = sorted(findings, key=lambda finding: (finding.file, finding.line, finding.severity))
    for file, group in groupby(by_file, attrgetter("file")):
        lines += [_painted(_clean(file), _BOLD, coloured=coloured)]
        for finding in group:
            lines += _lines_of(finding, max(NARROWEST, min(width, WIDTH)) - INDENT, coloured=coloured)
        lines.append("")
    return "\n".join([*lines, counted(findings), ""])


def _lines_of(finding: Finding, width: int, *, coloured: bool) -> Iterator[str]:
    place = str(finding.line) if finding.line else "-"
    word = _painted(f"{finding.severity.word:<7}", _COLOURS[finding.severity], coloured=coloured)
    first, *more = _wrapped(finding.what, width)
    yield f"{place:>6}  {word}  {first}"
    yield from (f"{'':{INDENT}}{line}" for line in more)
    for line in _wrapped(f"if left: {finding.consequence}", width) if finding.consequence else ():
        yield f"{'':{INDENT}}{line}"
    for line in _wrapped(f"fix: {finding.fix}", width) if finding.fix else ():
        yield f"{'':{INDENT}}{line}"
    yield f"{'':{INDENT}}{_painted('[' + finding.id + ']', _DIM, coloured=coloured)}"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(_clean(text), width, break_long_words=False, break_on_hyphens=False) or [""]


def _clean(text: str) -> str:
    """Take out what could drive a terminal."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable.encode("utf-8", "replace").decode()


def _painted(text: str, colour: str, *, coloured: bool) -> str:
    return f"{colour}{text}{_PLAIN}" if coloured else text
