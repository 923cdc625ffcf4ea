"""Headers: cut off whole buffers, whatever is in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.message.headers import End, Field, fix_first_line, join_header, make_field, split_header, unfold


def test_header_and_body_are_told_apart() -> None:
    """Fields keep their bytes, names are lower case, the body begins behind the empty line."""
    content = b"Subject: a\n b\nX-Y :c\nTO:\n\nbody: x\n"
    header = split_header(content)
    assert header.fields == [Field(b"subject", b"Subject: a\n b"), Field(b"x-y", b"X-Y :c"), Field(b"to", b"TO:")]
    assert content[header.body_start :] == b"body: x\n"
    assert header.end is End.EMPTY_LINE
    assert [field.value for field in header.fields] == [b"a b", b"c", b""]
    assert header.get(b"x-y") == header.fields[1]
    assert header.get(b"cc") is None
    assert join_header(header.fields) + b"\n" == content[: header.body_start]


@pytest.mark.parametrize(
    ("content", "count", "start", "end"),
    [
        (b"", 0, 0, End.END),
        (b"\n", 0, 1, End.EMPTY_LINE),
        (b"text\n", 0, 0, End.TEXT),
        (b"a: b\ntext\n", 1, 5, End.TEXT),
        (b"a: b", 1, 4, End.END),
        (b"a: b\n", 1, 5, End.END),
        (b": b\n", 0, 0, End.TEXT),
        (b"a b: c\n", 0, 0, End.TEXT),
        (b"\xc3\xa9: c\n", 0, 0, End.TEXT),
        (b" a: b\n", 0, 0, End.TEXT),
        (b"a: b\n \n\nx", 1, 8, End.EMPTY_LINE),
        (b"a: b\n\x0bc\n", 1, 5, End.TEXT),
    ],
)
def test_what_ends_a_header(content: bytes, count: int, start: int, end: End) -> None:
    """An empty line, text that is no field, or the end of the message."""
    header = split_header(content)
    assert (len(header.fields), header.body_start, header.end) == (count, start, end)


def test_long_fields_are_cut() -> None:
    """Beyond header_size_limit the rest of a field is dropped, and the message goes on."""
    header = split_header(b"A: " + b"x" * 50 + b"\n" + b" y\n" * 50 + b"B: c\n\n", 20)
    assert header.truncated
    assert [len(field.raw) for field in header.fields] == [20, 4]


def test_large_headers_take_linear_time() -> None:
    """60,000 fields, 9,000 continuation lines, a megabyte of blanks."""
    assert len(split_header(b"A: b\n" * 60_000 + b"\nx").fields) == 60_000
    assert len(split_header(b"X-F: a\n" + b" f\n" * 300_000 + b"\nx", 10**7).fields) == 1
    assert len(split_header(b"X" + b" " * 1_000_000 + b"x").fields) == 0
    assert len(split_header(b"X: a" + b" " * 1_000_000 + b"b\n\n", 10**7).fields) == 1


def test_first_line() -> None:
    """Mailbox separators and leading white space never become part of the header."""
    assert fix_first_line(b"From x Mon\nA: b\n").startswith(b"X-Mailbox-Line: From x")
    assert fix_first_line(b">From x\n").startswith(b"X-Mailbox-Line: >From x")
    assert fix_first_line(b" x\n") == b"\n x\n"
    assert fix_first_line(b"From: x\n") == b"From: x\n"
    assert fix_first_line(b"") == b""


def test_fields_are_made() -> None:
    """Name, colon, blank, value."""
    assert make_field(b"Subject", b"x") == Field(b"subject", b"Subject: x")
    assert unfold(b" a\n\tb\nc") == b" a\tb\nc"


@given(st.binary(max_size=200))
def test_nothing_is_lost(content: bytes) -> None:
    """Fields and body together are the content, for every content."""
    header = split_header(content)
    front = join_header(header.fields)
    if header.end is End.EMPTY_LINE:
        front += b"\n"
    rest = content[header.body_start :]
    assert front + rest == content or (header.end is End.END and front == content + b"\n")
