"""What the right-hand side of an alias or a .forward says: addresses, files, commands, includes.

The text comes from the administrator or, untrusted, from a user; parsing never runs anything. Sources: aliases(5).
"""

from dataclasses import dataclass
from enum import Enum

from posthouse.protocol.message.tokens import format_internal, parse_address_list

INCLUDE = ":include:"


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
    return [address for node in parse_address_list(text) if (address := format_internal([node]).strip())]


def split_items(text: str) -> list[str]:
    """Cut at commas and line ends outside quotes; quotes around a whole item are taken off ("|cmd a, b")."""
    items: list[str] = []
    current: list[str] = []
    quoted = False
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\" and position + 1 < len(text):
            current += character, text[position + 1]
            position += 2
            continue
        if character == '"':
            quoted = not quoted
        if character in ",\n" and not quoted:
            items.append("".join(current))
            current = []
        elif character == "#" and not quoted and not "".join(current).strip():
            end = text.find("\n", position)
            position = len(text) if end < 0 else end
            continue
        else:
            current.append(character)
        position += 1
    items.append("".join(current))
    return [_unquote(item.strip()) for item in items if item.strip()]


def _unquote(item: str) -> str:
    inner = item[1:-1]
    if len(item) > 1 and item[0] == item[-1] == '"' and inner.lstrip()[:1] in ("|", "/", ":"):
        return inner.replace('\\"', '"').replace("\\\\", "\\").strip()
    return item
