"""LDAP messages: requests as a server reads them, answers at every cut, and octets that are none."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.ldap import ber
from posthouse.protocol.ldap.ber import MalformedMessage, Reader
from posthouse.protocol.ldap.message import (
    Answer,
    AnswerReader,
    Entry,
    Result,
    Search,
    format_sasl_bind,
    format_search,
    format_simple_bind,
    format_start_tls,
)
from tests.fuzz.mutate import damaged
from tests.support.pieces import read_in_pieces

LIMIT = 10_000


def message(number: int, tag: int, *content: bytes) -> bytes:
    """Write a message of a server."""
    return ber.element(ber.SEQUENCE, ber.integer(number), ber.element(tag, *content))


def result(tag: int, code: int = 0, text: bytes = b"", number: int = 1) -> bytes:
    """Write the end of an operation."""
    return message(number, tag, ber.integer(code, ber.ENUMERATED), ber.octets(b""), ber.octets(text))


def entry(dn: bytes, name: bytes, *values: bytes) -> bytes:
    """Write an entry with one attribute."""
    listed = ber.element(ber.SEQUENCE, ber.octets(name), ber.element(ber.SET, *(ber.octets(value) for value in values)))
    return message(1, 0x64, ber.octets(dn), ber.element(ber.SEQUENCE, listed))


DONE = result(0x65)
FOUND = entry(b"cn=a", b"mail", b"one", b"two") + entry(b"cn=b", b"mail", b"\xff") + DONE
GOOD = {
    "nothing found": (DONE, Answer(Result(0, ""), [])),
    "entries": (
        FOUND,
        Answer(Result(0, ""), [Entry("cn=a", (("mail", (b"one", b"two")),)), Entry("cn=b", (("mail", (b"\xff",)),))]),
    ),
    "an attribute without values": (
        entry(b"cn=a", b"mail") + DONE,
        Answer(Result(0, ""), [Entry("cn=a", (("mail", ()),))]),
    ),
    "a reference": (message(1, 0x73, ber.octets(b"ldap://x/")) + DONE, Answer(Result(0, ""), [], 1)),
    "an intermediate": (message(1, 0x79) + DONE, Answer(Result(0, ""), [])),
    "a refusal": (result(0x65, 49, b"no\n"), Answer(Result(49, "no?"), [])),
    "a result with more in it": (
        message(1, 0x65, ber.integer(0, 10), ber.octets(b""), ber.octets(b""), ber.octets(b"x", 0x87)),
        Answer(Result(0, ""), []),
    ),
    "half": (FOUND[:-1], None),
    "a long length": (b"\x30\x84\x00\x00\x00" + DONE[1:], Answer(Result(0, ""), [])),
}
BAD = {
    "another protocol": (b"220 mail.test ESMTP\r\n", "no message"),
    "a large message": (b"\x30\x84\x7f\xff\xff\xff", "limit"),
    "a length without end": (b"\x30\x80", "definite"),
    "a length of nine octets": (b"\x30\x89" + b"\0" * 9, "definite"),
    "a long tag": (b"\x3f\x81\x00", "tag"),
    "another request's answer": (result(0x65, number=2), "another request"),
    "the end of the session": (result(0x78, 52, b"bye", number=0), "ends the session"),
    "an operation of clients": (message(1, 0x63), "tag 0x63"),
    "the end of a bind, which would be nothing found": (result(0x61), "another kind of request"),
    "two ends": (DONE + DONE, "behind"),
    "an element that reaches beyond": (b"\x30\x03\x02\x05\x01", "limit is 3"),
    "no number": (b"\x30\x04\x04\x02\x01\x01", "tag"),
    "a long number": (b"\x30\x07\x02\x05\x01\x01\x01\x01\x01", "number"),
    "an empty number": (b"\x30\x02\x02\x00", "number"),
    "nothing in it": (b"\x30\x00", "fit"),
    "entries without end": (entry(b"cn=a", b"mail", b"x" * 900) * 20, "more than"),
}


def outcome(octets: bytes, size: int) -> Answer | str | None:
    """Feed octets in pieces of a size; the reason where it is no answer."""
    return read_in_pieces(AnswerReader(1, LIMIT), octets, size, MalformedMessage)


@pytest.mark.parametrize("case", GOOD)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_answers(case: str, size: int) -> None:
    """Each kind of answer, however it is cut."""
    octets, expected = GOOD[case]
    assert outcome(octets, size) == expected


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_answer(case: str) -> None:
    """It is said what is wrong."""
    octets, why = BAD[case]
    found = outcome(octets, 100_000)
    assert isinstance(found, str), found
    assert why in found


def test_requests() -> None:
    """Octet for octet as RFC 4511 has them."""
    assert format_simple_bind(1, "cn=a", "pw").hex() == "3012020101600d02010304" + "04636e3d61" + "80027077"
    assert (
        format_sasl_bind(2, "EXTERNAL", b"").hex()
        == "3018020102601302010304" + "00a30c0408" + b"EXTERNAL".hex() + "0400"
    )
    assert format_start_tls(3).hex() == "301d02010377188016" + b"1.3.6.1.4.1.1466.20037".hex()


def test_a_search() -> None:
    """A server reads what was meant, numbers above 127 too."""
    search = Search("dc=x", 2, ber.octets(b"cn", 0x87), ("mail", "cn"), 3, 200, 40_000)
    outer = Reader(format_search(300, search)).inside(ber.SEQUENCE)
    assert outer.integer() == 300
    inner = outer.inside(0x63)
    assert inner.octets() == b"dc=x"
    assert [inner.integer(ber.ENUMERATED) for _ in range(2)] == [2, 3]
    assert [inner.integer() for _ in range(2)] == [200, 40_000]
    assert inner.octets(ber.BOOLEAN) == b"\0"
    assert inner.octets(0x87) == b"cn"
    names = inner.inside(ber.SEQUENCE)
    assert [names.octets(), names.octets(), bool(names), bool(inner)] == [b"mail", b"cn", False, False]


@given(st.integers(0, 2**31 - 1))
def test_numbers_there_and_back(value: int) -> None:
    """A number is never read as a negative one."""
    assert Reader(ber.integer(value)).integer() == value


@given(st.binary(max_size=300))
def test_octets_there_and_back(value: bytes) -> None:
    """Lengths of one, two and three octets."""
    assert Reader(ber.octets(value * 300)).octets() == value * 300


@given(st.one_of(st.binary(max_size=60), st.randoms(use_true_random=False)), st.integers(1, 30))
def test_any_octets(what: bytes | random.Random, size: int) -> None:
    """Neither noise nor damaged answers raise anything else, and the cut does not matter."""
    octets = what if isinstance(what, bytes) else damaged(what, (FOUND, DONE, GOOD["a reference"][0]))
    whole, cut = outcome(octets, 100_000), outcome(octets, size)
    assert whole == cut or isinstance(whole, str)
