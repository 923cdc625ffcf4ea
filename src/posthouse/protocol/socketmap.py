"""The socketmap protocol: one netstring "name key" asks, one netstring answers. No I/O.

A ReplyReader takes octets as they come. Invariant (tests/unit/protocol/test_socketmap.py): no octets make it raise
anything but MalformedReply, and the outcome does not depend on where they were cut. Not here: time limits, which
replies are kept. Sources: socketmap_table(5); D. J. Bernstein, "Netstrings".
"""

from typing import Final, NamedTuple

FOUND: Final = "OK"
NOT_FOUND: Final = "NOTFOUND"
FAILURES: Final = ("TEMP", "TIMEOUT", "PERM")
_STATUSES: Final = frozenset((FOUND, NOT_FOUND, *FAILURES))
_SHOWN: Final = 30  # octets of a reply that an error shows


class MalformedReply(ValueError):
    """What the server sent is no reply; str() says why."""


class Reply(NamedTuple):
    """A reply. status: FOUND, NOT_FOUND or one of FAILURES; text: the value, or the reason."""

    status: str
    text: str


def format_query(name: str, key: str) -> bytes:
    """Write a query, not wrapped yet. What was no UTF-8 goes out as it came in."""
    return f"{name} {key}".encode("utf-8", "surrogateescape")


def netstring(payload: bytes) -> bytes:
    """Wrap octets as a netstring."""
    return b"%d:%b," % (len(payload), payload)


class ReplyReader:
    """See the module's docstring. limit: octets of a reply without its wrapping."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._digits = len(str(limit))
        self._data = bytearray()
        self._ends_at = -1  # octets of the whole netstring, when its length is known
        self._begins_at = 0

    def receive(self, data: bytes) -> Reply | None:
        """Take octets; None: more are needed. Raises MalformedReply."""
        self._data += data
        if self._ends_at < 0 and not self._read_length():
            return None
        if len(self._data) < self._ends_at:
            return None
        if len(self._data) > self._ends_at:
            raise MalformedReply("octets behind the reply")
        if self._data[-1:] != b",":
            raise MalformedReply("a netstring that does not end in a comma")
        return _parse(bytes(self._data[self._begins_at : -1]))

    def _read_length(self) -> bool:
        head = bytes(self._data[: self._digits + 1])
        digits, colon, _ = head.partition(b":")
        if not _is_number(digits) and (colon or digits):
            raise MalformedReply(f"no netstring: {_shown(head)}")
        if not colon:
            if len(digits) > self._digits:
                raise MalformedReply(f"a reply of more than {self._limit} octets")
            return False
        size = int(digits)
        if size > self._limit:
            raise MalformedReply(f"a reply of {size} octets; the limit is {self._limit}")
        self._begins_at = len(digits) + 1
        self._ends_at = self._begins_at + size + 1
        return True


def _is_number(digits: bytes) -> bool:
    return digits.isdigit() and (digits == b"0" or not digits.startswith(b"0"))


def _parse(payload: bytes) -> Reply:
    word, _, text = payload.decode("utf-8", "surrogateescape").partition(" ")
    if word not in _STATUSES:
        raise MalformedReply(f"no status in {_shown(payload)}")
    return Reply(word, text)


def _shown(data: bytes) -> str:
    return repr(data[:_SHOWN])[1:]
