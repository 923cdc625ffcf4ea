"""The tcp_table protocol: encoding, replies at every cut, replies that are none, and any octets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.tcp_table import MAX_REPLY, MalformedReply, Reply, ReplyReader, format_query, quote, unquote
from tests.support.pieces import read_in_pieces

GOOD = {
    b"200 one\n": Reply(200, "one"),
    b"200 one two\r\n": Reply(200, "one two"),
    b"200 one%20two%25%0a\n": Reply(200, "one two%\n"),
    b"200 \xc3\xa4\n": Reply(200, "ä"),
    b"200 %C3%a4\n": Reply(200, "ä"),
    b"200  one\n": Reply(200, "one"),
    b"200\n": Reply(200, ""),
    b"500 not found\n": Reply(500, "not found"),
    b"500\n": Reply(500, ""),
    b"400 try%20later\n": Reply(400, "try later"),
    b"200 " + b"x" * (MAX_REPLY - 5) + b"\n": Reply(200, "x" * (MAX_REPLY - 5)),
    b"200 one": None,
}
BAD = {
    "a long reply": (b"200 " + b"x" * (MAX_REPLY - 4) + b"\n", "more than"),
    "a line without end": (b"x" * MAX_REPLY, "more than"),
    "another code": (b"250 ok\n", "no reply"),
    "a code of four digits": (b"2000 ok\n", "no reply"),
    "an empty line": (b"\n", "no reply"),
    "a netstring": (b"5:OK ab,\n", "no reply"),
    "half an escape": (b"200 a%2\n", "percent"),
    "no hexadecimal digits": (b"200 a%zz\n", "percent"),
    "two replies": (b"200 a\n200 b\n", "behind"),
}


def outcome(octets: bytes, size: int) -> Reply | str | None:
    """Feed octets in pieces of a size; the reason where it is no reply."""
    return read_in_pieces(ReplyReader(), octets, size, MalformedReply)


@pytest.mark.parametrize("octets", GOOD)
@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_replies(octets: bytes, size: int) -> None:
    """Each kind of reply, however it is cut."""
    assert outcome(octets, size) == GOOD[octets]


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_reply(case: str) -> None:
    """It is said what is wrong; a server's nonsense is never an answer."""
    octets, why = BAD[case]
    found = outcome(octets, 10_000)
    assert isinstance(found, str), found
    assert why in found


def test_query() -> None:
    """Blanks, percent signs, controls and all beyond ASCII are encoded, so a key is one word of one line."""
    assert format_query("a b%\n\u00e4\udcff~") == b"get a%20b%25%0A%C3%A4%FF~\n"


@given(st.binary(max_size=60))
def test_encoding_there_and_back(octets: bytes) -> None:
    """Octets come back as they were, and travel as printable ASCII without blanks."""
    encoded = quote(octets)
    assert unquote(encoded) == octets
    assert all(0x21 <= octet < 0x7F for octet in encoded)


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=30).map(lambda text: b"200 " + text)), st.integers(1, 20))
def test_any_octets(octets: bytes, size: int) -> None:
    """No octets raise anything else, and where nothing is behind the reply the cut does not matter."""
    whole, cut = outcome(octets, 1000), outcome(octets, size)
    assert whole == cut or isinstance(whole, str)
