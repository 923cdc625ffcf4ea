"""Octets as text: every scheme there and back, and malformed text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.octets import decode_octets, encode_octets

SCHEMES = ("base64", "base32", "hex", "percent", "xtext")


@given(st.binary(), st.sampled_from(SCHEMES))
def test_there_and_back(data: bytes, scheme: str) -> None:
    """Any octets, as ASCII text without blanks and controls."""
    text = encode_octets(data, scheme)
    assert decode_octets(text, scheme) == data
    assert all(0x20 < ord(character) < 0x7F for character in text)


@given(st.text(max_size=12), st.sampled_from(SCHEMES))
def test_what_is_decoded_can_be_encoded_again(text: str, scheme: str) -> None:
    """And what cannot be decoded is a ValueError, whatever it is."""
    try:
        data = decode_octets(text, scheme)
    except ValueError:
        return
    assert decode_octets(encode_octets(data, scheme), scheme) == data


@pytest.mark.parametrize(
    ("scheme", "text"),
    [
        ("base64", "YQ"),
        ("base64", "YQ==YQ=="),
        ("base64", "Y Q=="),
        ("base64", "é"),
        ("base32", "ME"),
        ("base32", "me======"),
        ("hex", "abc"),
        ("hex", "ab:"),
        ("hex", "a:b"),
        ("hex", "ab::cd"),
        ("hex", "xx"),
        ("hex", "\u0660\u0660"),
        ("percent", "%4"),
        ("percent", "%zz"),
        ("percent", "a b"),
        ("percent", "é"),
        ("xtext", "+4"),
        ("xtext", "+2b"),
        ("xtext", "a=b"),
        ("xtext", "a b"),
        ("rot13", ""),
    ],
)
def test_malformed(scheme: str, text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=r"."):
        decode_octets(text, scheme)


def test_forms() -> None:
    """What is written; hex may also be read in small letters and with colons."""
    assert encode_octets(b"a% \xff", "percent") == "a%25%20%FF"
    assert encode_octets(b"a+b=c d", "xtext") == "a+2Bb+3Dc+20d"
    assert encode_octets(b"\xab\x0c", "hex") == "AB0C"
    assert decode_octets("ab:0cFF", "hex") == b"\xab\x0c\xff"
    with pytest.raises(ValueError, match="rot13"):
        encode_octets(b"", "rot13")
