"""Status codes and xtext: strict reading, exact writing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.status import class_of_code, decode_xtext, encode_xtext, is_status, split_status, with_class


@pytest.mark.parametrize(
    ("text", "status", "rest"),
    [
        ("5.1.1 User unknown", "5.1.1", "User unknown"),
        ("4.7.0", "4.7.0", ""),
        ("2.0.0  Ok", "2.0.0", "Ok"),
        ("Ok", "5.0.0", "Ok"),
        ("5.1.1x y", "5.0.0", "5.1.1x y"),
        ("5.1.1000 y", "5.0.0", "5.1.1000 y"),
        ("", "5.0.0", ""),
    ],
)
def test_status_is_split_off(text: str, status: str, rest: str) -> None:
    """A code at the front is taken off; anything else leaves the default."""
    assert split_status(text, "5.0.0") == (status, rest)


def test_status_grammar() -> None:
    """Only classes 2, 4 and 5 exist and only ASCII digits count."""
    assert is_status("5.7.26")
    assert not any(map(is_status, ("3.0.0", "5.1", "5.1.1.1", "5.٣.1", "5.1.1\n")))


def test_status_classes() -> None:
    """The class follows the reply code and can be exchanged."""
    assert (class_of_code(250), class_of_code(354), class_of_code(421), class_of_code(554)) == ("2", "2", "4", "5")
    assert with_class("5.7.1", "4") == "4.7.1"


@given(st.binary(max_size=200))
def test_xtext_round_trip(octets: bytes) -> None:
    """Every octet string survives."""
    assert decode_xtext(encode_xtext(octets).encode()) == octets


@pytest.mark.parametrize("text", [b"a+4", b"a+", b"a+4g", b"a+4a", b"a b", b"a=b", b"\xc3", b"a\x00"])
def test_malformed_xtext_is_refused(text: bytes) -> None:
    """Half an escape, lower case hex, blanks, and octets outside of xchar are malformed."""
    assert decode_xtext(text) is None
