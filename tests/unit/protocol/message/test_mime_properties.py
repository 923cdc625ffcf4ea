"""MimeParser over messages made by chance: what must hold for each, however it is cut into chunks."""

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

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
from tests.support.mime_messages import Tree, lines

SEEDS = st.integers(0, 2**32).map(random.Random)
TINY = Limits(nesting=2, header_size=60, boundary=3, line_length=17)
SETTINGS = [
    (limits, wanted, down)
    for limits in (DEFAULT_LIMITS, TINY)
    for wanted in (0, 20, ALL_LINES)
    for down in (False, True)
]


def parse(pieces: Sequence[bytes], limits: Limits, wanted: int, *, down: bool) -> list[Event]:
    """Give all events, chunks joined: where a chunk ends says nothing."""
    parser = MimeParser(limits, body_lines=wanted, downgrade=down)
    events: list[Event] = []
    for event in [event for piece in pieces for event in parser.feed(piece)] + parser.close():
        if events and isinstance(event, BodyChunk) and isinstance(events[-1], BodyChunk):
            events[-1] = BodyChunk(events[-1].data + event.data)
        else:
            events.append(event)
    return events


def cut(source: random.Random, message: bytes) -> list[bytes]:
    """Cut a message anywhere."""
    places = sorted(source.randrange(len(message) + 1) for _ in range(source.choice((1, 3, 30, len(message)))))
    return [message[start:end] for start, end in zip([0, *places], [*places, len(message)], strict=True)]


def octets(events: Sequence[Event]) -> bytes:
    """Put a message together again."""
    parts = []
    for event in events:
        if isinstance(event, HeaderField):
            parts.append(event.data + b"\n")
        elif isinstance(event, BodyLine):
            parts.append(event.data + b"\n" * event.complete)
        elif isinstance(event, BodyChunk):
            parts.append(event.data)
    return b"".join(parts)


def without_chunks(events: Sequence[Event]) -> list[Event]:
    """Leave out what the two ways of giving bodies differ in; headers keep all they have."""
    return [event for event in events if not isinstance(event, BodyChunk | BodyLine)]


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_cuts_make_no_difference(source: random.Random) -> None:
    """One chunk or any number of them, single octets too: the same events, under all limits and in all ways."""
    message = lines(source)
    for limits, wanted, down in SETTINGS:
        assert parse(cut(source, message), limits, wanted, down=down) == parse([message], limits, wanted, down=down)


@settings(max_examples=300, deadline=None)
@given(SEEDS)
def test_the_events_are_the_message(source: random.Random) -> None:
    """Octet by octet, except for what the module says: blanks before a colon and the empty line."""
    message = lines(source).replace(b" :", b":")
    for wanted in (0, 20, ALL_LINES):
        events = parse(cut(source, message), DEFAULT_LIMITS, wanted, down=False)
        problems = {event.problem for event in events if isinstance(event, Found)}
        if Problem.NON_EMPTY_END not in problems:
            assert octets(events) in {message, message + b"\n"}  # a last header gets its line end
        assert Problem.HEADER_TOO_LONG not in problems


@settings(max_examples=300, deadline=None)
@given(SEEDS)
def test_chunks_and_lines_tell_the_same(source: random.Random) -> None:
    """Headers, problems and octets do not depend on who wants lines."""
    message = lines(source)
    for limits in (DEFAULT_LIMITS, TINY):
        by_lines = parse([message], limits, ALL_LINES, down=False)
        for wanted in (0, 20):
            events = parse([message], limits, wanted, down=False)
            assert without_chunks(events) == without_chunks(by_lines)
            assert octets(events) == octets(by_lines)


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_trees_are_found_whole(source: random.Random) -> None:
    """Every header of a well-formed message, in order, and all the rest as it is."""
    tree = Tree(source)
    events = parse(cut(source, tree.text), DEFAULT_LIMITS, 0, down=False)
    assert [event.data for event in events if isinstance(event, HeaderField)] == tree.headers
    assert octets(events) == tree.text
    assert not [event for event in events if isinstance(event, Found)]


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_a_converted_message_is_ascii(source: random.Random) -> None:
    """What is 8-bit after the conversion has been told as a problem."""
    events = parse([lines(source)], DEFAULT_LIMITS, ALL_LINES, down=True)
    wrong = {Problem.EIGHT_BIT_BODY, Problem.EIGHT_BIT_HEADER}
    if not [event for event in events if isinstance(event, Found) and event.problem in wrong]:
        assert octets(events).isascii()
