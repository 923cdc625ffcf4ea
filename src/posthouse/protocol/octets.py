"""Octets as ASCII text: base64, base32, hex, percent, xtext. Decoding is strict and raises ValueError.

Sources: RFC 4648 4, 6, 8 (padded, one line), RFC 3986 2.1, RFC 3461 4.
"""

import base64
import re
from typing import Final, Literal

from posthouse.protocol.status import decode_xtext, encode_xtext

Scheme = Literal["base64", "base32", "hex", "percent", "xtext"]

_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2}(?::?[0-9A-Fa-f]{2})*)?", re.ASCII)
_PERCENT: Final = re.compile(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})*", re.ASCII)
_PERCENT_OCTET: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_NOT_PLAIN: Final = re.compile(rb"[^!-$&-~]")  # printable ASCII without blank and "%" is


def encode_octets(data: bytes, scheme: str) -> str:
    """Write octets as text. Raises ValueError: no such scheme."""
    match scheme:
        case "base64":
            return base64.b64encode(data).decode("ascii")
        case "base32":
            return base64.b32encode(data).decode("ascii")
        case "hex":
            return data.hex().upper()
        case "percent":
            return _NOT_PLAIN.sub(_as_percent, data).decode("ascii")
        case "xtext":
            return encode_xtext(data)
    raise ValueError(f'there is no scheme "{scheme}"')


def decode_octets(text: str, scheme: str) -> bytes:
    """Read octets from text; hex may have a colon between octets and small letters. Raises ValueError."""
    match scheme:
        case "base64":
            return base64.b64decode(text, validate=True)
        case "base32":
            return base64.b32decode(text)
        case "hex" if _HEX.fullmatch(text) is not None:
            return bytes.fromhex(text.replace(":", ""))
        case "percent" if _PERCENT.fullmatch(text) is not None:
            return _PERCENT_OCTET.sub(_from_hex, text.encode("ascii"))
        case "xtext":
            octets = decode_xtext(text.encode("utf-8", "surrogateescape"))
            if octets is not None:
                return octets
        case "hex" | "percent":
            pass
        case _:
            raise ValueError(f'there is no scheme "{scheme}"')
    raise ValueError(f"malformed {scheme} text")


def _as_percent(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]


def _from_hex(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),))
