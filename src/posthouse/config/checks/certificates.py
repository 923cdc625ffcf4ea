"""Reads keys and certificates as far as the checks need: which belong together, in which order, and until when.

PEM blocks are found as OpenSSL finds them; of a certificate (DER) the names and the two times are read, and nothing is
verified. Whether a key belongs to a certificate is asked of the TLS library. Sources: RFC 7468, RFC 5280 4.1, X.690.
"""

import base64
import binascii
import os
import re
from calendar import timegm
from collections.abc import Sequence
from typing import Final, NamedTuple

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----[ \t\r]*\n(.*?)-----END \1-----", re.DOTALL)
_TIME: Final = re.compile(rb"([0-9]{2}|[0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})Z")
_SEQUENCE, _SET, _VERSION = 0x30, 0x31, 0xA0
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_PIVOT: Final = 50  # two-digit years from here on are of the last century (RFC 5280 4.1.2.5.1)
CERTIFICATE: Final = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")


class Block(NamedTuple):
    """One PEM block."""

    label: str  # "CERTIFICATE", "PRIVATE KEY" ...
    text: bytes  # with its BEGIN and END lines
    data: bytes  # what the base64 text says; b"" when it is no base64

    @property
    def is_certificate(self) -> bool:
        """Whether it is a certificate."""
        return self.label in CERTIFICATE

    @property
    def is_key(self) -> bool:
        """Whether it is a private key."""
        return self.label.endswith("PRIVATE KEY")


class Certificate(NamedTuple):
    """What a certificate says of itself. Names are DER; times are seconds since 1970."""

    issuer: bytes
    subject: bytes
    not_before: int
    not_after: int


def read_blocks(text: bytes) -> list[Block]:
    """Find the PEM blocks of a file, in order."""
    found = []
    for match in _BLOCK.finditer(text):
        body = b"".join(line for line in match[2].split(b"\n") if b":" not in line)
        try:
            data = base64.b64decode(b"".join(body.split()), validate=True)
        except binascii.Error:
            data = b""
        found.append(Block(match[1].decode("ascii"), match[0] + b"\n", data))
    return found


def read_certificate(der: bytes) -> Certificate:
    """Read a certificate. Raises ValueError: it is none."""
    tag, content, _ = _element(der)
    if tag != _SEQUENCE:
        raise ValueError("it is no certificate")
    fields = _elements(_element(content)[1], 6)  # tbsCertificate
    if fields and fields[0][0] == _VERSION:
        fields = _elements(_element(content)[1], 7)[1:]
    if len(fields) < 5:  # serialNumber, signature, issuer, validity, subject
        raise ValueError("it is no certificate")
    times = _elements(fields[3][1], 2)
    if len(times) < 2:
        raise ValueError("it has no validity")
    return Certificate(fields[2][1], fields[4][1], _time(*times[0]), _time(*times[1]))


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Take the first element: its tag, its content, and what follows. Raises ValueError."""
    if len(data) < 2:
        raise ValueError("it ends early")
    size, start = data[1], 2
    if size & 0x80:
        start += size & 0x7F
        if not 2 < start <= 6:
            raise ValueError("it has a length that is not sensible")
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        raise ValueError("it ends early")
    return data[0], data[start : start + size], data[start + size :]


def _elements(data: bytes, limit: int) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    while data and len(found) < limit:
        tag, content, data = _element(data)
        found.append((tag, content))
    return found


def _time(tag: int, text: bytes) -> int:
    match = _TIME.fullmatch(text)
    if match is None or tag not in (_UTC_TIME, _GENERALIZED_TIME) or len(match[1]) != (2 if tag == _UTC_TIME else 4):
        raise ValueError("it has a time that is not sensible")
    year, *rest = (int(number) for number in match.groups())
    if tag == _UTC_TIME:
        year += 1900 if year >= _PIVOT else 2000
    return timegm((year, *rest))


def fault_of_pair(key: Block, chain: Sequence[Block]) -> str:
    """Ask the TLS library whether a key belongs to the first certificate. "": it does; else what is wrong."""
    import ssl  # noqa: PLC0415 (15 ms that only who uses TLS should wait for)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    descriptor = os.memfd_create("pair")
    try:
        os.write(descriptor, key.text + b"".join(block.text for block in chain))
        path = f"/proc/self/fd/{descriptor}"
        context.load_cert_chain(path, path, password=lambda: b"")  # never ask at the terminal
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            return "does not belong to the certificate"
        if "ENCRYPTED" in key.label or b"ENCRYPTED" in key.text:
            return "has a pass phrase, which a mail system cannot type"
        return f"cannot be used: {(error.reason or str(error)).lower().replace('_', ' ')}"
    finally:
        os.close(descriptor)
    return ""
