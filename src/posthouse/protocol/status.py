"""Status codes (RFC 3463), delivery actions (RFC 3464) and xtext (RFC 3461): what DSN is written in.

Knows the grammar only, not which code belongs to which failure. Decoding is strict: None or ValueError, never a guess.
"""

import re
from typing import Final, Literal, NamedTuple

Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]
ACTIONS: Final[tuple[Action, ...]] = ("failed", "delayed", "delivered", "relayed", "expanded")  # RFC 3464 2.3.3

# status-code = class "." subject "." detail; class = "2" / "4" / "5"; others 1*3digit (RFC 3463 2)
_STATUS: Final = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}", re.ASCII)
_STATUS_TEXT: Final = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[ \t]+|$)", re.ASCII)

# xtext = *( xchar / hexchar ); xchar = "!".."~" but "+" and "="; hexchar = "+" 2(upper case hex digit) (RFC 3461 4)
_XTEXT: Final = re.compile(rb"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_HEXCHAR: Final = re.compile(rb"\+([0-9A-F]{2})")
_NOT_XCHAR: Final = re.compile(rb"[^!-*,-<>-~]")
_HEX: Final = {b"%02X" % octet: bytes([octet]) for octet in range(256)}


class StatusText(NamedTuple):
    """A text that may have begun with a status code, taken apart."""

    status: str
    text: str


def is_status(text: str) -> bool:
    """Whether this is a status code such as "5.1.1"."""
    return _STATUS.fullmatch(text) is not None


def split_status(text: str, default: str) -> StatusText:
    """Take the status code off the front of `text`; `default` when it has none."""
    match = _STATUS_TEXT.match(text)
    if match is None:
        return StatusText(default, text)
    return StatusText(match[1], text[match.end() :].lstrip(" \t"))


def with_class(status: str, code_class: str) -> str:
    """Give a status code another class: a "5.7.1" that becomes temporary is "4.7.1"."""
    return code_class + status[1:]


def class_of_code(code: int) -> str:
    """Return the status class that goes with a reply code: "2" for 250 and 354, "4", else "5"."""
    if code < 400:
        return "2"
    return "4" if code < 500 else "5"


def encode_xtext(octets: bytes) -> str:
    """Write octets as xtext."""
    return _NOT_XCHAR.sub(_to_hexchar, octets).decode("ascii")


def decode_xtext(text: bytes) -> bytes | None:
    """Read xtext; None: it is malformed."""
    if _XTEXT.fullmatch(text) is None:
        return None
    if b"+" not in text:
        return text
    return _HEXCHAR.sub(lambda match: _HEX[match[1]], text)


def _to_hexchar(match: re.Match[bytes]) -> bytes:
    return b"+%02X" % match[0][0]
