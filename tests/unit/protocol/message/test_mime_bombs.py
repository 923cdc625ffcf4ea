"""Bombs: twice as large, they make at most twice the work, and nothing that is kept grows with them.

Work is counted, not timed: calls of functions, of Python and of C, and octets that searches and copies go over.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Final, SupportsIndex

import pytest

from posthouse.protocol.message.mime import ALL_LINES, MimeParser
from posthouse.protocol.message.mime_events import DEFAULT_LIMITS, HeaderField
from posthouse.protocol.message.mime_header import parse_content_type

N: Final = 120
CHUNK: Final = 512
GROWTH: Final = 2.2  # of work, when the bomb doubles
KEPT: Final = DEFAULT_LIMITS.header_size + 2 * DEFAULT_LIMITS.line_length  # octets, beside boundaries
PART: Final = b'content-type: multipart/x; boundary="%d"\n\n--%d\n'
RFC822: Final = b"content-type: message/rfc822\n\n"

BOMBS: Final[dict[str, Callable[[int], bytes]]] = {
    "headers": lambda n: b"a: b\n" * n,
    "folds": lambda n: b"a: b\n" + b" \n" * n,
    "a header of one line": lambda n: b"a: " + b"b" * (50 * n),
    "a name without end": lambda n: b"a" * (50 * n),
    "multiparts within each other": lambda n: b"".join([PART % (number, number) for number in range(n)]),
    "messages within each other": lambda n: RFC822 * n,
    "parts without header": lambda n: PART % (1, 1) + b"\n--1\n" * n,
    "empty lines": lambda n: b"\n" * (10 * n),
    "one line": lambda n: b"\nx" + b"y" * (50 * n),
    "lines like boundaries": lambda n: many_boundaries() + b"--x\n" * n,
    "boundaries one after the other": lambda n: many_boundaries() + b"--99\n\n--98\n" + PART % (99, 99) * n,
    "boundaries in one header": lambda n: b"content-type: multipart/x" + b";\n boundary=%d" * n % (*range(n),),
    "content types": lambda n: b"content-type: multipart/x; boundary=a; boundary=b\n" * n,
    "text of eight bits": lambda n: b"content-transfer-encoding: 8bit\n\n" + b"\xff \n" * n,
}
VALUES: Final[dict[str, bytes]] = {
    "parts of RFC 2231": b"; boundary*%d=x" * 2,
    "parentheses that open": b"(",
    "parentheses": b"(())",
    "parentheses of three levels": b"((()))",
    "blanks": b" \t\n",
    "folds in quotes": b' "a \n"',
    "backslashes": b"\\",
    "quotes": b'"',
    "semicolons": b";",
    "words": b" a",
    "empty boundaries": b';boundary=""',
    "boundaries that are none": b";boundary",
}


def many_boundaries() -> bytes:
    """Open as many multiparts as may be, with boundaries that have nothing in common."""
    return b"".join([PART % (number, number) for number in range(100)])


class Counted(bytes):
    """Octets that count how many of them are looked at by searching and copying."""

    looked = 0

    def find(self, needle: object, start: object = 0, end: object = None) -> int:
        """Count up to what is found."""
        assert isinstance(needle, bytes)
        assert isinstance(start, int)
        stop = end if isinstance(end, int) else len(self)
        found = super().find(needle, start, stop)
        Counted.looked += (min(stop, len(self)) if found < 0 else found) - start
        return found

    def __getitem__(self, key: SupportsIndex | slice) -> int | bytes:  # type: ignore[override]
        """Count what is copied."""
        found = super().__getitem__(key)
        Counted.looked += len(found) if isinstance(found, bytes) else 1
        return found


def work(function: Callable[[], None]) -> int:
    """Count calls and octets."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    Counted.looked = 0
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls + Counted.looked // 8


def chunks(message: bytes, size: int) -> Iterator[bytes]:
    """Cut a message."""
    return (Counted(message[start : start + size]) for start in range(0, len(message), size))


def swallow(pieces: Iterable[bytes], *, lines: int) -> None:
    """Parse a message."""
    parser = MimeParser(body_lines=lines, downgrade=True)
    for piece in pieces:
        parser.feed(piece)
    parser.close()


@pytest.mark.parametrize("lines", [0, ALL_LINES])
@pytest.mark.parametrize("bomb", BOMBS)
def test_little_is_kept(bomb: str, lines: int) -> None:
    """Between chunks: part of a line, one header, the boundaries; each within its limit."""
    parser = MimeParser(body_lines=lines)
    for piece in chunks(BOMBS[bomb](30 * N), CHUNK):
        parser.feed(piece)
        assert len(parser._rest) + len(parser._field) <= KEPT
        assert len(parser._open) <= DEFAULT_LIMITS.nesting + 2
        assert all(len(multipart.mark) <= DEFAULT_LIMITS.boundary + 2 for multipart in parser._open)


@pytest.mark.parametrize("size", [1 << 30, CHUNK, 7])
@pytest.mark.parametrize("lines", [0, ALL_LINES])
@pytest.mark.parametrize("bomb", BOMBS)
def test_work_grows_with_the_message(bomb: str, lines: int, size: int) -> None:
    """From n to 2n to 4n, in one chunk, in chunks and in tiny ones."""

    def run(number: int) -> int:
        return work(lambda: swallow(chunks(BOMBS[bomb](number), size), lines=lines))

    first, second, third = run(N), run(2 * N), run(4 * N)
    assert second <= GROWTH * first
    assert third <= GROWTH * second


def test_a_header_far_beyond_its_limit() -> None:
    """What is dropped costs no more than what is kept: copying the header for each dropped line would take minutes."""
    parser = MimeParser()
    events = parser.feed(b"a: b\n" + b" \n" * 500_000 + b"\n")
    assert [type(event).__name__ for event in events] == ["Found", "HeaderField", "HeadersEnd", "BodyChunk"]
    assert [len(event.data) for event in events if isinstance(event, HeaderField)] == [DEFAULT_LIMITS.header_size]


@pytest.mark.parametrize("bomb", VALUES)
def test_work_grows_with_the_content_type(bomb: str) -> None:
    """The value of one header, as large as one may be and half of it."""
    whole = b"multipart/x" + VALUES[bomb] * (DEFAULT_LIMITS.header_size // len(VALUES[bomb]))

    def run(value: bytes) -> None:
        parse_content_type(Counted(value))

    half = work(lambda: run(whole[: len(whole) // 2]))
    assert work(lambda: run(whole)) <= GROWTH * half
    assert half <= len(whole) * 4


def test_the_count_finds_what_is_quadratic() -> None:
    """The measure itself: searching from the start again for each line would be found."""

    def quadratic(message: bytes) -> None:
        for number in range(message.count(b"\n")):
            message.find(b"%d\n" % number, 0)

    small, large = (Counted(b"".join([b"%d\n" % number for number in range(n)])) for n in (N, 2 * N))
    assert work(lambda: quadratic(large)) > GROWTH * work(lambda: quadratic(small))
