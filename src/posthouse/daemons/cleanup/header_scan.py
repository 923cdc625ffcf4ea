"""HeaderScanner: find in a message's header section what cleanup(8) must look at. One pass, no copy, no line objects.

The header section is a run of "name: value" lines with their continuation lines; it ends at the first line that is
neither, whether or not that line is empty (facts B07.13). Knows the names; decides nothing.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from posthouse.rewriting.header import RECIPIENT_HEADERS, SENDER_HEADERS

# field-name = 1*ftext (RFC 5322 2.2), blanks before the colon as RFC 822 had them; only the first line. No expression
# takes the others: a repeated group takes memory for each repetition, and a possessive one is wrong before Python
# 3.11.5 (it takes half of a line without line end).
# Groups behind the name are there where something is unusual: blanks before the colon, a continuation line.
_FIELD: Final = re.compile(rb"([!-9;-~]++)([ \t]++)?:[^\n]*+\n(?:(?=([ \t]))|)")
_UNFOLDED: Final = re.compile(rb"\n(?![ \t])")
_BLANKS: Final = (b" ", b"\t")
PIECE: Final = 16 * 1024  # octets of headers that are looked at in one go


class Role(Enum):
    """What a header means to cleanup."""

    SENDER = auto()  # addresses of senders are in it
    RECIPIENT = auto()  # addresses of recipients are in it
    RECEIVED = auto()
    DATE = auto()
    MESSAGE_ID = auto()
    ENCODING = auto()
    DROPPED = auto()  # of message_drop_headers
    COUNTED = auto()  # Received: of message_drop_headers: its number is what ends loops


ROLES: Final[dict[bytes, Role]] = {
    **dict.fromkeys(SENDER_HEADERS, Role.SENDER),
    **dict.fromkeys(RECIPIENT_HEADERS, Role.RECIPIENT),
    b"content-transfer-encoding": Role.ENCODING,
    b"date": Role.DATE,
    b"message-id": Role.MESSAGE_ID,
    b"received": Role.RECEIVED,
    b"resent-date": Role.DATE,
    b"resent-message-id": Role.MESSAGE_ID,
}
RESENT: Final = b"resent-"
# The header of the content; without it nobody could read the body, so message_drop_headers does not take it.
_OF_CONTENT: Final = frozenset(
    {
        *(b"content-description", b"content-disposition", b"content-id", b"content-transfer-encoding"),
        *(b"content-type", b"mime-version"),
    }
)


@dataclass(slots=True)
class Field:
    """One header: content[start:end] with its last line end; the value begins at `value`."""

    name: bytes  # lower case
    start: int
    end: int
    value: int


@dataclass(slots=True)
class HeaderSection:
    """What was found so far: in all of the section, and (the lists) in its last piece.

    `end` is where the section ends: at the empty line, if there is one.
    """

    end: int = 0
    received: int = 0
    names: set[bytes] = field(default_factory=set)  # of ROLES, lower case
    addresses: list[Field] = field(default_factory=list)  # that stay in the message
    dropped: list[Field] = field(default_factory=list)
    blanks: list[tuple[int, int, bytes]] = field(default_factory=list)  # before colons, as edits
    oversized: list[Field] = field(default_factory=list)
    message_id: Field | None = None
    encodings: list[Field] = field(default_factory=list)  # Content-Transfer-Encoding, of all of the section
    resent: bool = False

    def next_piece(self) -> None:
        """Forget what is in the lists."""
        self.addresses, self.dropped, self.blanks, self.oversized = [], [], [], []


class HeaderScanner:
    """Scans by the settings of one process."""

    def __init__(self, drop: tuple[str, ...], size_limit: int) -> None:
        names = {name.lower().encode() for name in drop} - _OF_CONTENT
        self._roles = {**ROLES, **dict.fromkeys(names, Role.DROPPED)}
        if b"received" in names:
            self._roles[b"received"] = Role.COUNTED
        self._size_limit = size_limit

    def scan(self, content: bytes, section: HeaderSection) -> bool:
        """Look at the headers of the next piece, each of them once; False: there are no more, else there may be."""
        roles, limit, match_field = self._roles, self._size_limit, _FIELD.match
        position = section.end
        stop = position + PIECE
        while (match := match_field(content, position)) is not None:
            end, colon, name = match.end(), match.end(1), match[1].lower()
            if match.lastindex != 1:
                if match[3] is not None:
                    end = _end_of_folds(content, end)
                if match[2] is not None:  # RFC 822 had blanks before the colon, RFC 5322 4.5 makes them obsolete
                    colon = match.end(2)
                    section.blanks.append((match.start(2), colon, b""))
            role = roles.get(name)
            if role is not None:
                if role is Role.RECEIVED:
                    section.received += 1
                else:
                    _note(section, role, name, (position, end, colon + 1))
            if end - position > limit:
                section.oversized.append(Field(name, position, end, 0))
            position = end
            if position >= stop:
                section.end = position
                return True
        section.end = position
        return False


def _note(section: HeaderSection, role: Role, name: bytes, place: tuple[int, int, int]) -> None:
    section.names.add(name)
    if name.startswith(RESENT):
        section.resent = True
    if role is Role.SENDER or role is Role.RECIPIENT:
        section.addresses.append(Field(name, *place))
    elif role is Role.MESSAGE_ID:
        section.message_id = Field(name, *place)
    elif role is Role.ENCODING:
        section.encodings.append(Field(name, *place))
    elif role is Role.DROPPED or role is Role.COUNTED:
        section.received += role is Role.COUNTED
        section.dropped.append(Field(name, *place))


class HeaderEnd:
    """Looks for the end of a header section in content that still grows; no header is gone over twice."""

    __slots__ = ("position",)

    def __init__(self) -> None:
        self.position = 0  # what is before it are whole lines of the section

    def is_in(self, content: bytes) -> bool:
        """Whether the section ends within these bytes, so that more content cannot change it."""
        position = self.position
        if position and content.startswith(_BLANKS, position):
            position = _end_of_folds(content, position)
        while (match := _FIELD.match(content, position)) is not None:
            position = match.end()
            if content.startswith(_BLANKS, position):
                position = _end_of_folds(content, position)
        self.position = position
        return content.find(b"\n", position) >= 0  # a last line without line end may be a header or go on with one yet


def _end_of_folds(content: bytes, start: int) -> int:
    """Find where the continuation lines end that begin at `start`; a last line without line end is none."""
    found = _UNFOLDED.search(content, start)
    return found.end() if found is not None else max(content.rfind(b"\n", start) + 1, start)
