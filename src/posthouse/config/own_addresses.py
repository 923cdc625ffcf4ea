"""Which addresses are our own, and the networks that mynetworks_style makes of them.

Sources: postconf(5), inet_interfaces, inet_protocols, proxy_interfaces, mynetworks_style; facts B01.17.
"""

import ipaddress
import socket
from collections.abc import Callable, Iterable
from functools import cache

from posthouse.config.interfaces import Address, InterfaceAddress, interface_addresses
from posthouse.config.lists import split_tokens
from posthouse.config.parameter import ConfigValueError
from posthouse.config.settings import Settings

Text = Callable[[str], str]  # parameter name -> expanded value


def own_interfaces(text: Text) -> tuple[InterfaceAddress, ...]:
    """Find the addresses of inet_interfaces, of the families of inet_protocols, IPv4 first."""
    wanted = parse_protocols(text("inet_protocols"))
    present = [item for item in interface_addresses() if item.address.version in wanted]
    names = [word.lower() for word in split_tokens(text("inet_interfaces"))]
    if names == ["loopback-only"]:
        found = [item for item in present if item.address.is_loopback]
    elif names in (["all"], []):
        found = present
    else:
        found = list(_chosen(names, present, wanted))
    return tuple(sorted(found, key=lambda item: item.address.version))


def own_addresses(text: Text) -> frozenset[Address]:
    """Give every address at which this system receives mail: inet_interfaces and proxy_interfaces."""
    proxies = list(split_tokens(text("proxy_interfaces")))
    wanted = parse_protocols(text("inet_protocols"))
    try:
        outside = tuple(_chosen(proxies, [], wanted))
    except ConfigValueError as error:
        raise ConfigValueError(str(error), "proxy_interfaces") from None
    return frozenset(item.address for item in (*own_interfaces(text), *outside))


def own_address_texts(settings: Settings) -> frozenset[str]:
    """Give the same as texts, for a daemon. Raises ConfigError, with file and line."""
    try:
        return frozenset(map(str, own_addresses(settings.text)))
    except ConfigValueError as error:
        raise settings.error(error.parameter or "inet_interfaces", str(error)) from None


def parse_protocols(text: str) -> frozenset[int]:
    """Read inet_protocols as IP versions. Raises ConfigValueError."""
    versions: set[int] = set()
    for word in split_tokens(text.lower()):
        if word not in ("all", "ipv4", "ipv6"):
            raise ConfigValueError(f'"{word}" is not one of: all, ipv4, ipv6', "inet_protocols")
        versions |= {"all": {4, 6}, "ipv4": {4}, "ipv6": {6}}[word]
    if not versions:
        raise ConfigValueError("no protocol is enabled; write all, ipv4 or ipv6", "inet_protocols")
    return frozenset(versions)


def _chosen(
    names: Iterable[str], present: Iterable[InterfaceAddress], wanted: frozenset[int]
) -> Iterable[InterfaceAddress]:
    """Turn addresses and host names into interface addresses; the prefix comes from the interface that has it."""
    known = {item.address: item for item in present}
    for name in names:
        for address in addresses_of(name):
            if address.version in wanted:
                yield known.get(address, InterfaceAddress("", address, address.max_prefixlen))


@cache
def addresses_of(name: str) -> tuple[Address, ...]:
    """Read an address, with or without brackets, or ask the resolver for a host name's.

    A name is asked for once in a process: later, behind its walls, it may be unable to.
    """
    bare = name.removeprefix("[").removesuffix("]").lower().removeprefix("ipv6:")
    try:
        return (ipaddress.ip_address(bare),)
    except ValueError:
        pass
    if name == "localhost":
        return (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: no host can be called so
        reason = (error.strerror if isinstance(error, OSError) else "it is no name of a host") or "no address"
        why = f'cannot find the address of "{name}": {reason}; write the address itself'
        raise ConfigValueError(why, "inet_interfaces") from None
    return tuple(ipaddress.ip_address(str(row[4][0]).partition("%")[0]) for row in found)


def networks(interfaces: Iterable[InterfaceAddress], style: str) -> list[str]:
    """Give the networks of mynetworks_style, each once, in the order of the interfaces."""
    if style not in ("host", "subnet", "class"):
        raise ConfigValueError(f'"{style}" is not one of: class, subnet, host', "mynetworks_style")
    found: dict[str, None] = {}
    for item in interfaces:
        prefix_length = item.prefix_length
        if style == "host":
            prefix_length = item.address.max_prefixlen
        elif style == "class" and isinstance(item.address, ipaddress.IPv4Address):
            prefix_length = _class_prefix(item.address)
        network = ipaddress.ip_network((item.address, prefix_length), strict=False)
        base = f"[{network.network_address}]" if network.version == 6 else str(network.network_address)
        found[f"{base}/{network.prefixlen}"] = None
    return list(found)


def _class_prefix(address: ipaddress.IPv4Address) -> int:
    """Give the prefix length of the class A, B, C or D network (RFC 791; before CIDR)."""
    first = address.packed[0]
    return 8 if first < 128 else 16 if first < 192 else 24 if first < 224 else 32
