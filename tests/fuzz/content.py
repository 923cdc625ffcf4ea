"""make fuzz-content: throw messages at what takes them apart, cut in any way.

  python -m tests.fuzz.content [--inputs N] [--seed N] [--workers N] [--block N] [--only NAME]

Nothing may raise, no octet may get lost, and neither cuts nor the ways of giving bodies may change what is told.
Blocks, seeds and the limit on time are those of tests/fuzz/root.py.
"""

import quopri
import random
import sys
from collections.abc import Sequence
from typing import Final

from posthouse.protocol.message.mime import ALL_LINES, MimeParser
from posthouse.protocol.message.mime_events import (
    DEFAULT_LIMITS,
    BodyChunk,
    BodyLine,
    Event,
    Found,
    HeaderField,
    Limits,
    Problem,
)
from posthouse.protocol.message.mime_header import parse_content_type, parse_encoding
from tests.fuzz import root
from tests.fuzz.mutate import damaged
from tests.fuzz.records import Target, targets_of
from tests.support.mime_messages import Tree, content_type, lines

INPUTS: Final = 1_000_000
TINY: Final = Limits(nesting=2, header_size=60, boundary=3, line_length=17)
SHORT: Final = DEFAULT_LIMITS._replace(line_length=40)


def damaged_tree(source: random.Random) -> bytes:
    """Give a well-formed message with mistakes."""
    return damaged(source, (Tree(source).text,))


def damaged_lines(source: random.Random) -> bytes:
    """Give lines in any order, with mistakes."""
    return damaged(source, (lines(source), content_type(source) + b"\n\n"))


def events_of(message: bytes, limits: Limits, wanted: int, size: int, *, down: bool = False) -> list[Event]:
    """Parse in chunks of one size."""
    parser = MimeParser(limits, body_lines=wanted, downgrade=down)
    pieces = [message[start : start + size] for start in range(0, len(message), size)]
    return [event for piece in pieces for event in parser.feed(piece)] + parser.close()


def octets(events: Sequence[Event]) -> bytes:
    """Put a message together again."""
    headers = [event.data + b"\n" if isinstance(event, HeaderField) else b"" for event in events]
    lines = [event.data + b"\n" * event.complete if isinstance(event, BodyLine) else b"" for event in events]
    chunks = [event.data if isinstance(event, BodyChunk) else b"" for event in events]
    return b"".join([a + b + c for a, b, c in zip(headers, lines, chunks, strict=True)])


def told(events: Sequence[Event]) -> list[Event]:
    """Give all but bodies."""
    return [event for event in events if not isinstance(event, BodyChunk | BodyLine)]


def check_mime(message: bytes) -> None:
    """The same whatever the chunks and the ways, and nothing lost where nothing is said."""
    for limits in (DEFAULT_LIMITS, TINY):
        whole = events_of(message, limits, ALL_LINES, 1 << 20)
        for wanted, size in ((ALL_LINES, 1), (0, 1 << 20), (0, 3), (20, 7)):
            other = events_of(message, limits, wanted, size)
            assert told(other) == told(whole), (limits, wanted, size)
            assert octets(other) == octets(whole), (limits, wanted, size)
    whole = events_of(message, DEFAULT_LIMITS, 0, 1 << 20)
    problems = {event.problem for event in whole if isinstance(event, Found)}
    if not problems & {Problem.NON_EMPTY_END, Problem.HEADER_TOO_LONG}:
        assert without_blanks(octets(whole)) == without_blanks(message)


def without_blanks(message: bytes) -> bytes:
    """Leave out blanks, which a header may lose before its colon, and the last line end, which it may get."""
    return message.removesuffix(b"\n").replace(b" ", b"").replace(b"\t", b"")


def check_conversion(message: bytes) -> None:
    """Cuts make no difference, and what stays 8-bit has been told."""
    whole = events_of(message, TINY, ALL_LINES, 1 << 20, down=True)
    assert events_of(message, TINY, ALL_LINES, 1, down=True) == whole
    problems = {event.problem for event in whole if isinstance(event, Found)}
    if not problems & {Problem.EIGHT_BIT_BODY, Problem.EIGHT_BIT_HEADER}:
        assert octets(whole).isascii()
    converted = octets(events_of(b"content-transfer-encoding: 8bit\n\n" + message, SHORT, ALL_LINES, 7, down=True))
    assert quopri.decodestring(converted.partition(b"\n\n")[2]) == message


def check_values(data: bytes) -> None:
    """Nothing raises, and what is found was there."""
    value = data.replace(b"\n", b"\n ")
    for boundary in parse_content_type(value).boundaries:
        assert len(boundary) < len(value)
        assert b"\n" not in boundary
    parse_encoding(value)


def targets() -> Sequence[Target]:
    """Give all targets, each with messages in any order and with damaged ones."""
    parsers = targets_of((check_mime, check_conversion), (damaged_tree, damaged_lines))
    return [*parsers, Target("values", lambda source: damaged(source, (content_type(source)[13:],)), check_values, 4)]


def main(argv: list[str] | None = None) -> int:
    """Run; exit status 1 when something was found."""
    return root.main(argv, targets(), INPUTS)


if __name__ == "__main__":
    sys.exit(main())
