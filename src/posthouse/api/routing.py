"""Where addresses go, for applications: standard form, resolving, transport tables."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from posthouse.api.calls import answer, opener, reported
from posthouse.config.lists import parse_items
from posthouse.config.parameter import parse_time
from posthouse.config.parameters import OWNER_REQUEST_SPECIAL, RECIPIENT_DELIMITER
from posthouse.config.settings import Settings
from posthouse.ipc.rewrite import (
    CLASS_ALIAS,
    CLASS_DEFAULT,
    CLASS_LOCAL,
    CLASS_RELAY,
    CLASS_VIRTUAL,
    ERROR,
    FAILED,
    ROUTED,
)
from posthouse.protocol.address import quote_address, split_address, unquote_address
from posthouse.rewriting import local, resolve
from posthouse.rewriting.probe_sender import ProbeSender as Probes
from posthouse.rewriting.transport import TransportMaps
from posthouse.tables.search_order import SearchRules
from posthouse.util.errors import TemporaryError

__all__ = ["Hop", "ProbeSender", "Resolver", "Rewriter", "Route", "TransportMap"]

_CLASSES: Final = {
    CLASS_LOCAL: "local",
    CLASS_ALIAS: "alias",
    CLASS_VIRTUAL: "virtual",
    CLASS_RELAY: "relay",
    CLASS_DEFAULT: "default",
}


class Route(NamedTuple):
    """Where an address goes: delivery agent, where that sends it, and what the address has become.

    domain_class: local, alias, virtual, relay or default. error: the address is wrong. routed: its local part names
    other systems, and its domain is not ours.
    """

    transport: str
    nexthop: str
    recipient: str
    domain_class: str
    error: bool
    routed: bool


class Hop(NamedTuple):
    """An entry of a transport table; `transport` is None where the table leaves it as it is."""

    transport: str | None
    nexthop: str


class Rewriter:
    """Brings addresses (external form) to standard form."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Read the settings. Raises ValueError."""
        with reported():
            self._rewriter = local.Rewriter(Settings.from_mapping(settings))

    def rewrite(self, addr: str, context: str = "local") -> str:
        """Give the standard form. context: "local" or "remote". Raises ValueError: no such context."""
        with reported():
            return self._rewriter.rewrite(addr, context)


class Resolver:
    """Finds where addresses (internal form) go."""

    def __init__(self, settings: Mapping[str, str], own_addresses: Iterable[str] = ()) -> None:
        """Read the settings and open the tables. own_addresses: of this machine. Raises ValueError."""
        with reported():
            values = Settings.from_mapping(settings)
            self._resolver = resolve.Resolver(values, opener(None, settings), own=tuple(own_addresses))

    def resolve(self, addr: str, sender: str = "", verify: bool = False) -> Route:
        """Resolve an address; `verify`: as it is done for address probes. Raises TemporaryError."""
        kind = "verify" if verify else "resolve"
        resolved = answer(self._resolver.resolve(quote_address(addr), quote_address(sender), kind))
        flags = resolved.flags
        if flags & FAILED:
            raise TemporaryError(f"{addr}: a table cannot be asked now")
        (name,) = (name for flag, name in _CLASSES.items() if flags & flag)
        recipient = unquote_address(resolved.recipient)
        return Route(resolved.transport, resolved.nexthop, recipient, name, bool(flags & ERROR), bool(flags & ROUTED))


class TransportMap:
    """A list of transport tables."""

    def __init__(self, spec: str, settings: Mapping[str, str]) -> None:
        """Open the tables. Raises ValueError."""
        with reported():
            values = Settings.from_mapping(settings)
            rules = SearchRules(values[RECIPIENT_DELIMITER], owner_request_special=values[OWNER_REQUEST_SPECIAL])
            self._maps = TransportMaps(parse_items(spec), values, opener(None, settings), rules)

    def lookup(self, addr: str) -> Hop | None:
        """Give the entry for an address (internal form), or None. Raises TemporaryError."""
        entry = answer(self._maps.find(quote_address(addr)))
        if entry is None:
            return None
        return Hop(entry.transport or None, entry.nexthop or split_address(addr).domain or "")


class ProbeSender:
    """The sender of address probes: address_verify_sender, with a tail that follows address_verify_sender_ttl."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Read the settings. Raises ValueError."""
        with reported():
            values = Settings.from_mapping(settings)
            rewriter = local.Rewriter(values)
            ttl_s = float(parse_time(values.text("address_verify_sender_ttl"), "s"))
            self._probes = Probes(values.text("address_verify_sender"), ttl_s, rewriter.rewrite)

    def make(self, now: float) -> str:
        """Give the sender (internal form) for a probe. now: seconds since the epoch."""
        return unquote_address(self._probes.make(now))

    def match(self, addr: str, now: float) -> str | None:
        """Give the address without its time stamp, if it is a probe's sender about this time; else None."""
        found = self._probes.match(quote_address(addr), now)
        return None if found is None else unquote_address(found)
