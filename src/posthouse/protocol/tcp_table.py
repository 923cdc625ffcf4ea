"""The tcp_table protocol: "get key" asks, "200 value", "500 text" or "400 text" answers, each in a line. No I/O.

Blanks, "%" and what does not print travel as %XX. Invariant (tests/unit/protocol/test_tcp_table.py): no octets make
`receive` raise anything but MalformedReply, and what was encoded decodes to itself. Source: tcp_table(5).
"""

import re
from typing import Final, NamedTuple

FOUND: Final = 200
NOT_FOUND: Final = 500
FAILED: Final = 400
MAX_REPLY: Final = 4096  # octets, with the newline
_BLANKS: Final = b" \t\r\v\f"
_PLAIN: Final = frozenset(range(0x21, 0x7F)) - {ord("%")}
_REPLY: Final = re.compile(rb"(200|400|500)[ \t]+(.*)|(200|400|500)", re.DOTALL)
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})?")
_SHOWN: Final = 30  # octets of a reply that an error shows


class MalformedReply(ValueError):
    """What the server sent is no reply; str() says why."""


class Reply(NamedTuple):
    """A reply. code: FOUND, NOT_FOUND or FAILED; text: the value, or what the server says, decoded."""

    code: int
    text: str


def format_query(key: str) -> bytes:
    """Write a query. What was no UTF-8 goes out as it came in."""
    return b"get " + quote(key.encode("utf-8", "surrogateescape")) + b"\n"


def quote(data: bytes) -> bytes:
    """Write octets as %XX where they are "%", blank, or do not print."""
    return b"".join(bytes((octet,)) if octet in _PLAIN else b"%%%02X" % octet for octet in data)


def unquote(data: bytes) -> bytes:
    """Read %XX, in any case. Raises MalformedReply: a "%" that two hexadecimal digits do not follow."""

    def octet(found: re.Match[bytes]) -> bytes:
        if found[1] is None:
            raise MalformedReply("a percent sign without two hexadecimal digits behind it")
        return bytes((int(found[1], 16),))

    return _ESCAPE.sub(octet, data)


class ReplyReader:
    """Takes octets of one reply as they come."""

    def __init__(self) -> None:
        self._data = bytearray()

    def receive(self, data: bytes) -> Reply | None:
        """Take octets; None: more are needed. Raises MalformedReply."""
        self._data += data
        line, newline, rest = bytes(self._data).partition(b"\n")
        if len(line) + 1 > MAX_REPLY:
            raise MalformedReply(f"a reply of more than {MAX_REPLY} octets")
        if not newline:
            return None
        if rest:
            raise MalformedReply("octets behind the reply")
        found = _REPLY.fullmatch(line.rstrip(_BLANKS))
        if found is None:
            raise MalformedReply(f"no reply: {repr(line[:_SHOWN])[1:]}")
        text = unquote(found[2] or b"").decode("utf-8", "surrogateescape")
        return Reply(int(found[1] or found[3]), text)
