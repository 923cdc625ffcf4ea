"""LineEncoder: what it makes is quoted-printable of the same octets, whatever pieces they come in."""

import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.message.quoted_printable import LineEncoder, encode_lines

LINE_LIMIT = 76  # octets; RFC 2045 6.7 (5)
LINES = st.binary(max_size=300).map(lambda line: line.replace(b"\n", b""))


@given(LINES)
def test_the_standard_decoder_gives_the_line_back(line: bytes) -> None:
    """Lines are short, ASCII, and end in no blank."""
    encoded = LineEncoder().encode(line, complete=True)
    assert all(len(part) <= LINE_LIMIT and part.isascii() and part == part.rstrip() for part in encoded)
    assert quopri.decodestring(b"\n".join(encoded)) == line


@given(LINES, st.lists(st.integers(0, 300), max_size=5))
def test_pieces_make_no_difference(line: bytes, cuts: list[int]) -> None:
    """Cut anywhere, the same lines come out."""
    places = sorted({min(cut, len(line)) for cut in cuts} | {0})
    encoder, lines = LineEncoder(), []
    for start, end in zip(places, [*places[1:], len(line)], strict=True):
        lines += encoder.encode(line[start:end], complete=end == len(line) and start == places[-1])
    assert lines == LineEncoder().encode(line, complete=True)


@given(st.lists(st.one_of(LINES, st.text("a= \t\xe4", max_size=160).map(lambda text: text.encode("latin-1")))))
def test_lines_together_are_encoded_as_one_after_the_other(lines: list[bytes]) -> None:
    """A whole buffer gives the same octets."""
    encoded = [part for line in lines for part in LineEncoder().encode(line, complete=True)]
    assert encode_lines(b"".join(line + b"\n" for line in lines)) == b"".join(part + b"\n" for part in encoded)


@pytest.mark.parametrize(
    ("line", "encoded"),
    [
        (b"", [b""]),
        (b"a b\t", [b"a b=09"]),
        (b" ", [b"=20"]),
        (b"a\x7f=\r", [b"a=7F=3D=0D"]),
        (b"x" * 73, [b"x" * 73]),
        (b"x" * 74, [b"x" * 73 + b"=", b"x"]),
        (b"x" * 72 + b"\xff", [b"x" * 72 + b"=FF"]),
        (b"x" * 72 + b"\xff\xff", [b"x" * 72 + b"=FF=", b"=FF"]),
        (b"x" * 71 + b"\xff\xff", [b"x" * 71 + b"=FF=", b"=FF"]),
    ],
)
def test_examples(line: bytes, encoded: list[bytes]) -> None:
    """Blanks at the end, controls, and where a line is full."""
    assert LineEncoder().encode(line, complete=True) == encoded
