"""When a certificate expires: the one field we need of PEM and DER. A certificate that cannot be read is a ValueError.

Source: RFC 5280 4.1 (Certificate, TBSCertificate, Validity), X.690 (DER), RFC 7468.
"""

import base64
import binascii
import calendar
import re
from typing import Final

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18


def expiry_of(pem: bytes) -> float:
    """Give the moment, in seconds since the epoch, when the first certificate of a PEM file expires."""
    match = _PEM.search(pem)
    if match is None:
        raise ValueError("no certificate in it")
    try:
        der = base64.b64decode(match[1])
        return _expiry_of_der(der)
    except (binascii.Error, IndexError) as error:
        raise ValueError(f"no certificate that can be read: {error}") from None


def _expiry_of_der(der: bytes) -> float:
    _, start, _ = _element(der, 0)  # Certificate
    _, position, _ = _element(der, start)  # TBSCertificate
    tag, _, end = _element(der, position)
    if tag == _VERSION:
        position = end
    for _ in range(3):  # serial number, signature algorithm, issuer
        _, _, position = _element(der, position)
    tag, position, _ = _element(der, position)
    if tag != _SEQUENCE:
        raise ValueError("no validity where it should be")
    _, _, position = _element(der, position)  # not before
    tag, start, end = _element(der, position)
    return _time(tag, der[start:end])


def _element(der: bytes, position: int) -> tuple[int, int, int]:
    """Give an element's tag, where its content starts, and where it ends."""
    tag, length = der[position], der[position + 1]
    start = position + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(der[start : start + size], "big")
        start += size
    if start + length > len(der):
        raise ValueError("a certificate that was cut off")
    return tag, start, start + length


def _time(tag: int, text: bytes) -> float:
    """RFC 5280 4.1.2.5: always UTC, always with seconds; years of UTCTime from 1950 to 2049."""
    digits = text.decode("ascii").removesuffix("Z")
    if tag == _UTC_TIME:
        digits = ("19" if digits >= "50" else "20") + digits
    elif tag != _GENERALIZED_TIME:
        raise ValueError("a time of a kind that is not allowed")
    if len(digits) != 14 or not (digits.isascii() and digits.isdecimal()):
        raise ValueError("a time that is none")
    year, rest = int(digits[:4]), [int(digits[at : at + 2]) for at in range(4, 14, 2)]
    return float(calendar.timegm((year, *rest)))
