"""What smtpd puts before a message."""

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from posthouse.daemons.smtpd.transaction import Transaction, one_field
from posthouse.ipc.origin import Origin
from posthouse.protocol.smtp.events import Mail

LONG = b">>From " + b"me " * 900 + b"\n"
LINES = st.lists(
    st.sampled_from(
        [
            b"From me\n",
            b">From ",
            b">",
            b"F",
            b"Fro",
            b"From",
            b"m",
            b"\n",
            b" x\n",
            b"\tx",
            b"a: b\n",
            LONG,
            b">" * 2100,
        ]
    ),
    max_size=6,
).map(b"".join)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("X-Seen: yes", b"X-Seen: yes\n"),
        ("X-Tab:\tyes", b"X-Tab:\tyes\n"),
        ("X-A: 1\nX-B: 2", b"X-A: 1 X-B: 2\n"),
        ("X-A: 1\r\n\r\nbody\0", b"X-A: 1    body \n"),
        ("X-Name: J\udcf6rg \u00e9", b"X-Name: J\xf6rg \xc3\xa9\n"),
    ],
)
def test_what_a_table_prepends_is_one_field(text: str, field: bytes) -> None:
    """A value with line ends, of a database for example, neither adds fields nor ends the header."""
    assert one_field(text) == field


class Written:
    """What goes to cleanup, as octets."""

    congested = ended = False

    def __init__(self) -> None:
        self.octets = b""

    def content(self, data: bytes) -> None:
        """Take content."""
        self.octets += data


def written(pieces: list[bytes]) -> bytes:
    """Write content in pieces; give what cleanup would get."""
    transaction = Transaction(Mail("", "<>"), 0, Origin("", 0, False), [])
    transaction._cleanup = cleanup = Written()  # type: ignore[assignment]
    for piece in pieces:
        transaction.write(piece)
    return cleanup.octets


@given(LINES, st.lists(st.integers(0, 3000), max_size=6))
@example(LONG + b" x\n", [2100])
@example(b"F", [0])
def test_lines_of_a_mailbox_at_the_top_do_not_depend_on_cuts(text: bytes, cuts: list[int]) -> None:
    """Each "From " line at the top becomes a field, however long it is and however it comes."""
    text += b"x\n"
    expected, rest = b"", text
    while (match := re.match(rb">{0,2000}+From .*\n", rest)) is not None:
        expected, rest = expected + b"X-Mailbox-Line: " + match[0], rest[match.end() :]
    expected += (b"\n" if rest[:1] in (b" ", b"\t") else b"") + rest
    at = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    for pieces in ([text], [text[a:b] for a, b in itertools.pairwise(at)], [text[i : i + 1] for i in range(len(text))]):
        assert written(pieces) == expected
