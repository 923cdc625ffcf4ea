"""Address classes: which kind of destination a domain is, and so which transport and which recipient table it has.

Local, virtual alias, virtual mailbox, relay; everything else is the default class. A domain should be in one list only.
Sources: ADDRESS_CLASS_README; facts B08.04.
"""

from collections.abc import Iterable
from typing import Final

from posthouse.config.own_addresses import own_address_texts
from posthouse.config.parameters import (
    INET_INTERFACES,
    INET_PROTOCOLS,
    MYDESTINATION,
    OWNER_REQUEST_SPECIAL,
    PARENT_DOMAIN_MATCHES_SUBDOMAINS,
    PROXY_INTERFACES,
    RECIPIENT_DELIMITER,
    RELAY_DOMAINS,
    VIRTUAL_ALIAS_DOMAINS,
    VIRTUAL_MAILBOX_DOMAINS,
)
from posthouse.config.settings import Settings
from posthouse.ipc.rewrite import CLASS_ALIAS, CLASS_DEFAULT, CLASS_LOCAL, CLASS_RELAY, CLASS_VIRTUAL
from posthouse.rewriting.local import read_origin
from posthouse.tables.matchlist import MatchList, open_domain_list, open_string_list
from posthouse.tables.open import Opener
from posthouse.tables.search_order import SearchRules
from posthouse.tables.table import fold_key
from posthouse.util import log
from posthouse.util.errors import TableError
from posthouse.util.netaddr import parse_ip

PARAMETERS: Final = (
    MYDESTINATION,
    VIRTUAL_ALIAS_DOMAINS,
    VIRTUAL_MAILBOX_DOMAINS,
    RELAY_DOMAINS,
    INET_INTERFACES,
    INET_PROTOCOLS,
    PROXY_INTERFACES,
    PARENT_DOMAIN_MATCHES_SUBDOMAINS,
    RECIPIENT_DELIMITER,
    OWNER_REQUEST_SPECIAL,
)
CACHE_SIZE: Final = 20_000  # domains whose class is remembered; only when no list has a table in it


class LocalDomains:
    """mydestination and this machine's own addresses."""

    def __init__(self, settings: Settings, opener: Opener | None = None, *, own: Iterable[str] | None = None) -> None:
        """Read the settings. own: our addresses, instead of those of the interfaces. Raises ConfigError."""
        self.destinations = open_string_list(MYDESTINATION, settings, opener)
        addresses = own_address_texts(settings) if own is None else own
        self._own = frozenset(parsed for address in addresses if (parsed := parse_ip(address)) is not None)
        self._origin = fold_key(read_origin(settings), utf8=True)

    async def is_local(self, domain: str) -> bool:
        """Whether a domain is delivered here: in mydestination, or one of our addresses in brackets. Raises TableError.

        One dot at the end does not count; a domain with two is nobody's.
        """
        domain = domain.removesuffix(".")
        if not domain or domain.endswith("."):
            return False
        if await self.destinations.matches(domain):
            return True
        return domain.startswith("[") and self._is_own_literal(domain)

    async def is_own(self, domain: str) -> bool:
        """Whether tables may list users of this domain without domain: it is local, or myorigin. Raises TableError."""
        return fold_key(domain, utf8=True) == self._origin or await self.is_local(domain)

    def _is_own_literal(self, domain: str) -> bool:
        if not domain.endswith("]"):
            return False
        inner = domain[1:-1]
        return parse_ip(inner[5:] if inner[:5].lower() == "ipv6:" else inner) in self._own


def search_rules(settings: Settings, domains: LocalDomains) -> SearchRules:
    """Give what looking up addresses in this system's tables needs."""
    return SearchRules(settings[RECIPIENT_DELIMITER], domains.is_own, settings[OWNER_REQUEST_SPECIAL])


class AddressClasses:
    """The class of a domain: a flag of ipc/rewrite.py."""

    def __init__(self, settings: Settings, opener: Opener | None = None, *, own: Iterable[str] | None = None) -> None:
        """Read the lists. Raises ConfigError."""
        opener = opener or Opener(settings)
        self.local = LocalDomains(settings, opener, own=own)
        self._lists: tuple[tuple[int, str, MatchList], ...] = (
            (CLASS_LOCAL, MYDESTINATION.name, self.local.destinations),
            (CLASS_ALIAS, VIRTUAL_ALIAS_DOMAINS.name, open_string_list(VIRTUAL_ALIAS_DOMAINS, settings, opener)),
            (CLASS_VIRTUAL, VIRTUAL_MAILBOX_DOMAINS.name, open_string_list(VIRTUAL_MAILBOX_DOMAINS, settings, opener)),
            (CLASS_RELAY, RELAY_DOMAINS.name, open_domain_list(RELAY_DOMAINS, settings, opener)),
        )
        self._cacheable = not any(patterns.has_tables for _, _, patterns in self._lists)
        self._cache: dict[str, int] = {}

    async def of(self, domain: str) -> int:
        """Give the class of a domain. Raises TableError."""
        known = self._cache.get(domain)
        if known is not None:
            return known
        found = CLASS_LOCAL if await self.local.is_local(domain) else await self._of_remote(domain)
        if self._cacheable:
            if len(self._cache) >= CACHE_SIZE:
                self._cache.clear()
            self._cache[domain] = found
        return found

    async def _of_remote(self, domain: str) -> int:
        """Give the class of a domain that is not local, and remark on a domain that is in several lists."""
        found: tuple[int, str] | None = None
        for flag, name, patterns in self._lists[1:]:
            try:
                if not patterns or not await patterns.matches(domain):
                    continue
            except TableError:
                if found is not None:
                    return found[0]
                log.warning(f"{name} lookup failure")
                raise
            if found is not None:
                log.warning(f"do not list domain {domain} in BOTH {found[1]} and {name}")
                return found[0]
            found = flag, name
            if not self._cacheable:  # where each look costs a lookup, only the one that is needed
                break
        return CLASS_DEFAULT if found is None else found[0]
