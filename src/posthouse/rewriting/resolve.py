"""Resolver: where does mail for this address go? Transport, nexthop, recipient in its final form, address class.

First the address is taken apart (unroll.py), then the class of its domain gives transport and nexthop, and the tables
may change them: transport_maps before everything but an unknown virtual alias, then relocated_maps. A table that cannot
be asked makes the result FAILED, which defers mail, never an answer made without it.
Sources: transport(5), ADDRESS_CLASS_README; facts B08.03 to B08.11.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from posthouse.config.parameter import Boolean, Parameter, String, Tables
from posthouse.config.parameters import (
    ALLOW_MIN_USER,
    DEFAULT_TRANSPORT,
    EMPTY_ADDRESS_RECIPIENT,
    LOCAL_TRANSPORT,
    MYHOSTNAME,
    RELAY_TRANSPORT,
    RELAYHOST,
    RELOCATED_MAPS,
    SENDER_DEPENDENT_DEFAULT_TRANSPORT_MAPS,
    SENDER_DEPENDENT_RELAYHOST_MAPS,
    SHOW_USER_UNKNOWN_TABLE_NAME,
    SMTPUTF8_ENABLE,
    TRANSPORT_MAPS,
    VIRTUAL_ALIAS_DOMAINS,
    VIRTUAL_TRANSPORT,
)
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
    Resolved,
)
from posthouse.protocol.domain import is_hostname, is_ipv4_address, is_ipv6_address, is_mail_domain
from posthouse.protocol.idn import is_valid_domain
from posthouse.protocol.text import is_utf8
from posthouse.rewriting import classes, local, parameters
from posthouse.rewriting.classes import AddressClasses, search_rules
from posthouse.rewriting.local import Rewriter
from posthouse.rewriting.trace import Trace
from posthouse.rewriting.transport import Hop, TransportMaps, split_transport
from posthouse.rewriting.unroll import RoutingError, Unrolled, Unroller
from posthouse.tables.maps import Maps
from posthouse.tables.open import Opener, open_maps
from posthouse.tables.search_order import SearchRules, find_address
from posthouse.tables.table import printable
from posthouse.util import log
from posthouse.util.errors import ConfigError, TableError

PARAMETERS: Final[tuple[Parameter[object], ...]] = (
    *local.PARAMETERS,
    *classes.PARAMETERS,
    *(value for value in vars(parameters).values() if isinstance(value, Boolean | String | Tables)),
    ALLOW_MIN_USER,
    DEFAULT_TRANSPORT,
    EMPTY_ADDRESS_RECIPIENT,
    LOCAL_TRANSPORT,
    MYHOSTNAME,
    RELAY_TRANSPORT,
    RELAYHOST,
    RELOCATED_MAPS,
    SENDER_DEPENDENT_DEFAULT_TRANSPORT_MAPS,
    SENDER_DEPENDENT_RELAYHOST_MAPS,
    SHOW_USER_UNKNOWN_TABLE_NAME,
    SMTPUTF8_ENABLE,
    TRANSPORT_MAPS,
    VIRTUAL_TRANSPORT,
)

# An address in which nothing has to be looked for: no quotes, no routing operators, a host name as domain
_SIMPLE: Final = re.compile(
    r'[^\x00-\x20\x7f()<>@,;:\\"\[\].%!]+(?:\.[^\x00-\x20\x7f()<>@,;:\\"\[\].%!]+)*@([A-Za-z0-9._-]*[A-Za-z0-9_-])'
)
_ROUTING: Final = re.compile(r"[@!%]")
CLASS_STEP: Final = "address class"  # in a trace; the result is the flag
NULL_SENDER: Final = "<>"  # in a trace
FAILURE: Final = Resolved(FAILED, "", "", "")


@dataclass(frozen=True, slots=True)
class _Rows:
    """The parameters of one kind of request."""

    local: String
    virtual: String
    relay: String
    default: String
    relayhost: String
    transports: Tables
    sender_relayhosts: Tables
    sender_transports: Tables


_KINDS: Final = {
    "resolve": _Rows(
        LOCAL_TRANSPORT,
        VIRTUAL_TRANSPORT,
        RELAY_TRANSPORT,
        DEFAULT_TRANSPORT,
        RELAYHOST,
        TRANSPORT_MAPS,
        SENDER_DEPENDENT_RELAYHOST_MAPS,
        SENDER_DEPENDENT_DEFAULT_TRANSPORT_MAPS,
    ),
    "verify": _Rows(
        parameters.ADDRESS_VERIFY_LOCAL_TRANSPORT,
        parameters.ADDRESS_VERIFY_VIRTUAL_TRANSPORT,
        parameters.ADDRESS_VERIFY_RELAY_TRANSPORT,
        parameters.ADDRESS_VERIFY_DEFAULT_TRANSPORT,
        parameters.ADDRESS_VERIFY_RELAYHOST,
        parameters.ADDRESS_VERIFY_TRANSPORT_MAPS,
        parameters.ADDRESS_VERIFY_SENDER_DEPENDENT_RELAYHOST_MAPS,
        parameters.ADDRESS_VERIFY_SENDER_DEPENDENT_DEFAULT_TRANSPORT_MAPS,
    ),
}


class _Kind:
    """Transports and tables of one kind of request: mail, or address probes."""

    def __init__(self, rows: _Rows, settings: Settings, opener: Opener, rules: SearchRules) -> None:
        self.rows = rows
        self.local = _transport(rows.local, settings)
        self.virtual = _transport(rows.virtual, settings)
        self.relay = _transport(rows.relay, settings)
        self.default = _transport(rows.default, settings)
        self.relayhost = settings[rows.relayhost]
        self.transports = TransportMaps(settings[rows.transports], settings, opener, rules)
        self.sender_relayhosts = _Senders(
            rows.sender_relayhosts, parameters.EMPTY_ADDRESS_RELAYHOST_MAPS_LOOKUP_KEY, settings, opener, rules
        )
        self.sender_transports = _Senders(
            rows.sender_transports, parameters.EMPTY_ADDRESS_DEFAULT_TRANSPORT_MAPS_LOOKUP_KEY, settings, opener, rules
        )
        self.asks_sender = bool(self.sender_relayhosts or self.sender_transports)


class _Senders:
    """A table by sender."""

    def __init__(self, tables: Tables, key: String, settings: Settings, opener: Opener, rules: SearchRules) -> None:
        self._name = tables.name
        self._maps: Maps = open_maps(settings[tables], opener)
        self._null_key = settings[key]
        self._rules = rules

    async def find(self, sender: str) -> str | None:
        """Give the value for a sender; None also for DUNNO, which keeps the default. Raises TableError."""
        if not self._maps:
            return None
        key = sender or self._null_key
        try:
            found = await find_address(self._maps, key, self._rules)
        except TableError:
            log.warning(f"{self._name} lookup failure")
            raise
        if found is None or found.value.upper() == "DUNNO":
            return None
        if not found.value:
            log.warning(f"{self._name}: ignoring null lookup result for {key}")
            return None
        return found.value

    def __bool__(self) -> bool:
        return bool(self._maps)


def _transport(row: String, settings: Settings) -> Hop:
    hop = split_transport(settings[row])
    if not hop.transport:
        raise settings.error(row.name, "the transport is missing; write transport:nexthop, for example smtp:[host]")
    return hop


def _by_table(rows: _Rows, sender: str, text: str) -> Hop:
    hop = split_transport(text)
    if not hop.transport:
        name, shown = rows.sender_transports.name, printable(text)
        log.warning(f'{name}: no transport in "{shown}" for {printable(sender)}; write transport:nexthop')
        raise TableError("a transport is missing")
    return hop


class Resolver:
    """What trivial-rewrite(8) knows. Nothing is kept between two calls."""

    def __init__(
        self,
        settings: Settings,
        opener: Opener | None = None,
        *,
        own: Iterable[str] | None = None,
        trace: Trace | None = None,
    ) -> None:
        """Read the settings and open the tables. own: our addresses, if not those of the interfaces.

        Raises ConfigError.
        """
        opener = opener or Opener(settings)
        self.classes = AddressClasses(settings, opener, own=own)
        self.rewriter = Rewriter(settings, trace)
        self._trace = trace
        rules = search_rules(settings, self.classes.local)
        self._rules = rules
        self._unroller = Unroller(settings, self.rewriter, self.classes.local)
        self._kinds = {kind: _Kind(rows, settings, opener, rules) for kind, rows in _KINDS.items()}
        self._relocated = open_maps(settings[RELOCATED_MAPS], opener)
        self._relocated_prefix = "5.1.6 User has moved to " if settings[parameters.RELOCATED_PREFIX_ENABLE] else ""
        self._numeric = settings[parameters.RESOLVE_NUMERIC_DOMAIN]
        self._min_user = settings[ALLOW_MIN_USER]
        self._utf8 = settings[SMTPUTF8_ENABLE]
        shown = " in virtual alias table" if settings[SHOW_USER_UNKNOWN_TABLE_NAME] else ""
        self._unknown_alias = f"5.1.1 User unknown{shown}"

    async def resolve(self, address: str, sender: str = "", kind: str = "resolve") -> Resolved:
        """Resolve an address (external form). Never raises TableError: the result is FAILED then."""
        which = self._kinds.get(kind)
        if which is None:
            raise ConfigError(f'unknown request "{kind}"; there are {", ".join(self._kinds)}')
        try:
            simple = _SIMPLE.fullmatch(address)
            if simple is not None and is_hostname(simple[1]) and address.isascii():
                return await self._route(Unrolled(address, simple[1]), sender, which, 0)
            return await self._resolve_any(address, sender, which)
        except TableError:
            return FAILURE
        except RoutingError:
            return Resolved(ERROR | CLASS_DEFAULT, "", "", address)

    async def _resolve_any(self, address: str, sender: str, which: _Kind) -> Resolved:
        unrolled = await self._unroller.unroll(address)
        domain, recipient = unrolled.domain, unrolled.recipient
        if self._utf8 and not recipient.isascii() and not is_utf8(recipient.encode("utf-8", "surrogatepass")):
            return Resolved(ERROR | CLASS_DEFAULT, "", "", recipient)
        if not (is_valid_domain(domain) if self._utf8 else is_mail_domain(domain)):
            is_address = is_ipv4_address(domain) or is_ipv6_address(domain)
            if not (self._numeric and is_address):
                return Resolved(ERROR | CLASS_DEFAULT, "", "", recipient)
            unrolled = unrolled.with_domain(f"[{domain}]")
        flags = ROUTED if _ROUTING.search(unrolled.internal_local_part) else 0
        return await self._route(unrolled, sender, which, flags)

    async def _route(self, target: Unrolled, sender: str, which: _Kind, flags: int) -> Resolved:
        domain, recipient = target.domain, target.recipient
        address_class = await self.classes.of(domain)
        flags |= address_class
        if self._trace is not None:
            self._trace.told(CLASS_STEP, domain, str(address_class))
        if address_class == CLASS_ALIAS:
            hop = self._told(VIRTUAL_ALIAS_DOMAINS, domain, Hop("error", self._unknown_alias))
        else:
            hop = await self._by_class(address_class, domain, sender, which)
            if which.transports:
                try:
                    hop = await which.transports.apply(recipient, domain, hop)
                except TableError:
                    log.warning("transport_maps lookup failure")
                    raise
                if self._trace is not None:
                    self._told(which.rows.transports, recipient, hop)
        if self._relocated:
            hop = await self._relocate(recipient) or hop
            self._told(RELOCATED_MAPS, recipient, hop)
        if recipient[0] == "-" or recipient.startswith('"-'):
            # External commands could take the address for an option; no table can lift this.
            flags |= 0 if self._min_user else ERROR
        return Resolved(flags, hop.transport, hop.nexthop, recipient)

    async def _relocate(self, recipient: str) -> Hop | None:
        """Give the way back for people who moved, whatever the class of their address."""
        try:
            found = await find_address(self._relocated, recipient, self._rules)
        except TableError:
            log.warning("relocated_maps lookup failure")
            raise
        return None if found is None else Hop("error", self._relocated_prefix + found.value)

    async def _by_class(self, address_class: int, domain: str, sender: str, which: _Kind) -> Hop:
        """Give transport and nexthop as main.cf says: a nexthop written with the transport wins, then relayhost."""
        rows, nexthop = which.rows, domain
        if address_class == CLASS_LOCAL:
            row, hop = rows.local, which.local
        elif address_class == CLASS_VIRTUAL:
            row, hop = rows.virtual, which.virtual
        else:
            row, hop = (rows.relay, which.relay) if address_class == CLASS_RELAY else (rows.default, which.default)
            nexthop = which.relayhost or domain
        if self._trace is not None:
            self._told(row, domain, hop)
            if nexthop is not domain:
                self._told(rows.relayhost, domain, Hop(hop.transport, hop.nexthop or nexthop))
        if which.asks_sender and address_class not in (CLASS_LOCAL, CLASS_VIRTUAL):
            return await self._by_sender(hop, nexthop, sender, which, address_class)
        return Hop(hop.transport, hop.nexthop or nexthop)

    async def _by_sender(self, hop: Hop, nexthop: str, sender: str, which: _Kind, address_class: int) -> Hop:
        """Let the sender change the transport (of the default class) and the relayhost."""
        rows, shown = which.rows, sender or NULL_SENDER
        if which.sender_transports and address_class != CLASS_RELAY:
            text = await which.sender_transports.find(sender)
            hop = self._told(rows.sender_transports, shown, hop if text is None else _by_table(rows, sender, text))
        if which.sender_relayhosts:
            nexthop = await which.sender_relayhosts.find(sender) or nexthop
            self._told(rows.sender_relayhosts, shown, Hop(hop.transport, hop.nexthop or nexthop))
        return Hop(hop.transport, hop.nexthop or nexthop)

    def _told(self, rule: Parameter[object], subject: str, hop: Hop) -> Hop:
        """Tell who listens what a rule makes of the way."""
        if self._trace is not None:
            self._trace.told(rule.name, subject, f"{hop.transport}:{hop.nexthop}")
        return hop
