"""scan_header: find in a message's header section what cleanup(8) must look at. One pass, no copy, no line objects.

The header section is a run of "name: value" lines with their continuation lines; it ends at the first line that is
neither, whether or not that line is empty (facts B07.13). Knows the names; decides nothing.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

# field-name = 1*ftext (RFC 5322 2.2), blanks before the colon as RFC 822 had them; a value with its continuation lines.
# An atomic group, not a possessive one: before Python 3.11.5 that takes half of a line without line end.
_FIELD: Final = re.compile(rb"([!-9;-~]++)[ \t]*+:[^\n]*+\n(?>(?:[ \t][^\n]*+\n)*)")


class Role(Enum):
    """What a header means to cleanup."""

    SENDER = auto()  # addresses of senders are in it
    RECIPIENT = auto()  # addresses of recipients are in it
    RECEIVED = auto()
    DATE = auto()
    MESSAGE_ID = auto()
    ENCODING = auto()
    OTHER = auto()


ROLES: Final[dict[bytes, Role]] = {
    b"apparently-to": Role.RECIPIENT,
    b"bcc": Role.RECIPIENT,
    b"cc": Role.RECIPIENT,
    b"content-transfer-encoding": Role.ENCODING,
    b"date": Role.DATE,
    b"disposition-notification-to": Role.SENDER,
    b"errors-to": Role.SENDER,
    b"from": Role.SENDER,
    b"mail-followup-to": Role.SENDER,
    b"message-id": Role.MESSAGE_ID,
    b"received": Role.RECEIVED,
    b"reply-to": Role.SENDER,
    b"resent-bcc": Role.RECIPIENT,
    b"resent-cc": Role.RECIPIENT,
    b"resent-date": Role.DATE,
    b"resent-from": Role.SENDER,
    b"resent-message-id": Role.MESSAGE_ID,
    b"resent-reply-to": Role.RECIPIENT,
    b"resent-sender": Role.SENDER,
    b"resent-to": Role.RECIPIENT,
    b"return-path": Role.SENDER,
    b"return-receipt-to": Role.SENDER,
    b"sender": Role.SENDER,
    b"to": Role.RECIPIENT,
}
RESENT: Final = b"resent-"


@dataclass(slots=True)
class Field:
    """One header: content[start:end] with its last line end; the value begins at `value`."""

    name: bytes  # lower case
    start: int
    end: int
    value: int


@dataclass(slots=True)
class HeaderSection:
    """What was found. `end` is where the section ends: at the empty line, if there is one."""

    end: int = 0
    received: int = 0
    names: set[bytes] = field(default_factory=set)  # of ROLES, lower case
    addresses: list[Field] = field(default_factory=list)  # that stay in the message
    dropped: list[Field] = field(default_factory=list)
    blanks: list[tuple[int, int, bytes]] = field(default_factory=list)  # before colons, as edits
    oversized: list[Field] = field(default_factory=list)
    message_id: Field | None = None
    encoding: Field | None = None
    resent: bool = False


class HeaderScanner:
    """Scans by the settings of one process."""

    def __init__(self, drop: tuple[str, ...], size_limit: int) -> None:
        self._drop = frozenset(name.lower().encode() for name in drop)
        self._size_limit = size_limit
        self._roles = {**dict.fromkeys(self._drop, Role.OTHER), **ROLES}

    def scan(self, content: bytes) -> HeaderSection:
        """Look at every header once."""
        section = HeaderSection()
        roles, limit, match_field = self._roles, self._size_limit, _FIELD.match
        position = 0
        while (match := match_field(content, position)) is not None:
            end, name_end = match.end(), match.end(1)
            name = match[1].lower()
            if content[name_end] != 58:  # blanks before the colon: RFC 822 had them, RFC 5322 4.5 makes them obsolete
                section.blanks.append((name_end, content.index(b":", name_end), b""))
            role = roles.get(name)
            if role is Role.RECEIVED:
                section.received += 1
            elif role is not None:
                self._note(section, role, Field(name, position, end, content.index(b":", name_end) + 1))
            if end - position > limit:
                section.oversized.append(Field(name, position, end, 0))
            position = end
        section.end = position
        return section

    def _note(self, section: HeaderSection, role: Role, found: Field) -> None:
        name = found.name
        section.names.add(name)
        if name.startswith(RESENT):
            section.resent = True
        if name in self._drop:
            section.dropped.append(found)
        elif role is Role.SENDER or role is Role.RECIPIENT:
            section.addresses.append(found)
        elif role is Role.MESSAGE_ID:
            section.message_id = found
        elif role is Role.ENCODING:
            section.encoding = found


def is_complete(content: bytes) -> bool:
    """Whether the header section ends within these bytes, so that more content cannot change it."""
    position = 0
    while (match := _FIELD.match(content, position)) is not None:
        position = match.end()
    return content.find(b"\n", position) >= 0  # a last line without line end may be a header or go on with one yet
