"""Router: from a destination to the addresses to try, in order.

MX hosts by preference, implicit MX, null MX, and the guard against loops: where our own address is among the MX
hosts, those of equal and worse preference do not count. Asks dns(8) and the hosts file; connects to nothing.
Sources: RFC 5321 5.1, RFC 7505, RFC 3463; smtp(8); facts B10.02 to B10.04; security table DN-03 to DN-06.
"""

import asyncio
import ipaddress
import random
from collections.abc import Sequence
from typing import Final, NamedTuple

from posthouse.config.endpoints import find_port
from posthouse.config.parameter import ConfigValueError
from posthouse.daemons.smtp.destination import Destination
from posthouse.daemons.smtp.options import Choice, Lookup
from posthouse.ipc.dns import INVALID, NODATA, NXDOMAIN, OK, TEMPORARY, Answer, DnsRecord
from posthouse.ipc.message import BOUNCED, DEFERRED
from posthouse.net.dns_client import DnsClient
from posthouse.net.hosts import HostsFile, normal_address
from posthouse.protocol.domain import is_hostname
from posthouse.protocol.idn import domain_to_ascii
from posthouse.util import log

SMTP_PORT: Final = 25  # the loop guard works where another server of ours could listen
MAX_HOSTS: Final = 50  # MX hosts whose addresses are looked up
MAX_ADDRESSES: Final = 50  # addresses of one host
MAX_ROUTES: Final = 5_000  # kept
STATIC_S: Final = 3600.0  # how long what needed no lookup is kept


class Endpoint:
    """One address to connect to."""

    __slots__ = ("address", "best", "guarded", "is_unix", "key", "label", "name", "path", "port", "preference", "relay")

    def __init__(self, name: str, address: str, port: int, preference: int = 0, *, path: str = "") -> None:
        self.name = name  # for the log: the MX host
        self.address = address
        self.port = port
        self.path = path  # of a UNIX socket
        self.is_unix = bool(path)
        self.preference = preference
        self.best = True  # one of the best MX hosts
        self.guarded = port == SMTP_PORT and not path
        self.label = f"{name}[{address}]"
        self.relay = self.label if path else f"{self.label}:{port}"
        self.key = (name, address, port)


class NoRoute(NamedTuple):
    """Why there is no address to try."""

    outcome: int
    dsn: str
    text: str
    loops: bool = False  # this host is the best MX

    def softened(self) -> "NoRoute":
        """The same, put off: for relayhost and fallback relays, where our configuration is at fault."""
        return self._replace(outcome=DEFERRED, dsn="4" + self.dsn[1:])


class _Addresses(NamedTuple):
    endpoints: list[Endpoint]
    ttl_s: float
    error: NoRoute | None


Route = list[Endpoint] | NoRoute


class Router:
    """Finds routes, and keeps them as long as DNS allows."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lookup: Lookup, dns: DnsClient, hosts: HostsFile) -> None:
        self._loop = loop
        self._lookup = lookup
        self._dns = dns
        self._hosts = hosts
        self._kept: dict[Destination, tuple[float, list[Endpoint]]] = {}

    def known(self, destination: Destination) -> list[Endpoint] | None:
        """Give a route that needs no lookup now."""
        kept = self._kept.get(destination)
        if kept is None or kept[0] < self._loop.time():
            return None
        return kept[1]

    async def find(self, destination: Destination) -> Route:
        """Find the addresses of a destination, by preference."""
        route = self.known(destination)
        if route is not None:
            return route
        if destination.path:
            name = destination.path
            path = name if name.startswith("/") else f"{self._lookup.queue_directory}/{name}"
            return self._keep(destination, [Endpoint(self._lookup.myhostname, name, 0, path=path)], STATIC_S)
        try:
            text = destination.port
            port = find_port(text, self._lookup.ports) if text else self._lookup.default_port
        except ConfigValueError:
            return NoRoute(DEFERRED, "4.3.5", f"unknown service: {destination.port}/tcp")
        found = await self._find(destination, port)
        if found.error is not None:
            return found.error
        return self._keep(destination, found.endpoints, found.ttl_s)

    def _keep(self, destination: Destination, endpoints: list[Endpoint], ttl_s: float) -> list[Endpoint]:
        if len(self._kept) >= MAX_ROUTES:
            self._kept.pop(next(iter(self._kept)))
        self._kept[destination] = (self._loop.time() + ttl_s, endpoints)
        return endpoints

    async def _find(self, destination: Destination, port: int) -> _Addresses:
        host = destination.host
        literal = normal_address(host)
        if literal is not None:
            return self._guard(host, [Endpoint(literal, literal, port)], STATIC_S)
        name = domain_to_ascii(host)
        if name is None or not is_hostname(name):
            return _failed(NoRoute(BOUNCED, "5.4.4", f"unable to look up host {host}: invalid host or domain name"))
        if destination.mx and self._lookup.use_dns:
            return await self._find_mx(name, port)
        return await self._find_host(name, port)

    async def _find_mx(self, domain: str, port: int) -> _Addresses:
        answer = await self._dns.lookup(domain, "MX")
        if answer.status in (NXDOMAIN, NODATA):
            return await self._find_host(domain, port)
        if answer.status != OK:
            if self._lookup.ignore_mx_error:
                return await self._find_host(domain, port)
            return _failed(_name_error(domain, "MX", answer))
        if any(record.data == "." and record.preference == 0 for record in answer.records):
            return _failed(NoRoute(BOUNCED, "5.1.10", f"Domain {domain} does not accept mail (nullMX)"))
        records = [record for record in answer.records if record.data != "."][:MAX_HOSTS]
        if not records:
            return _failed(NoRoute(BOUNCED, "5.4.4", f"no MX host for {domain} has a valid name"))
        return await self._find_mx_hosts(domain, port, records)

    async def _find_mx_hosts(self, domain: str, port: int, records: list[DnsRecord]) -> _Addresses:
        endpoints: list[Endpoint] = []
        ttl_s = float(min(record.ttl for record in records))
        errors: list[NoRoute] = []
        for record in records:  # begin all lookups before waiting for the first
            self._begin(record.data)
        for record in records:
            found = await self._find_addresses(record.data, port, record.preference)
            endpoints += found.endpoints
            ttl_s = min(ttl_s, found.ttl_s)
            if found.error is not None:
                errors.append(found.error)
        if not endpoints:
            log.warning(f"no MX host for {domain} has a valid address record")
            # One host that may have an address after all is reason enough to wait.
            error = next((each for each in errors if each.outcome == DEFERRED), errors[-1])
            return _failed(error.softened() if self._lookup.defer_without_address else error)
        endpoints.sort(key=lambda endpoint: endpoint.preference)
        return self._guard(domain, endpoints, ttl_s, best=min(record.preference for record in records))

    def _begin(self, host: str) -> None:
        if self._lookup.use_dns and "dns" in self._lookup.sources:
            for rrtype in self._lookup.families:
                self._dns.begin(host, rrtype)

    async def _find_host(self, host: str, port: int) -> _Addresses:
        found = await self._find_addresses(host, port, 0)
        return found if found.error is not None else self._guard(host, found.endpoints, found.ttl_s)

    async def _find_addresses(self, host: str, port: int, preference: int) -> _Addresses:
        """Look one host up, where smtp_host_lookup says."""
        native = "native" in self._lookup.sources or not self._lookup.use_dns
        from_dns = _Addresses([], STATIC_S, None)
        if self._lookup.use_dns and "dns" in self._lookup.sources:
            from_dns = await self._ask_dns(host, port, preference)
            if from_dns.endpoints:
                return from_dns
        if native:
            addresses = [each for each in self._hosts.addresses(host) if self._is_wanted(each)]
            if addresses:
                return _Addresses([Endpoint(host, each, port, preference) for each in addresses], 60.0, None)
            if self._lookup.use_dns and "dns" not in self._lookup.sources:
                return await self._ask_dns(host, port, preference)
        if from_dns.error is not None:
            return from_dns
        return _failed(NoRoute(BOUNCED, "5.4.4", f"unable to look up host {host}: Name or service not known"))

    async def _ask_dns(self, host: str, port: int, preference: int) -> _Addresses:
        asked = [(rrtype, self._dns.begin(host, rrtype)) for rrtype in self._lookup.families]
        endpoints: list[Endpoint] = []
        ttl_s, error = STATIC_S, None
        for rrtype, future in asked:
            answer = await future
            if answer.status != OK:
                if error is None or error.outcome != DEFERRED:
                    error = _name_error(host, rrtype, answer)
                continue
            for record in answer.records[:MAX_ADDRESSES]:
                if _is_usable(record.data):
                    endpoints.append(Endpoint(host, record.data, port, preference))
                    ttl_s = min(ttl_s, float(record.ttl))
        if endpoints:
            return _Addresses(endpoints, ttl_s, None)
        return _failed(error or NoRoute(BOUNCED, "5.4.4", f"unable to look up host {host}: no usable address"))

    def _is_wanted(self, address: str) -> bool:
        return ("AAAA" if ":" in address else "A") in self._lookup.families and _is_usable(address)

    def _guard(self, name: str, endpoints: list[Endpoint], ttl_s: float, best: int = 0) -> _Addresses:
        """Leave out ourselves and all that is not better (RFC 5321 5.1)."""
        ours = [each.preference for each in endpoints if each.guarded and self._is_own(each.address)]
        if ours:
            endpoints = [each for each in endpoints if each.preference < min(ours)]
            if not endpoints and min(ours) > best:
                return _failed(NoRoute(DEFERRED, "4.4.4", f"unable to find primary relay for {name}"))
            if not endpoints:
                return _failed(NoRoute(BOUNCED, "5.4.6", f"mail for {name} loops back to myself", loops=True))
        for each in endpoints:
            each.best = each.preference == best
        return _Addresses(endpoints, ttl_s, None)

    def _is_own(self, address: str) -> bool:
        if address in self._lookup.own_addresses:
            return True
        numeric = ipaddress.ip_address(address)
        return numeric.is_loopback or numeric.is_unspecified


def arrange(endpoints: Sequence[Endpoint], choice: Choice) -> list[Endpoint]:
    """Put the addresses of a route in the order in which this delivery tries them."""
    order = list(endpoints)
    if len(order) < 2:
        return order
    if choice.randomize:
        random.shuffle(order)
    first = {"ipv6": True, "ipv4": False}.get(choice.preference)
    if first is None:
        order.sort(key=lambda each: each.preference)
    else:
        order.sort(key=lambda each: (each.preference, (":" in each.address) is not first))
    if choice.balance and choice.address_limit:
        _balance(order, choice.address_limit)
    return order


def _balance(order: list[Endpoint], limit: int) -> None:
    """Have both address families among the first `limit`, where both are there and there is room for two."""
    if limit < 2 or len(order) <= limit:
        return
    kept = {":" in each.address for each in order[:limit]}
    if len(kept) == 1:
        for index in range(limit, len(order)):
            if (":" in order[index].address) not in kept:
                order.insert(limit - 1, order.pop(index))
                return


def _is_usable(address: str) -> bool:
    """Whether a connection to the address can mean anything (DN-05)."""
    try:
        numeric = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not numeric.is_multicast and str(numeric) != "255.255.255.255"


def _failed(error: NoRoute) -> _Addresses:
    return _Addresses([], 0.0, error)


def _name_error(name: str, rrtype: str, answer: Answer) -> NoRoute:
    text = f"Host or domain name not found. Name service error for name={name} type={rrtype}: {answer.text}"
    if answer.status == TEMPORARY:
        return NoRoute(DEFERRED, "4.4.3", text)
    assert answer.status in (NXDOMAIN, NODATA, INVALID), "every other status has records"
    return NoRoute(BOUNCED, "5.4.4", text)
