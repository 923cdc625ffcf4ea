"""Encodings and clean text for applications. Octets that are not UTF-8 travel in text as surrogate escapes."""

from posthouse.protocol import text as texts
from posthouse.protocol import utf8_xtext
from posthouse.protocol.message.words import encode_words, header_text
from posthouse.protocol.octets import decode_octets, encode_octets
from posthouse.protocol.text import is_utf8, json_escape, printable

__all__ = [
    "decode_octets",
    "encode_octets",
    "encode_words",
    "header_text",
    "is_utf8",
    "json_escape",
    "normalize_space",
    "printable",
    "unescape",
    "utf8_xtext_decode",
    "utf8_xtext_encode",
]


def utf8_xtext_encode(text: str, special: str = "", ascii_only: bool = True) -> str:
    """Write text as utf-8-addr-xtext (RFC 6533). Raises ValueError: it has octets that are not UTF-8."""
    return utf8_xtext.encode(text, special, ascii_only=ascii_only)


def utf8_xtext_decode(text: str) -> str:
    """Read utf-8-addr-xtext (RFC 6533). Raises ValueError."""
    return utf8_xtext.decode(text)


def unescape(text: str) -> bytes:
    """Read C's escapes; the result is octets, since octal numbers may be any."""
    return texts.unescape(text.encode("utf-8", "surrogateescape"))


def normalize_space(text: str, collapse: bool = False) -> str:
    """Turn white space into blanks; with `collapse`, runs of blanks and controls into one, and none at the ends."""
    return texts.collapse_space(text) if collapse else texts.normalize_space(text)
