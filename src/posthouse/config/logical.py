"""Logical lines of main.cf, master.cf and table source files: continuation lines joined, comments left out.

A line that begins with white space continues the one before. Comment lines (first character after white space is #)
and blank lines are left out wherever they stand, also between a line and its continuation.
Source: postconf(5), facts B01.01.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

_BLANKS: Final = b" \t\r\v\f"
_BLANK_CODES: Final = frozenset(_BLANKS)
_COMMENT: Final = ord("#")


class LogicalLine(NamedTuple):
    """One line with its continuations. The line ends are gone; the white space that began a continuation is not."""

    text: bytes
    first: int  # physical line numbers, from 1
    last: int  # the last that belongs to it, comments between or after it counted


class StrayLine(NamedTuple):
    """A continuation with nothing before it. It has no meaning; the reader should say so."""

    text: bytes
    first: int


def read_lines(data: bytes) -> Iterator[LogicalLine | StrayLine]:
    """Cut a whole file into logical lines, in order."""
    parts: list[bytes] = []
    first = last = 0
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        stripped = line.lstrip(_BLANKS)
        if not stripped or stripped[0] == _COMMENT:
            last = number
        elif line[0] in _BLANK_CODES:
            if parts:
                parts.append(line)
                last = number
            else:
                yield StrayLine(line, number)
        else:
            if parts:
                yield LogicalLine(b"".join(parts), first, last)
            parts, first, last = [line], number, number
    if parts:
        yield LogicalLine(b"".join(parts), first, last)


def logical_lines(data: bytes) -> Iterator[LogicalLine]:
    """Cut a whole file into logical lines; stray continuations are left out."""
    return (line for line in read_lines(data) if isinstance(line, LogicalLine))
