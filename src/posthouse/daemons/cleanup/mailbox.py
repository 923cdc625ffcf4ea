"""format_mailbox: the From: header of a message whose sender wrote none (RFC 5322 3.4, RFC 2047; facts B07.09)."""

import re
from base64 import b64encode
from typing import Final

_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+", re.ASCII)
_TO_ESCAPE: Final = re.compile(r'["\\]')
_WORD: Final = 45  # octets in one encoded word; with them it has 72 of the 75 characters that RFC 2047 2 allows


def format_mailbox(name: str, address: str) -> str:
    """Write "name <address>", the name quoted or encoded where it must be; the address alone without a name."""
    name = " ".join(name.split())
    if not name:
        return address
    if not name.isascii():
        return f"{_encoded(name)} <{address}>"
    if _ATOMS.fullmatch(name) is None:
        name = '"' + _TO_ESCAPE.sub(r"\\\g<0>", name) + '"'
    return f"{name} <{address}>"


def _encoded(name: str) -> str:
    words = [b""]
    for character in name:
        octets = character.encode("utf-8", "replace")
        if len(words[-1]) + len(octets) > _WORD:  # no character is cut in two (RFC 2047 5)
            words.append(b"")
        words[-1] += octets
    return " ".join(f"=?utf-8?B?{b64encode(word).decode('ascii')}?=" for word in words)
