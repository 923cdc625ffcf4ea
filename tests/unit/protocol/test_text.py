"""Octets of unknown origin: what is shown, and what is passed on."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.text import collapse_space, is_utf8, json_escape, normalize_space, printable, unescape


@given(st.binary())
def test_printable_is_printable(data: bytes) -> None:
    """No control, no malformed UTF-8; and nothing else is changed."""
    shown = printable(data)
    text = shown.decode()
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in text)
    assert printable(shown) == shown
    assert is_utf8(shown)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"plain", b"plain"),
        (b"a\r\nb\x1b[m\x7f", b"a??b?[m?"),
        ("é\u0085π".encode(), "é?π".encode()),
        (b"\xc3", b"?"),
        (b"\xe4\xb8x\xff", b"??x?"),
        (b"\xed\xa0\x80\xc0\xaf", b"?????"),
    ],
)
def test_printable(data: bytes, shown: bytes) -> None:
    """One mark for each octet that is no character, and for each control."""
    assert printable(data) == shown
    assert printable(data, b"") == shown.replace(b"?", b"")


@given(st.binary())
def test_json_reads_what_was_escaped(data: bytes) -> None:
    """Where it was text; other octets stay what they are."""
    escaped = json_escape(data)
    assert json.loads(b'"' + escaped.decode("utf-8", "surrogateescape").encode("utf-8", "surrogatepass") + b'"') == (
        data.decode("utf-8", "surrogateescape")
    )


def test_json_escapes() -> None:
    """Short where there is a short form; DEL has none."""
    assert json_escape(b'"\\/\b\f\n\r\t\x01\x7f\xff') == b'\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u007F\xff'


@pytest.mark.parametrize(
    ("data", "octets"),
    [
        (b"\\a\\b\\f\\n\\r\\t\\v", b"\a\b\f\n\r\t\v"),
        (b"\\1\\18\\1234\\400", b"\x01\x018S4\x00"),
        (b"\\\\\\x\\\xff", b"\\x\xff"),
        (b"end\\", b"end"),
        (b"", b""),
    ],
)
def test_unescape(data: bytes, octets: bytes) -> None:
    """As in C, but for hexadecimal numbers."""
    assert unescape(data) == octets


def test_space() -> None:
    """Each for itself, or all of them together."""
    assert normalize_space("\ta\v\fb\r\n") == " a  b  "
    assert collapse_space("\x01 \ta\x00\x7fb \n") == "a b"
    assert normalize_space("a\u2003b\x01") == "a\u2003b\x01"


@pytest.mark.parametrize("data", [b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xe4\xb8"])
def test_what_is_no_utf8(data: bytes) -> None:
    """Overlong, a surrogate, beyond Unicode, no beginning, no end."""
    assert not is_utf8(data)
    assert is_utf8("π\U0001f4ee".encode())
