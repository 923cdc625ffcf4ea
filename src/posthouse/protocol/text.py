"""Octets of unknown origin made fit to be shown or passed on: printable, inside of JSON, without needless blanks.

Controls are those of ASCII and, where characters are shown, the C1 set too, which terminals obey.
"""

import re
from typing import Final

_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_JSON_SPECIAL: Final = re.compile(rb'["\\\x00-\x1f\x7f]')
_JSON_SHORT: Final = {
    ord('"'): b'\\"',
    ord("\\"): b"\\\\",
    8: b"\\b",
    9: b"\\t",
    10: b"\\n",
    12: b"\\f",
    13: b"\\r",
}
_BLANK: Final = re.compile(r"[ \t\n\v\f\r]", re.ASCII)
_BLANKS_AND_CONTROLS: Final = re.compile("[\x00-\x20\x7f]+")
_ESCAPED: Final = re.compile(rb"\\(?:([0-7]{1,3})|(.)|\Z)", re.DOTALL)
_ESCAPES: Final = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def is_utf8(data: bytes) -> bool:
    """Whether octets are well-formed UTF-8 (RFC 3629): nothing overlong, no surrogates."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def printable(data: bytes, replacement: bytes = b"?") -> bytes:
    """Replace each control character, and each octet that is not part of well-formed UTF-8."""
    text = data.decode("utf-8", "surrogateescape")
    parts = _UNPRINTABLE.split(text)
    return replacement.join(part.encode() for part in parts)


def json_escape(data: bytes) -> bytes:
    """Escape quotes, backslashes and controls for the inside of a JSON string; octets above 127 stay."""
    return _JSON_SPECIAL.sub(_json_escaped, data)


def unescape(data: bytes) -> bytes:
    """Read C's escapes: of a b f n r t v and one to three octal digits; other escaped octets are themselves.

    A backslash at the end is dropped; octal numbers count modulo 256.
    """
    return _ESCAPED.sub(_unescaped, data)


def normalize_space(text: str) -> str:
    """Turn each white-space character into a blank."""
    return _BLANK.sub(" ", text)


def collapse_space(text: str) -> str:
    """Turn runs of blanks and controls into one blank, and leave none at the ends."""
    return _BLANKS_AND_CONTROLS.sub(" ", text).strip(" ")


def _json_escaped(match: re.Match[bytes]) -> bytes:
    octet = match[0][0]
    return _JSON_SHORT.get(octet) or b"\\u%04X" % octet


def _unescaped(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return bytes((int(match[1], 8) & 0xFF,))
    return _ESCAPES.get(match[2], match[2]) if match[2] else b""
