"""Network addresses as numbers and text: parsing, the canonical text, IPv4 inside of IPv6, masks.

Text is what the system's inet_pton(3) takes and inet_ntop(3) gives. Nothing is resolved. Source: RFC 4291 2.2, 2.5.5.2.
"""

import socket
from typing import Final

_MAPPED: Final = 0xFFFF  # the 96 bits before an IPv4 address in ::ffff:a.b.c.d


def parse_ip(text: str) -> tuple[int, int] | None:
    """Read an IPv4 or IPv6 address as (bits, number); None: it is none."""
    try:
        if ":" in text:
            return 128, int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
        return 32, int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
    except (OSError, ValueError):
        return None


def format_ip(bits: int, number: int) -> str:
    """Write an address."""
    family = socket.AF_INET if bits == 32 else socket.AF_INET6
    return socket.inet_ntop(family, number.to_bytes(bits // 8, "big"))


def unmapped(bits: int, number: int) -> tuple[int, int]:
    """Turn ::ffff:a.b.c.d into a.b.c.d; other addresses stay what they are."""
    return (32, number & 0xFFFFFFFF) if bits == 128 and number >> 32 == _MAPPED else (bits, number)


def prefix_mask(bits: int, length: int) -> str:
    """Write the address whose first `length` bits are ones, with "/length" unless these are all."""
    if not 0 <= length <= bits:
        raise ValueError(f"no address of {bits} bits has a prefix of {length}")
    ones = ((1 << length) - 1) << (bits - length)
    return format_ip(bits, ones) + ("" if length == bits else f"/{length}")
