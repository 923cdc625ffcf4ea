"""Long lines are cut for the wire, the blanks that are put in counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.daemons.smtp.content import LineSplitter, split_long_lines


@pytest.mark.parametrize(
    ("line", "wire"),
    [
        (b"", b""),
        (b"1234567", b"1234567"),
        (b"12345678", b"1234567\n 8"),
        (b"1234567abcdef", b"1234567\n abcdef"),
        (b"1234567abcdefX", b"1234567\n abcdef\n X"),
    ],
)
def test_no_line_is_longer_than_the_limit(line: bytes, wire: bytes) -> None:
    """What goes on begins with a blank and is as short as the rest; seen with Postfix 3.7."""
    for end in (b"", b"\n", b"\nshort\n"):
        assert split_long_lines(line + end, 7) == wire + end
        assert split_long_lines(b"short\n" + line + end, 7) == b"short\n" + wire + end


@given(st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\r", b"\n"))), st.integers(2, 9))
def test_pieces_are_cut_like_the_whole(pieces: list[bytes], limit: int) -> None:
    """Content that comes in pieces ends up the same, and no line is longer."""
    splitter = LineSplitter(limit)
    wire = b"".join([*map(splitter.feed, pieces), splitter.finish()])
    assert wire == split_long_lines(b"".join(pieces), limit)
    assert all(len(line) <= limit for line in wire.split(b"\n"))
