"""What header_size_limit leaves of a header: what Debian's Postfix 3.7 leaves of it."""

import pytest

from posthouse.daemons.cleanup.header_size import cut_header


@pytest.mark.parametrize(
    ("header", "limit", "left"),
    [
        (b"A: b", 4, b"A: b"),
        (b"A: bc", 4, b"A: b"),
        (b"A: b\n c", 4, b"A: b"),
        (b"A: " + b"b" * 87 + b"\n cd" + b"e" * 10, 100, b"A: " + b"b" * 87),
        (b"A: " + b"b" * 86 + b"\n cd" + b"e" * 10, 100, b"A: " + b"b" * 86 + b"\n cd" + b"e" * 7),
        (b"A: " + b"b" * 96 + b"\n c", 100, b"A: " + b"b" * 96),
        (b"A: " + b"b" * 97 + b"\n c", 100, b"A: " + b"b" * 97),
    ],
)
def test_cut_header(header: bytes, limit: int, left: bytes) -> None:
    """At the last line's end before the limit, when less than a tenth is lost by that."""
    assert cut_header(header, limit) == left
