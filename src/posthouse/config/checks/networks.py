"""Checks of mynetworks: whether strangers are trusted, and whether this host is."""

import ipaddress
from collections.abc import Iterator
from typing import Final

from posthouse.config.checks.context import Context
from posthouse.config.findings import WARNING, Finding, Kind
from posthouse.config.parameters import MYNETWORKS, MYNETWORKS_STYLE

OPEN = Kind(
    "mynetworks-open",
    WARNING,
    "mynetworks trusts the whole Internet, or a large public part of it.",
    "strangers may send mail to anybody through this host",
    "name your own networks only",
)
CLASS = Kind(
    "mynetworks-class",
    WARNING,
    "mynetworks_style = class trusts the whole class A, B or C network that an interface is in.",
    "strangers in the provider's network may send mail to anybody through this host",
    "write: mynetworks_style = host",
)
HOST_BITS = Kind(
    "network-with-host-bits",
    WARNING,
    "A network in mynetworks is written with an address of a host in it.",
    "the lookup fails, and mail is answered with 451",
)
NO_LOOPBACK = Kind(
    "mynetworks-without-loopback",
    WARNING,
    "mynetworks is set and lacks this host's own loopback addresses, 127.0.0.0/8 or ::1.",
    "programs on this host that send to localhost are strangers",
)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_LARGEST: Final = {4: 8, 6: 16}  # prefix lengths; what is shorter than that, or as long and public, belongs to nobody


def check_networks(context: Context) -> Iterator[Finding]:
    """Check mynetworks for main.cf and for each service that has its own."""
    name = MYNETWORKS.name
    for service, settings in context.readers():
        own = {each for each, _ in service.overrides} if service else context.configuration.main.values
        if name not in own or name in context.bad:
            continue
        items = context.items(name, settings)
        place = context.place(name, settings)
        read = [(item, *_read(item)) for item in items]
        for item, _, better in read:
            if better:
                yield HOST_BITS.at(place, f"{name}: {item} has bits of a host in it", f"write: {better}")
        trusted = [network for item, network, _ in read if network and not item.startswith("!")]
        for network in trusted:
            if _is_public(network):
                yield OPEN.at(place, f"{name}: {network} is more than one's own network")
        is_complete = all(network for _, network, _ in read)  # no table, no file, no name of a host
        if is_complete and trusted and service is None:
            yield from _check_loopback(context, name, trusted)


def check_style(context: Context) -> Iterator[Finding]:
    """Check how mynetworks is computed when it is not set."""
    name = MYNETWORKS_STYLE.name
    if context.text(name).lower() == "class" and not context.is_set(MYNETWORKS.name):
        yield CLASS.at(context.place(name), f"{name}: class trusts whole class A, B and C networks")


def _read(item: str) -> tuple[Network | None, str]:
    """Read an item as a network; the second result is how a network with host bits should be written."""
    text = item.lstrip("!")
    shown = text
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        text = address + rest
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None, ""
    address = text.partition("/")[0]
    if "/" in text and ipaddress.ip_address(address) != network.network_address:
        better = f"[{network.network_address}]/{network.prefixlen}" if shown.startswith("[") else str(network)
        return network, better
    return network, ""


def _is_public(network: Network) -> bool:
    if network.prefixlen < _LARGEST[network.version]:
        return True
    return network.prefixlen == _LARGEST[network.version] and not (network.is_private or network.is_loopback)


def _check_loopback(context: Context, name: str, found: list[Network]) -> Iterator[Finding]:
    """Look for this host itself, in the protocols that are spoken on its loopback interface."""
    interfaces = [word.lower() for word in context.items("inet_interfaces")]
    protocols = [word.lower() for word in context.items("inet_protocols")]
    everywhere = bool({"all", "loopback-only", "localhost"} & set(interfaces))
    for version, own, network in ((4, "127.0.0.1", "127.0.0.0/8"), (6, "::1", "[::1]/128")):
        spoken = f"ipv{version}" in protocols or "all" in protocols
        listens = everywhere or own in interfaces or f"[{own}]" in interfaces
        address = ipaddress.ip_address(own)
        if spoken and listens and not any(address in one for one in found if one.version == version):
            place = context.place(name)
            yield NO_LOOPBACK.at(
                place, f"{name}: {network} is not in it", f"write: {name} = {network} {_shown(context)}"
            )


def _shown(context: Context) -> str:
    return " ".join(context.items(MYNETWORKS.name))
