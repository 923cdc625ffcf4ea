"""Domain names and address literals: what Postfix takes for a host name, and nothing else.

ASCII only; internationalised names are in idn.py. Does not resolve anything. Sources: RFC 1035 2.3.1, RFC 5321 4.1.3,
facts (valid_hostname: underscores are allowed, since too many networks have them).
"""

import re
from functools import lru_cache
from typing import Final

MAX_HOSTNAME: Final = 255  # octets; RFC 1035 2.3.4
MAX_LABEL: Final = 63  # octets; RFC 1035 2.3.4

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOSTNAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_NUMERIC: Final = re.compile(r"[0-9.]+", re.ASCII)
_IPV4: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}", re.ASCII)
_IPV6_GROUP: Final = re.compile(r"[0-9A-Fa-f]{1,4}", re.ASCII)


@lru_cache(maxsize=4096)
def is_hostname(name: str) -> bool:
    """Whether `name` is a valid host name: good labels, not longer than 255, not made of digits alone."""
    return len(name) <= MAX_HOSTNAME and _HOSTNAME.fullmatch(name) is not None and _NUMERIC.fullmatch(name) is None


def is_ipv4_address(text: str) -> bool:
    """Whether `text` is four decimal octets; 0 in front only for 0.0.0.0."""
    if _IPV4.fullmatch(text) is None:
        return False
    octets = [int(octet) for octet in text.split(".")]
    return max(octets) < 256 and (octets[0] != 0 or not any(octets))


def is_ipv6_address(text: str) -> bool:
    """Whether `text` is an IPv6 address in any of the forms of RFC 4291 2.2 (no zone, no prefix length)."""
    head, colons, tail = text.partition("::")
    left = _groups(head, last=not colons)
    right = _groups(tail, last=True)
    if left is None or right is None:
        return False
    return left + right <= 7 if colons else left == 8


def is_address_literal(domain: str) -> bool:
    """Whether `domain` is [1.2.3.4] or [IPv6:...] with a valid address (RFC 5321 4.1.3)."""
    if not (domain.startswith("[") and domain.endswith("]")):
        return False
    inner = domain[1:-1]
    if inner[:5].upper() == "IPV6:":
        return is_ipv6_address(inner[5:])
    return is_ipv4_address(inner)


def is_mail_domain(domain: str) -> bool:
    """Whether an ASCII `domain` may stand behind the at sign: host name or address literal."""
    return is_hostname(domain) or (domain.startswith("[") and is_address_literal(domain))


def _groups(text: str, *, last: bool) -> int | None:
    """Count the 16-bit groups of one side of an IPv6 address; None: malformed."""
    if not text:
        return 0
    groups = text.split(":")
    count = len(groups)
    if last and "." in groups[-1]:
        if not is_ipv4_address(groups.pop()):
            return None
        count += 1
    if all(_IPV6_GROUP.fullmatch(group) for group in groups):
        return count
    return None
