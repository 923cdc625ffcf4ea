"""What the right-hand side of an alias or a .forward says: addresses, files, commands, includes.

The text comes from the administrator or, untrusted, from a user; parsing never runs anything. Sources: aliases(5).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from posthouse.protocol.address import quote_address
from posthouse.protocol.message.tokens import parse_addresses

INCLUDE: Final = ":include:"
_MARK: Final = re.compile(r'\\.|[",()]', re.DOTALL)


class Kind(Enum):
    """What a destination is."""

    ADDRESS = "address"
    MAILBOX = "\\user"  # the user's own mailbox, without looking at aliases again
    FILE = "/file"
    COMMAND = "|command"
    INCLUDE = ":include:/file"


@dataclass(frozen=True, slots=True)
class Target:
    """One destination; value without the mark of its kind (a file keeps its slash)."""

    kind: Kind
    value: str


def parse_targets(text: str) -> list[Target]:
    """Read a list of destinations, without comments. Never raises: what makes no sense is an address that fails."""
    targets = []
    for item in split_items(text):
        if item.startswith("|"):
            targets.append(Target(Kind.COMMAND, item[1:].strip()))
        elif item.startswith("/"):
            targets.append(Target(Kind.FILE, item))
        elif item.lower().startswith(INCLUDE):
            targets.append(Target(Kind.INCLUDE, item[len(INCLUDE) :].strip()))
        elif item.startswith("\\"):
            targets.append(Target(Kind.MAILBOX, item[1:]))
        else:
            targets += [Target(Kind.ADDRESS, address) for address in _addresses(item)]
    return targets


def _addresses(text: str) -> list[str]:
    return [quote_address(address) for address in parse_addresses(text) if address.strip()]


def split_items(text: str) -> list[str]:
    """Cut at line ends, and at commas outside of quotes and comments; lines that begin with "#" are left out.

    Quotes around a whole file, command or include are taken off ("|cmd a, b").
    """
    lines = (line for line in text.split("\n") if not line.lstrip().startswith("#"))
    items = (item.strip() for line in lines for item in _split_line(line))
    return [_unquote(item) for item in items if item]


def _split_line(line: str) -> Iterator[str]:
    start = depth = 0
    is_quoted = False
    for mark in _MARK.finditer(line):
        character = mark[0]
        if character == '"':
            is_quoted = not is_quoted and not depth
        elif is_quoted or len(character) > 1:  # a backslash and what it protects
            continue
        elif character == ",":
            if not depth:
                yield line[start : mark.start()]
                start = mark.end()
        else:
            depth = max(0, depth + (1 if character == "(" else -1))
    yield line[start:]


def _unquote(item: str) -> str:
    inner = item[1:-1]
    if len(item) > 1 and item[0] == item[-1] == '"' and inner.lstrip()[:1] in ("|", "/", ":"):
        return inner.replace('\\"', '"').replace("\\\\", "\\").strip()
    return item
