"""Dot-stuffing: what the client writes, the server reads back, and nothing on the wire looks like an early end."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.smtp.content import BareNewline, ContentReader
from posthouse.protocol.smtp.stuffing import END_OF_CONTENT, Stuffer, stuff_content

PIECES = st.lists(st.sampled_from([b"\n", b".", b"..", b"a", b"\n.\n", b"\r", b"\r\n", b"\xe9"]), max_size=25).map(
    b"".join
)


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"", b""),
        (b"a\n", b"a\r\n"),
        (b"a", b"a\r\n"),
        (b".\n", b"..\r\n"),
        (b"a\n.b\n..\n", b"a\r\n..b\r\n...\r\n"),
        (b"a\rb\r\n\r\r\n", b"a b\r\n\r\n"),
        (b"\r", b" \r\n"),
    ],
)
def test_content_is_stuffed(content: bytes, wire: bytes) -> None:
    """CRLF line ends, doubled dots, no bare CR, a line end at the end."""
    assert stuff_content(content) == wire


@given(PIECES.map(lambda data: data.replace(b"\r", b"")), st.sampled_from(BareNewline))
def test_server_reads_what_client_wrote(content: bytes, mode: BareNewline) -> None:
    """Stuffing and reading are inverse, in every mode of the reader."""
    reader = ContentReader(mode)
    out = reader.feed(stuff_content(content) + END_OF_CONTENT + b"QUIT\r\n")
    if content and not content.endswith(b"\n"):
        content += b"\n"
    assert (out, reader.done, reader.rest) == (content, True, b"QUIT\r\n")
    assert not reader.bare_lf
    assert reader.size_bytes == len(content) + content.count(b"\n")


@given(PIECES, st.lists(st.integers(0, 40), max_size=6))
def test_chunks_give_the_same_wire(content: bytes, cuts: list[int]) -> None:
    """However the content is cut, the same goes over the wire."""
    at = sorted({0, len(content), *(min(cut, len(content)) for cut in cuts)})
    stuffer = Stuffer()
    wire = b"".join(stuffer.feed(content[a:b]) for a, b in itertools.pairwise(at)) + stuffer.finish()
    assert wire == stuff_content(content)


@given(PIECES)
def test_wire_has_no_bare_newline_and_no_lone_dot(content: bytes) -> None:
    """CL-22: a server that is prone to smuggling sees no end but ours."""
    wire = stuff_content(content)
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", wire) is None
    assert b"\r\n.\r\n" not in b"\r\n" + wire


def test_long_runs_of_cr_take_linear_time() -> None:
    """A megabyte of CR is nothing special."""
    assert stuff_content(b"\r" * 1_000_000) == b" " * 1_000_000 + b"\r\n"
