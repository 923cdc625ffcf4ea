"""BER as LDAP uses it: definite lengths, tags of one octet. No I/O. Sources: X.690, RFC 4511 5.1."""

from collections.abc import Iterator
from typing import Final, NamedTuple

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
ENUMERATED: Final = 0x0A
SEQUENCE: Final = 0x30
SET: Final = 0x31
MAX_LENGTH_OCTETS: Final = 4


class MalformedMessage(ValueError):
    """What came is no LDAP; str() says why."""


class Element(NamedTuple):
    """One element: its tag, and where its content is in the octets."""

    tag: int
    begin: int
    end: int


def element(tag: int, *content: bytes) -> bytes:
    """Write an element."""
    data = b"".join(content)
    size = len(data)
    if size < 0x80:
        return bytes((tag, size)) + data
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + data


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Write a number that is not negative."""
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def boolean(*, value: bool) -> bytes:
    """Write true or false."""
    return element(BOOLEAN, b"\xff" if value else b"\0")


def octets(value: bytes, tag: int = OCTET_STRING) -> bytes:
    """Write octets."""
    return element(tag, value)


def header(data: bytes | bytearray, at: int, limit: int) -> Element | None:
    """Read a tag and a length; None: more octets are needed. Raises MalformedMessage: also for more than `limit`."""
    if len(data) < at + 2:
        return None
    tag, first = data[at], data[at + 1]
    if tag & 0x1F == 0x1F:
        raise MalformedMessage("a tag of more than one octet")
    begin = at + 2
    size = first
    if first & 0x80:
        count = first & 0x7F
        if not 0 < count <= MAX_LENGTH_OCTETS:
            raise MalformedMessage("a length of no definite form")
        if len(data) < begin + count:
            return None
        size = int.from_bytes(data[begin : begin + count], "big")
        begin += count
    if size > limit:
        raise MalformedMessage(f"{size} octets; the limit is {limit}")
    return Element(tag, begin, begin + size)


class Reader:
    """Goes through the elements of a constructed one. Everything wrong raises MalformedMessage."""

    def __init__(self, data: bytes, begin: int = 0, end: int | None = None) -> None:
        self._data = data
        self._at = begin
        self._end = len(data) if end is None else end

    def __bool__(self) -> bool:
        return self._at < self._end

    def take(self, tag: int | None = None) -> Element:
        """Take the next element, which has this tag if one is given."""
        found = header(self._data, self._at, self._end - self._at)
        if found is None or found.end > self._end:
            raise MalformedMessage("an element that does not fit")
        if tag is not None and found.tag != tag:
            raise MalformedMessage(f"an element with tag {found.tag:#04x} where {tag:#04x} is due")
        self._at = found.end
        return found

    def inside(self, tag: int) -> "Reader":
        """Take a constructed element, and give a reader of what is in it."""
        found = self.take(tag)
        return Reader(self._data, found.begin, found.end)

    def octets(self, tag: int = OCTET_STRING) -> bytes:
        """Take octets."""
        found = self.take(tag)
        return self._data[found.begin : found.end]

    def integer(self, tag: int = INTEGER) -> int:
        """Take a number of at most four octets."""
        content = self.octets(tag)
        if not 0 < len(content) <= 4:
            raise MalformedMessage("a number of no reasonable size")
        return int.from_bytes(content, "big", signed=True)

    def rest(self) -> Iterator[Element]:
        """Take all elements that are left."""
        while self:
            yield self.take()

    def content(self, found: Element) -> bytes:
        """Give the octets of an element."""
        return self._data[found.begin : found.end]

    def of(self, found: Element) -> "Reader":
        """Give a reader of an element that was taken."""
        return Reader(self._data, found.begin, found.end)
