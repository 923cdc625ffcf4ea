"""Quoted-printable for lines of 8-bit text, as Postfix converts them for a server without 8BITMIME.

What the line is made of stays readable: only controls, 8-bit octets, "=" and a blank at the end of a line are escaped.
Source: RFC 2045 6.7; facts B10.10.
"""

import re
from typing import Final

SOFT_LIMIT: Final = 72  # octets; a longer line is broken before the next character, and gets "=": 76 at most
_SPECIAL: Final = re.compile(rb"[\x00-\x08\x0b-\x1f=\x7f-\xff]")  # in lines, so no LF
_LONG: Final = re.compile(rb"[^\n]{%d,}" % (SOFT_LIMIT + 2))
_BLANK_AT_END: Final = re.compile(rb"[ \t](?=\n)")
_ORDINARY: Final = bytes(octet for octet in range(256) if _SPECIAL.match(bytes([octet])) is None)
_EQUALS: Final = 61
_FEW: Final = 16  # kinds of special octets that are replaced kind by kind, which is faster than one by one
_ESCAPES: Final = [b"=%02X" % octet for octet in range(256)]


class LineEncoder:
    """Takes lines whole or in pieces; gives encoded lines, and keeps at most one unfinished line of them."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = b""

    def encode(self, piece: bytes, *, complete: bool) -> list[bytes]:
        """Encode a line or the next piece of one (complete: its last one); give the lines that are finished."""
        *lines, self._kept = _broken(self._kept + _escape(piece))
        if complete:
            lines.append(self._line_end())
        return lines

    def flush(self) -> bytes:
        """Give what is left of a line that has no end."""
        kept, self._kept = self._kept, b""
        return kept

    def _line_end(self) -> bytes:
        line = self.flush()
        if line[-1:] in (b" ", b"\t"):
            return line[:-1] + _ESCAPES[line[-1]]
        return line


def encode_lines(data: bytes) -> bytes:
    """Encode whole lines, all at once; the same as one after the other."""
    text = _LONG.sub(lambda match: b"\n".join(_broken(match[0])), _escape(data))
    return _BLANK_AT_END.sub(_escaped, text)


def _escape(data: bytes) -> bytes:
    """Escape what must not stand in a line; blanks at its end are not looked for."""
    special = set(data.translate(None, _ORDINARY))
    if len(special) > _FEW:
        return _SPECIAL.sub(_escaped, data)
    if _EQUALS in special:  # before it is put in
        data = data.replace(b"=", _ESCAPES[_EQUALS])
        special.remove(_EQUALS)
    for octet in special:
        data = data.replace(bytes([octet]), _ESCAPES[octet])
    return data


def _broken(text: bytes) -> list[bytes]:
    """Break an encoded line where it is full."""
    lines: list[bytes] = []
    start = 0
    while (end := _soft_end(text, start)) < len(text):
        lines.append(text[start:end] + b"=")
        start = end
    lines.append(text[start:])
    return lines


def _escaped(match: re.Match[bytes]) -> bytes:
    return _ESCAPES[match[0][0]]


def _soft_end(text: bytes, start: int) -> int:
    """Find where the line that begins at `start` is full: behind the limit, and never inside of an escape."""
    end = start + SOFT_LIMIT + 1
    if text[end - 2 : end - 1] == b"=":
        return end + 1
    return end + 2 if text[end - 1 : end] == b"=" else end
