"""Text in header fields: phrases and comments (RFC 5322 3.2), and encoded-words for what is not ASCII (RFC 2047).

Encoded-words are cut between octets, not characters, as Postfix cuts them: whole "=XX" triplets and base64 quads.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Final, Literal

Context = Literal["phrase", "comment"]

MAX_WORD: Final = 75  # characters of an encoded-word, with its delimiters (RFC 2047 2)
_CHARSET: Final = re.compile(r"[!#$%&'*+\-0-9A-Z^_`a-z{|}~]", re.ASCII)  # RFC 2047 2, token
_BLANK: Final = 0x20
_SPECIAL: Final = {
    "comment": frozenset(b"_=?()\\"),
    "phrase": frozenset(b"_=?\"(),.:;<>@[\\]#$%&'^`{|}~"),
}
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PHRASE: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*(?: {_ATOM}(?:\.{_ATOM})*)*", re.ASCII)
_TO_QUOTE: Final = re.compile(r'["\\]')


def encode_words(text: str, context: str, charset: str = "utf-8", separator: str = " ") -> str:
    """Write header text as encoded-words; `Q` where more than half of the octets can stay, else `B`.

    separator: what stands between two of them; only white space makes a reader join them (RFC 2047 6.2).
    Raises ValueError: nothing to encode, wrong name of a charset, a quoted text in a phrase, no such context.
    """
    special = _SPECIAL.get(context)
    if special is None:
        raise ValueError(f"there is no context '{context}'")
    _check_charset(charset)
    if not text:
        raise ValueError("encoder called with empty input")
    if context == "phrase" and text.startswith('"'):
        raise ValueError(f"encoder called with quoted word as input: '{text}'")
    if not separator or separator.strip(" \t\r\n"):
        raise ValueError(f"encoder called with a separator that is no white space: '{separator}'")
    octets = text.encode("utf-8", "surrogateescape")
    units = [_as_q(octet, special) for octet in octets]
    plain = sum(len(unit) == 1 for unit in units)
    overhead = len("=?" + charset + "?Q??=")
    room = MAX_WORD - overhead
    if room < 4:
        raise ValueError(f"encoder called with a charset name that leaves no room: '{charset}'")
    if plain * 2 > len(octets):
        return separator.join(f"=?{charset}?Q?{word}?=" for word in _filled(units, room))
    step = room // 4 * 3
    pieces = (octets[at : at + step] for at in range(0, len(octets), step))
    return separator.join(f"=?{charset}?B?{b64encode(piece).decode('ascii')}?=" for piece in pieces)


def header_text(text: str, context: str) -> str | None:
    """Make ASCII text fit for a phrase (quoted if needed) or for a comment, without its outer parentheses.

    None: nothing is left. Raises ValueError: no such context.
    """
    text = " ".join(text.split())
    if context == "phrase":
        if not text:
            return None
        return text if _PHRASE.fullmatch(text) is not None else f'"{_TO_QUOTE.sub(_backslashed, text)}"'
    if context == "comment":
        return _balanced(text).strip(" ") or None
    raise ValueError(f"there is no context '{context}'")


def _check_charset(charset: str) -> None:
    if not charset:
        raise ValueError("encoder called with empty charset name")
    for octet in charset.encode("utf-8", "surrogateescape"):
        if _CHARSET.fullmatch(chr(octet)) is None:
            raise ValueError(f"invalid character: 0x{octet:x} in charset name: '{charset}'")


def _as_q(octet: int, special: frozenset[int]) -> str:
    if octet == _BLANK:
        return "_"
    return chr(octet) if 0x20 < octet < 0x7F and octet not in special else f"={octet:02X}"


def _filled(units: list[str], room: int) -> Iterator[str]:
    """Join units to words of at most `room` characters."""
    word = ""
    for unit in units:
        if len(word) + len(unit) > room:
            yield word
            word = ""
        word += unit
    yield word


def _balanced(text: str) -> str:
    """Drop parentheses that were not opened and a backslash that escapes nothing; close those that are open."""
    out: list[str] = []
    depth, escaped = 0, False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "(":
            depth += 1
        elif character == ")":
            if depth == 0:
                continue
            depth -= 1
        out.append(character)
    if escaped:
        out.pop()
    return "".join(out) + ")" * depth


def _backslashed(match: re.Match[str]) -> str:
    return "\\" + match[0]
