"""Host names, addresses, literals and ports for applications."""

from typing import NamedTuple

from posthouse.config.own_addresses import parse_protocols
from posthouse.protocol import domain_problem, idn
from posthouse.protocol.domain import is_hostname
from posthouse.protocol.domain_problem import address_problem
from posthouse.protocol.host_port import split_host_port
from posthouse.protocol.uri import uri_scheme_length
from posthouse.tables.table import fold_key
from posthouse.util import netaddr

__all__ = [
    "Literal",
    "address_problem",
    "casefold",
    "domain_to_ascii",
    "domain_to_unicode",
    "hostname_problem",
    "normalize_literal",
    "prefix_mask",
    "split_host_port",
    "unmap_ipv4",
    "uri_scheme_length",
]

_FAMILIES = {"inet": 32, "inet6": 128}


class Literal(NamedTuple):
    """An address literal: its text without brackets, the bare address, and "inet" or "inet6"."""

    literal: str
    address: str
    family: str


def casefold(text: str) -> str:
    """Fold case: all of Unicode; only ASCII letters where the text has malformed UTF-8."""
    return fold_key(text, utf8=True)


def hostname_problem(name: str, wildcard: bool = False) -> str | None:
    """Say what is wrong with a host name; None: nothing. wildcard: its first label may be "*"."""
    return domain_problem.hostname_problem(name, wildcard=wildcard)


def domain_to_ascii(name: str) -> str:
    """Give a name with A-labels, in lower case. Raises ValueError: it is no host name, or has a wrong A-label."""
    found = idn.domain_to_ascii(name)
    if found is None or not is_hostname(found) or idn.domain_to_unicode(found) is None:
        raise ValueError(f"no valid domain name: {name}")
    return found.lower()


def domain_to_unicode(name: str) -> str:
    """Give a name with U-labels, in lower case. Raises ValueError: it is no host name."""
    found = idn.domain_to_unicode(domain_to_ascii(name))
    if found is None:
        raise ValueError(f"no valid domain name: {name}")
    return found.lower() if found.isascii() else found


def normalize_literal(text: str, protocols: str = "ipv4, ipv6") -> Literal:
    """Read the inside of an address literal. Raises ValueError: malformed, or of a protocol that is not enabled.

    protocols: as in inet_protocols; an IPv4 address inside of an IPv6 one becomes IPv4 where that is enabled.
    """
    has_prefix = text[:5].lower() == "ipv6:"
    parsed = netaddr.parse_ip(text[5:] if has_prefix else text)
    if parsed is None or has_prefix is not (parsed[0] == 128):
        raise ValueError(f"malformed address literal: {text}")
    versions = parse_protocols(protocols)
    bits, number = netaddr.unmapped(*parsed) if 4 in versions else parsed
    if (6 if bits == 128 else 4) not in versions:
        raise ValueError(f"address literal of a protocol that is not enabled: {text}")
    address = netaddr.format_ip(bits, number)
    return Literal(f"IPv6:{address}", address, "inet6") if bits == 128 else Literal(address, address, "inet")


def unmap_ipv4(address: str, protocols: str = "ipv4, ipv6") -> str:
    """Give the IPv4 address inside of an IPv6 one, when IPv4 is enabled; other texts do not change."""
    parsed = netaddr.parse_ip(address)
    if parsed is None or 4 not in parse_protocols(protocols):
        return address
    plain = netaddr.unmapped(*parsed)
    return address if plain == parsed else netaddr.format_ip(*plain)


def prefix_mask(family: str, length: int) -> str:
    """Give the all-ones address of "inet" or "inet6" cut to a prefix. Raises ValueError."""
    bits = _FAMILIES.get(family)
    if bits is None:
        raise ValueError(f'"{family}" is not one of: inet, inet6')
    return netaddr.prefix_mask(bits, length)
