"""The text that tables are made from: logical lines, "key value" lines of postmap(1).

A mistake in one line never spoils the others: it is reported and the line skipped. aliases(5): alias_source.py.
Sources: postmap(1), section TABLE FORMAT; postconf(5) on logical lines.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

BLANKS: Final = " \t\r\n\v\f"
_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")
# A key: characters without meaning, any character after a backslash, and quoted parts in which blanks are kept.
_KEY: Final = re.compile(r'(?:[^\s"\\]|\\.|"(?:[^"\\]|\\.)*")+', re.ASCII | re.DOTALL)

Report = Callable[[str], None]


class Line(NamedTuple):
    """A logical line: its text without newlines, and where it begins in the file."""

    number: int
    text: str


class Entry(NamedTuple):
    """One key with its value, and the line it stands in."""

    number: int
    key: str
    value: str


def decode(data: bytes) -> str:
    """Turn a file into text; octets that are not UTF-8 become surrogate escapes."""
    return data.decode("utf-8", "surrogateescape")


def logical_lines(text: str, report: Report | None = None) -> Iterator[Line]:
    """Join lines that begin with white space to the line before; drop comments and empty lines, also in between."""
    first, parts = 0, list[str]()
    for number, physical in enumerate(_LINE.findall(text), 1):
        line = physical.rstrip("\n")
        stripped = line.lstrip(BLANKS)
        if not stripped or stripped.startswith("#"):
            continue
        if len(stripped) == len(line):
            if parts:
                yield Line(first, "".join(parts))
            first, parts = number, [line]
        elif parts:
            parts.append(line)
        elif report is not None:
            report(f'line {number}: logical line must not start with whitespace: "{line[:30]}"')
    if parts:
        yield Line(first, "".join(parts))


def entries(text: str, report: Report) -> Iterator[Entry]:
    """Read "key whitespace value" lines; `report` gets "line N: what is wrong"."""
    for number, line in logical_lines(text, report):
        key = _KEY.match(line)
        end = key.end() if key else 0
        if line[end : end + 1] == '"':
            report(f"line {number}: unbalanced '\"' in '{line}' -- ignoring this line")
            continue
        value = line[end:].strip(BLANKS)
        if key is None or not value:
            report(f"line {number}: expected format: key whitespace value -- ignoring this line")
            continue
        if key[0].endswith(":"):
            report(f'line {number}: record is in "key: value" format; is this an alias file?')
        yield Entry(number, key[0], value)
