r"""Text with \x{HEX} escapes: the address forms utf-8-addr-xtext and utf-8-addr-unitext of RFC 6533 3."""

import re
from typing import Final

_ESCAPE: Final = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}", re.ASCII)
_SURROGATES: Final = range(0xD800, 0xE000)
_LAST: Final = 0x10FFFF


def encode(text: str, special: str = "", *, ascii_only: bool = True) -> str:
    """Escape blanks, controls, backslashes, characters of `special` and, with ascii_only, all that is not ASCII.

    Raises ValueError: the text has octets that are not UTF-8.
    """
    out: list[str] = []
    for character in text:
        code = ord(character)
        if code in _SURROGATES:
            raise ValueError("malformed UTF-8 in text to be encoded")
        if code <= 0x20 or code == 0x7F or character == "\\" or character in special or (ascii_only and code > 0x7F):
            out.append(f"\\x{{{code:02X}}}")
        else:
            out.append(character)
    return "".join(out)


def decode(text: str) -> str:
    """Take the escapes out again. Raises ValueError: a backslash that begins none, or no character's number."""
    out: list[str] = []
    at = 0
    while (next_at := text.find("\\", at)) >= 0:
        match = _ESCAPE.match(text, next_at)
        code = int(match[1], 16) if match else -1
        if match is None or code in _SURROGATES or code > _LAST:
            raise ValueError(f"malformed escape at character {next_at + 1}")
        out += (text[at:next_at], chr(code))
        at = match.end()
    return "".join((*out, text[at:]))
