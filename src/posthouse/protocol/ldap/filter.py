"""Search filters and names of LDAP as text: quoting what comes from outside, and writing a filter as BER. No I/O.

Invariant (tests/unit/protocol/ldap/test_filter.py): a value that was quoted is, in any filter, one value with exactly
these octets. Sources: RFC 4515 (filters), RFC 4514 (names), RFC 4511 4.5.1.7.
"""

import re
from typing import Final

from posthouse.protocol.ldap import ber

MAX_NESTING: Final = 50
_SPECIAL: Final = frozenset(b"*()\\\0")
_BLANK: Final = 0x20
_ESCAPE: Final = re.compile(r"\\([0-9A-Fa-f]{2})?", re.ASCII)
_TYPE: Final = r"(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*)(?:;[A-Za-z0-9-]+)*"
_SIMPLE: Final = re.compile(rf"({_TYPE})(=|>=|<=|~=)(.*)", re.ASCII | re.DOTALL)
_EXTENSIBLE: Final = re.compile(rf"({_TYPE})?(:dn)?(?::({_TYPE}))?:=(.*)", re.ASCII | re.DOTALL | re.IGNORECASE)
_TAGS: Final = {"=": 0xA3, ">=": 0xA5, "<=": 0xA6, "~=": 0xA8}
_SETS: Final = {"&": 0xA0, "|": 0xA1}
_DN_SPECIAL: Final = frozenset('"+,;<>\\=#\0')


class MalformedFilter(ValueError):
    """A filter that is none; str() says why."""


def quote_value(text: str) -> str:
    """Quote a value for a filter (RFC 4515 3). Octets that are no UTF-8 are written as such.

    So are blanks at its ends, which a filter without parentheses would lose.
    """
    data = text.encode("utf-8", "surrogateescape")
    if text.isascii() and not _SPECIAL.intersection(data) and text == text.strip(" "):
        return text
    ends = (0, len(data) - 1)
    return "".join(
        f"\\{octet:02x}" if octet in _SPECIAL or octet >= 0x80 or (octet == _BLANK and at in ends) else chr(octet)
        for at, octet in enumerate(data)
    )


def quote_name(text: str) -> str:
    """Quote a value for a distinguished name (RFC 4514 2.4)."""
    last = len(text) - 1
    return "".join(
        "".join(f"\\{octet:02x}" for octet in character.encode("utf-8", "surrogateescape"))
        if character in _DN_SPECIAL
        or not character.isascii()
        or character < " "
        or (character == " " and at in (0, last))
        else character
        for at, character in enumerate(text)
    )


def encode_filter(text: str) -> bytes:
    """Write a filter; outer parentheses may be left out. Raises MalformedFilter."""
    text = text.strip(" ")
    if not text.startswith("("):
        text = f"({text})"
    encoded, end = _filter(text, 0, 0)
    if end != len(text):
        raise MalformedFilter(f'"{text[end:]}" is behind the end of the filter')
    return encoded


def _filter(text: str, at: int, depth: int) -> tuple[bytes, int]:
    """Write the filter that begins at an opening parenthesis; also gives where it ends."""
    if depth > MAX_NESTING:
        raise MalformedFilter(f"more than {MAX_NESTING} parentheses in one another")
    if not text.startswith("(", at):
        raise MalformedFilter(f'"(" is missing before "{text[at : at + 20]}"')
    at = _skip(text, at + 1)
    sign = text[at : at + 1]
    if sign in _SETS:
        parts = []
        at = _skip(text, at + 1)
        while text.startswith("(", at):
            part, at = _filter(text, at, depth + 1)
            parts.append(part)
            at = _skip(text, at)
        return ber.element(_SETS[sign], *parts), _closed(text, at)
    if sign == "!":
        part, at = _filter(text, _skip(text, at + 1), depth + 1)
        return ber.element(0xA2, part), _closed(text, _skip(text, at))
    end = text.find(")", at)
    if end < 0:
        raise MalformedFilter('")" is missing')
    return _item(text[at:end]), end + 1


def _skip(text: str, at: int) -> int:
    while text.startswith(" ", at):
        at += 1
    return at


def _closed(text: str, at: int) -> int:
    if not text.startswith(")", at):
        raise MalformedFilter('")" is missing')
    return at + 1


def _item(text: str) -> bytes:
    if "(" in text:
        raise MalformedFilter(f'"(" in the middle of "{text}"')
    found = _SIMPLE.fullmatch(text)
    if found is None:
        return _extensible(text)
    name, sign, value = ber.octets(found[1].encode("ascii")), found[2], found[3]
    if sign == "=" and value == "*":
        return ber.octets(found[1].encode("ascii"), 0x87)
    if sign == "=" and "*" in value:
        return ber.element(0xA4, name, ber.element(ber.SEQUENCE, *_substrings(value)))
    return ber.element(_TAGS[sign], name, ber.octets(_value(value)))


def _substrings(value: str) -> list[bytes]:
    first, *middle, last = value.split("*")
    parts = [ber.octets(_value(first), 0x80)] if first else []
    parts += [ber.octets(_value(part), 0x81) for part in middle if part]
    parts += [ber.octets(_value(last), 0x82)] if last else []
    if not parts:
        raise MalformedFilter(f'"{value}" has nothing but asterisks')
    return parts


def _extensible(text: str) -> bytes:
    found = _EXTENSIBLE.fullmatch(text)
    if found is None or not (found[1] or found[3]):
        raise MalformedFilter(f'"{text}" is no "attribute=value"')
    name, dn, rule, value = found.groups()
    return ber.element(
        0xA9,
        ber.octets(rule.encode("ascii"), 0x81) if rule else b"",
        ber.octets(name.encode("ascii"), 0x82) if name else b"",
        ber.octets(_value(value), 0x83),
        ber.octets(b"\xff", 0x84) if dn else b"",
    )


def _value(text: str) -> bytes:
    """Read the escapes of a value."""
    if "*" in text:
        raise MalformedFilter(f'an asterisk in "{text}"')
    data, at = bytearray(), 0
    for found in _ESCAPE.finditer(text):
        if found[1] is None:
            raise MalformedFilter(f'a backslash without two hexadecimal digits in "{text}"')
        data += text[at : found.start()].encode("utf-8", "surrogateescape")
        data.append(int(found[1], 16))
        at = found.end()
    return bytes(data + text[at:].encode("utf-8", "surrogateescape"))
