"""The text protocol of memcached, as far as a table needs it: get, set, delete of one key. No I/O.

A ReplyReader takes octets as they come, with a limit on lines and on values. Invariant
(tests/unit/protocol/test_memcached.py): no octets make it raise anything but MalformedReply, and the outcome does not
depend on where they were cut. Source: memcached's doc/protocol.txt.
"""

import re
from typing import Final, NamedTuple

MAX_KEY: Final = 250  # octets
_KEY: Final = re.compile(rb"[^\x00-\x20\x7f]{1,250}")
_VALUE: Final = re.compile(rb"VALUE ([^ ]+) ([0-9]{1,10}) ([0-9]{1,10})( [0-9]{1,20})?")
_LINE_END: Final = b"\r\n"
_SHOWN: Final = 30  # octets of a reply that an error shows


class MalformedReply(ValueError):
    """What the server sent is no reply to the command, or an error; str() says what."""


class Reply(NamedTuple):
    """A reply. word: "STORED", "DELETED", "NOT_FOUND" ..; for a get "VALUE" with the data, or "END"."""

    word: str
    data: bytes


def is_key(key: bytes) -> bool:
    """Whether the server takes a key: 1 to 250 octets, no blanks and no controls."""
    return _KEY.fullmatch(key) is not None


def format_get(key: bytes) -> bytes:
    """Ask for a key."""
    return b"get " + key + _LINE_END


def format_set(key: bytes, data: bytes, *, flags: int, ttl_s: int) -> bytes:
    """Store a value for so many seconds (more than 30 days: until that time of day)."""
    return b"set %b %d %d %d\r\n%b\r\n" % (key, flags, ttl_s, len(data), data)


def format_delete(key: bytes) -> bytes:
    """Take a key out."""
    return b"delete " + key + _LINE_END


class ReplyReader:
    """See the module's docstring. key: what a get asked for; None: the command was another."""

    def __init__(self, key: bytes | None, *, line_limit: int, data_limit: int) -> None:
        self._key = key
        self._line_limit = line_limit
        self._data_limit = data_limit
        self._data = bytearray()

    def receive(self, data: bytes) -> Reply | None:
        """Take octets; None: more are needed. Raises MalformedReply."""
        self._data += data
        line, found, rest = bytes(self._data).partition(_LINE_END)
        if len(line) > self._line_limit:
            raise MalformedReply(f"a line of more than {self._line_limit} octets")
        if not found:
            return None
        if self._key is not None and line.startswith(b"VALUE "):
            return self._value(line, rest)
        if rest:
            raise MalformedReply("octets behind the reply")
        word = line.decode("ascii", "replace")
        if word in (("END",) if self._key is not None else ("STORED", "NOT_STORED", "DELETED", "NOT_FOUND")):
            return Reply(word, b"")
        raise MalformedReply(f"it says {repr(line[:_SHOWN])[1:]}")

    def _value(self, line: bytes, rest: bytes) -> Reply | None:
        found = _VALUE.fullmatch(line)
        if found is None or found[1] != self._key:
            raise MalformedReply(f"no value of the key: {repr(line[:_SHOWN])[1:]}")
        size = int(found[3])
        if size > self._data_limit:
            raise MalformedReply(f"a value of {size} octets; the limit is {self._data_limit}")
        end = rest[size:]
        if end == b"\r\nEND\r\n":
            return Reply("VALUE", rest[:size])
        if b"\r\nEND\r\n".startswith(end):
            return None
        raise MalformedReply("a value that is longer than it said")
