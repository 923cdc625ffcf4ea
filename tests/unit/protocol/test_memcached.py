"""The text protocol of memcached: commands, replies at every cut, replies that are none, and any octets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.memcached import (
    MAX_KEY,
    MalformedReply,
    Reply,
    ReplyReader,
    format_delete,
    format_get,
    format_set,
    is_key,
)
from tests.support.pieces import read_in_pieces

GOOD_GET = {
    b"END\r\n": Reply("END", b""),
    b"VALUE k 0 3\r\none\r\nEND\r\n": Reply("VALUE", b"one"),
    b"VALUE k 7 3 12\r\none\r\nEND\r\n": Reply("VALUE", b"one"),
    b"VALUE k 0 0\r\n\r\nEND\r\n": Reply("VALUE", b""),
    b"VALUE k 0 7\r\n\r\nEND\r\n\r\nEND\r\n": Reply("VALUE", b"\r\nEND\r\n"),
    b"VALUE k 0 3\r\none": None,
    b"VALUE k 0 3\r\none\r\nEND": None,
}
BAD_GET = {
    "an error": (b"SERVER_ERROR out of memory\r\n", "SERVER_ERROR"),
    "no command": (b"ERROR\r\n", "ERROR"),
    "another key": (b"VALUE other 0 3\r\none\r\nEND\r\n", "no value of the key"),
    "no length": (b"VALUE k 0\r\none\r\nEND\r\n", "no value of the key"),
    "a negative length": (b"VALUE k 0 -3\r\none\r\nEND\r\n", "no value of the key"),
    "a large value": (b"VALUE k 0 101\r\n", "limit is 100"),
    "a longer value": (b"VALUE k 0 2\r\none\r\nEND\r\n", "longer"),
    "two values": (b"VALUE k 0 3\r\none\r\nVALUE k 0 3\r\none\r\nEND\r\n", "longer"),
    "a long line": (b"x" * 61, "more than 60"),
    "the reply to another command": (b"STORED\r\n", "STORED"),
    "two replies": (b"END\r\nEND\r\n", "behind"),
}


def outcome(octets: bytes, size: int, key: bytes | None = b"k") -> Reply | str | None:
    """Feed octets in pieces of a size; the reason where it is no reply."""
    return read_in_pieces(ReplyReader(key, line_limit=60, data_limit=100), octets, size, MalformedReply)


@pytest.mark.parametrize("octets", GOOD_GET)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_replies_to_a_get(octets: bytes, size: int) -> None:
    """Values are told by their length, however they are cut and whatever is in them."""
    assert outcome(octets, size) == GOOD_GET[octets]


@pytest.mark.parametrize("case", BAD_GET)
def test_what_is_no_reply(case: str) -> None:
    """It is said what is wrong; a server's error is never "not there"."""
    octets, why = BAD_GET[case]
    found = outcome(octets, 1000)
    assert isinstance(found, str), found
    assert why in found


@pytest.mark.parametrize("word", ["STORED", "NOT_STORED", "DELETED", "NOT_FOUND"])
def test_replies_to_changes(word: str) -> None:
    """They are one word; END belongs to a get only."""
    assert outcome(word.encode() + b"\r\n", 1000, None) == Reply(word, b"")
    assert isinstance(outcome(b"END\r\n", 1000, None), str)


def test_commands() -> None:
    """As the protocol's description has them."""
    assert format_get(b"k") == b"get k\r\n"
    assert format_set(b"k", b"one", flags=2, ttl_s=60) == b"set k 2 60 3\r\none\r\n"
    assert format_delete(b"k") == b"delete k\r\n"


def test_keys() -> None:
    """Nothing that could end a line or split a command is a key."""
    assert all(is_key(key) for key in (b"a", b"a@b", "ä".encode(), b"x" * MAX_KEY))
    assert not any(is_key(key) for key in (b"", b"a b", b"a\r", b"a\n", b"a\0", b"\x7f", b"x" * (MAX_KEY + 1)))


@given(st.binary(max_size=50), st.integers(1, 9))
def test_values_come_through(value: bytes, size: int) -> None:
    """Any octets are a value."""
    octets = b"VALUE k 0 %d\r\n%b\r\nEND\r\n" % (len(value), value)
    assert outcome(octets, size) == Reply("VALUE", value)


@given(
    st.one_of(st.binary(max_size=80), st.binary(max_size=30).map(lambda text: b"VALUE k 0 3\r\n" + text)),
    st.integers(1, 20),
    st.sampled_from([b"k", None]),
)
def test_any_octets(octets: bytes, size: int, key: bytes | None) -> None:
    """No octets raise anything else, and where nothing is behind the reply the cut does not matter."""
    whole, cut = outcome(octets, 1000, key), outcome(octets, size, key)
    assert whole == cut or isinstance(whole, str)
