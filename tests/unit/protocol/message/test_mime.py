"""MimeParser: structure, problems, limits, pieces, conversion; each event where it belongs."""

import pytest

from posthouse.protocol.message.mime import ALL_LINES, MimeParser
from posthouse.protocol.message.mime_events import (
    BodyChunk,
    BodyLine,
    Event,
    Found,
    HeaderField,
    HeadersEnd,
    Limits,
    MessageEnd,
    Part,
    Problem,
)

SMALL = Limits(nesting=2, header_size=40, boundary=10, line_length=16)


def parse(message: bytes, limits: Limits | None = None, *, lines: int = ALL_LINES, down: bool = False) -> list[Event]:
    """Give all events of a message that comes in one piece."""
    parser = MimeParser(limits or Limits(), body_lines=lines, downgrade=down)
    return [*parser.feed(message), *parser.close()]


def headers(events: list[Event]) -> list[tuple[Part, bytes]]:
    """Give the headers among the events."""
    return [(event.part, event.data) for event in events if isinstance(event, HeaderField)]


def body(events: list[Event]) -> bytes:
    """Put the body lines together."""
    lines = [event for event in events if isinstance(event, BodyLine)]
    return b"".join(line.data + b"\n" * line.complete for line in lines)


def found(events: list[Event]) -> list[tuple[Problem, bytes]]:
    """Give the problems among the events."""
    return [(event.problem, event.text) for event in events if isinstance(event, Found)]


def test_an_empty_message_has_a_header_that_ends() -> None:
    """Nothing in: the header and the message end, and no empty line is made."""
    assert parse(b"") == [HeadersEnd(), MessageEnd()]


def test_a_message_without_body() -> None:
    """The last header counts, with or without a line end."""
    header = HeaderField(Part.MAIN, b"a", b"A: b", 0)
    assert parse(b"A: b\n") == parse(b"A: b") == [header, HeadersEnd(), MessageEnd()]


def test_folded_headers_and_blanks_before_the_colon() -> None:
    """Folded lines stay as they are; blanks before a colon, which RFC 5322 made obsolete, go."""
    events = parse(b"Sub \t : a\n b\n\t\n c\nX:\n\ntext\n")
    assert headers(events) == [(Part.MAIN, b"Sub: a\n b\n\t\n c"), (Part.MAIN, b"X:")]
    assert body(events) == b"\ntext\n"


@pytest.mark.parametrize("line", [b"no header", b": x", b"a b: c", b"\xc3\xa4: x", b" folded", b"From x:y"])
def test_a_line_that_is_no_header_begins_the_body(line: bytes) -> None:
    """An empty line is put before it, and the problem is told before the header ends."""
    events = parse(line + b"\nTo: x\n")
    assert events[:2] == [Found(Problem.NON_EMPTY_END, line), HeadersEnd()]
    lines = [event for event in events if isinstance(event, BodyLine)]
    assert lines[:2] == [BodyLine(b"", 0, complete=True), BodyLine(line, 0, complete=True)]
    assert body(events) == b"\n" + line + b"\nTo: x\n"


MULTIPART = b'content-type: multipart/x; boundary="b"\n\npro\n--b\nA: 1\n\none\n--b\nB: 2\n\ntwo\n--b--\nepi\n'


def test_parts_have_headers() -> None:
    """A boundary begins a header block, the closing one the epilogue; all but headers is body."""
    events = parse(MULTIPART)
    assert headers(events)[1:] == [(Part.MULTIPART, b"A: 1"), (Part.MULTIPART, b"B: 2")]
    assert body(events) == b"\npro\n--b\n\none\n--b\n\ntwo\n--b--\nepi\n"


def test_offsets_begin_anew_with_each_segment() -> None:
    """Behind each header block and at a closing boundary."""
    lines = [(event.offset, event.data) for event in parse(MULTIPART) if isinstance(event, BodyLine)]
    assert lines[:3] == [(0, b""), (1, b"pro"), (5, b"--b")]
    assert lines[3:6] == [(0, b""), (1, b"one"), (5, b"--b")]
    assert lines[-2:] == [(0, b"--b--"), (6, b"epi")]


def test_a_closed_multipart_has_no_more_parts() -> None:
    """Its boundary is text behind its end; one further out is none of that."""
    outer = b"content-type: multipart/x; boundary=out\n\n--out\n" + MULTIPART + b"--b\nC: 3\n--out\nD: 4\n\n"
    assert headers(parse(outer))[-1] == (Part.MULTIPART, b"D: 4")
    assert b"--b\nC: 3\n" in body(parse(outer))


def test_an_outer_boundary_ends_what_is_within_it() -> None:
    """Missing closing boundaries do not matter."""
    inner = b"content-type: multipart/x; boundary=in\n\n--in\nA: 1\n\n"
    events = parse(b"content-type: multipart/x; boundary=out\n\n--out\n" + inner + b"--out\nB: 2\n\n--in\nC: 3\n")
    assert [data for _, data in headers(events)][-2:] == [b"A: 1", b"B: 2"]


def test_a_digest_has_messages_for_parts() -> None:
    """RFC 2046 5.1.5: each part is message/rfc822 unless it says otherwise."""
    events = parse(
        b"content-type: multipart/digest; boundary=b\n\n--b\n\nTo: x\n\nbody\n--b\ncontent-type: text/plain\n\nTo: y\n"
    )
    assert (Part.NESTED, b"To: x") in headers(events)
    assert (Part.NESTED, b"To: y") not in headers(events)


def test_attached_messages_within_each_other() -> None:
    """Each has a header of its own."""
    events = parse(b"content-type: message/rfc822\n\n" * 5 + b"A: b\n\ntext\n")
    assert headers(events)[-1] == (Part.NESTED, b"A: b")
    assert body(events).endswith(b"\ntext\n")


def test_only_the_first_of_each_kind_of_problem_is_told() -> None:
    """Each kind once, with at most 100 octets of text."""
    events = parse(b"A: \xff\nB: \xff\n\n" + b"x" * 99 + b"\xff\xff\n\xff\n")
    assert found(events) == [
        (Problem.EIGHT_BIT_HEADER, b"A: \xff"),
        (Problem.EIGHT_BIT_BODY, b"x" * 99 + b"\xff"),
    ]


def test_eight_bit_text_where_it_may_be() -> None:
    """A part that says 8bit or binary may have it; the text before the first part may not."""
    assert not found(parse(b"content-transfer-encoding: 8BIT\n\n\xff\n"))
    assert not found(parse(b"content-transfer-encoding: (x) binary\n\n\xff\n"))
    pro = b"content-type: multipart/x; boundary=b\ncontent-transfer-encoding: 8bit\n\n"
    assert found(parse(pro + b"\xff\n--b\n\n")) == [(Problem.EIGHT_BIT_BODY, b"\xff")]


@pytest.mark.parametrize(
    ("content_type", "encoding", "told"),
    [
        ("multipart/x; boundary=b", "base64", b"base64"),
        ("message/rfc822", "quoted-printable", b"quoted-printable"),
        ("message/partial", "8bit", b"8bit"),
        ("message/external-body", "binary", b"binary"),
        ("message/global", "base64", None),
        ("message/delivery-status", "8bit", None),
        ("message/rfc822", "8bit", None),
        ("text/plain", "base64", None),
    ],
)
def test_what_has_structure_may_not_be_encoded(content_type: str, encoding: str, told: bytes | None) -> None:
    """RFC 2045 6.4; message/global may (RFC 6532 3.7)."""
    message = f"content-type: {content_type}\ncontent-transfer-encoding: {encoding}\n\n".encode()
    assert found(parse(message)) == ([(Problem.ENCODING_DOMAIN, told)] if told else [])


def test_a_long_header_is_cut() -> None:
    """Whole lines are kept until the limit is reached, what comes after is dropped; the next header is whole."""
    folded = b"\n 234567890" * 6
    events = parse(b"A: 4567890" + folded + b"\nB: c\n\n", SMALL)
    assert headers(events) == [(Part.MAIN, b"A: 4567890" + folded[:33]), (Part.MAIN, b"B: c")]
    assert found(events) == [(Problem.HEADER_TOO_LONG, b"A: 4567890" + folded[:33])]


def test_nesting_is_limited() -> None:
    """Two more than the limit may be open, as with Postfix; further boundaries are text."""
    level = b"content-type: multipart/x; boundary=%d\n\n--%d\n"
    message = b"".join(level % (number, number) for number in range(5))
    events = parse(message, Limits(nesting=2))
    assert found(events) == [(Problem.NESTING, b"content-type: multipart/x; boundary=4")]
    assert body(events).endswith(b"\n--4\n")


def test_a_long_boundary_is_known_by_its_beginning() -> None:
    """mime_boundary_length_limit: what is beyond it is not compared."""
    message = b"content-type: multipart/x;\n boundary=\n 1234567890abc\n\n--1234567890zz\nA: b\n\n"
    assert (Part.MULTIPART, b"A: b") in headers(parse(message, SMALL._replace(header_size=99)))


def test_long_lines_come_in_pieces() -> None:
    """Each is as long as the limit, but the last; a boundary does not begin in the midst of a line."""
    events = parse(b"\n" + b"a" * 40 + b"\nb\n", SMALL)
    pieces = [(event.data, event.offset, event.complete) for event in events if isinstance(event, BodyLine)]
    assert pieces[1:4] == [(b"a" * 16, 1, False), (b"a" * 16, 18, False), (b"a" * 8, 35, True)]
    message = b"content-type: multipart/x;\n boundary=b\n\n" + b"a" * 16 + b"--b\nA: b\n\n"
    assert (Part.MULTIPART, b"A: b") not in headers(parse(message, SMALL))


def test_a_long_header_line_is_one_header() -> None:
    """Its pieces are put together."""
    line = b"A: " + b"b" * 30
    assert headers(parse(line + b"\nC: d\n\n", SMALL)) == [(Part.MAIN, line), (Part.MAIN, b"C: d")]


def test_a_last_line_without_end_is_not_complete() -> None:
    """So that whoever writes the message does not add one."""
    assert parse(b"\nabc")[-2] == BodyLine(b"abc", 1, complete=False)
    assert parse(b"\nabc", lines=0)[-2] == BodyChunk(b"abc")


def test_lines_only_where_they_are_wanted() -> None:
    """The first octets of each segment come as lines, the rest as chunks."""
    text = b"line\n" * 100
    message = b"content-type: multipart/x; boundary=b\n\n" + text + b"--b\nA: b\n\n" + text
    lines = [event.offset for event in parse(message, lines=12) if isinstance(event, BodyLine)]
    assert lines == [0, 1, 6, 11] * 2
    none = parse(message, lines=0)
    assert not [event for event in none if isinstance(event, BodyLine)]
    assert BodyChunk(text) in none


def test_the_line_of_an_eight_bit_octet_is_told_from_a_chunk() -> None:
    """The same text as with lines."""
    message = b"\n" + b"line\n" * 50 + b"a" * 20 + b"\xffb\nc\n"
    assert (
        found(parse(message, SMALL, lines=0))
        == found(parse(message, SMALL))
        == [(Problem.EIGHT_BIT_BODY, b"a" * 4 + b"\xffb")]
    )


def test_conversion_of_a_message_with_parts() -> None:
    """8-bit parts become quoted-printable, what holds them 7bit; the rest stays as it is."""
    message = (
        b"content-type: multipart/x; boundary=b\ncontent-transfer-encoding: 8bit\n\n"
        b"--b\ncontent-transfer-encoding: 8bit\nA: b\n\n\xc3\xa4=\n"
        b"--b\ncontent-transfer-encoding: base64\n\nw6Q=\n--b--\n"
    )
    events = parse(message, down=True)
    assert headers(events)[1] == (Part.MAIN, b"Content-Transfer-Encoding: 7bit")
    assert headers(events)[2:4] == [
        (Part.MULTIPART, b"A: b"),
        (Part.MULTIPART, b"Content-Transfer-Encoding: quoted-printable"),
    ]
    assert b"\n=C3=A4=3D\n--b\n" in body(events)
    assert body(events).endswith(b"\nw6Q=\n--b--\n")


def test_conversion_loses_no_last_line() -> None:
    """A line without end is converted, too."""
    assert body(parse(b"content-transfer-encoding: 8bit\n\nab\xff", down=True)) == b"\nab=FF"
