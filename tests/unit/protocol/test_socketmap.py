"""The socketmap protocol: replies at every cut, replies that are none, and any octets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.socketmap import MalformedReply, Reply, ReplyReader, format_query, netstring
from tests.support.pieces import read_in_pieces

LIMIT = 100
GOOD = {
    b"5:OK ab,": Reply("OK", "ab"),
    b"6:OK a b,": Reply("OK", "a b"),
    b"3:OK ,": Reply("OK", ""),
    b"9:NOTFOUND ,": Reply("NOTFOUND", ""),
    b"8:NOTFOUND,": Reply("NOTFOUND", ""),
    b"8:TEMP off,": Reply("TEMP", "off"),
    b"8:TIMEOUT ,": Reply("TIMEOUT", ""),
    b"7:PERM no,": Reply("PERM", "no"),
    b"6:OK ,,,,": Reply("OK", ",,,"),
    "6:OK ä,".encode() + b"": None,  # one octet short: ä has two
    netstring(b"OK " + b"x" * 97): Reply("OK", "x" * 97),
}
BAD = {
    "a reply above the limit": (netstring(b"OK " + b"x" * 98), "limit is 100"),
    "a length without end": (b"9999", "more than 100"),
    "a length without a number": (b":OK a,", "no netstring"),
    "leading zeros": (b"05:OK ab,", "no netstring"),
    "a sign": (b"+5:OK ab,", "no netstring"),
    "digits of another script": ("\u0665:OK ab,".encode(), "no netstring"),
    "another protocol": (b"200 ab\n", "no netstring"),
    "another end": (b"5:OK ab;", "comma"),
    "two replies": (b"5:OK ab,5:OK ab,", "behind"),
    "no status": (b"2:ab,", "no status"),
    "small letters": (b"5:ok ab,", "no status"),
    "nothing": (b"0:,", "no status"),
}


def outcome(octets: bytes, size: int) -> Reply | str | None:
    """Feed octets in pieces of a size; the reason where it is no reply."""
    return read_in_pieces(ReplyReader(LIMIT), octets, size, MalformedReply)


@pytest.mark.parametrize("octets", GOOD)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_replies(octets: bytes, size: int) -> None:
    """Each kind of reply, however it is cut."""
    assert outcome(octets, size) == GOOD[octets]


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_reply(case: str) -> None:
    """It is said what is wrong; a server's nonsense is never an answer."""
    octets, why = BAD[case]
    found = outcome(octets, 1000)
    assert isinstance(found, str), found
    assert why in found


def test_query() -> None:
    """Name and key in one netstring; octets that are no UTF-8 stay what they are."""
    assert netstring(format_query("aliases", "a b\udcff")) == b"12:aliases a b\xff,"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20), st.integers(1, 9))
def test_values_come_through(text: str, size: int) -> None:
    """Any value that is sent is the value that is read."""
    assert outcome(netstring(f"OK {text}".encode()), size) == Reply("OK", text)


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=20).map(netstring)), st.integers(1, 20))
def test_any_octets(octets: bytes, size: int) -> None:
    """No octets raise anything else, and where nothing is behind the reply the cut does not matter."""
    whole, cut = outcome(octets, 1000), outcome(octets, size)
    assert whole == cut or isinstance(whole, str)
