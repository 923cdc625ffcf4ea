"""transport_maps: transport and nexthop by recipient, domain or parent domain.

Sources: transport(5); facts/tables.tsv "transport(5) lookup order", "transport(5) result".
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from posthouse.config.parameters import PARENT_DOMAIN_MATCHES_SUBDOMAINS, TRANSPORT_MAPS
from posthouse.config.settings import Settings
from posthouse.tables.open import Opener, open_maps
from posthouse.tables.search_order import SearchRules, Try, find_address
from posthouse.tables.table import TableFlags

WILDCARD: Final = "*"
FLAGS: Final = TableFlags(substitution=False)  # $1 would let a recipient choose the transport (facts B14.19)


class Hop(NamedTuple):
    """Where mail goes next: which delivery agent, and what it is told."""

    transport: str
    nexthop: str


def split_transport(text: str) -> Hop:
    """Split "transport:nexthop"; the nexthop may be missing or contain colons itself."""
    transport, _, nexthop = text.partition(":")
    return Hop(transport, nexthop)


class TransportMaps:
    """The tables of one parameter: transport_maps or address_verify_transport_maps."""

    def __init__(self, names: Sequence[str], settings: Settings, opener: Opener, rules: SearchRules) -> None:
        """Open the tables. Raises ConfigError."""
        self._maps = open_maps(names, opener, FLAGS)
        self._rules = rules
        parents = TRANSPORT_MAPS.name in settings[PARENT_DOMAIN_MATCHES_SUBDOMAINS]
        subdomains = Try.PARENT_DOMAIN if parents else Try.DOT_PARENT_DOMAIN
        self._strategy = Try.FULL | Try.NO_EXTENSION | Try.DOMAIN | subdomains

    def __bool__(self) -> bool:
        return bool(self._maps)

    async def find(self, address: str) -> Hop | None:
        """Give the entry for a recipient as it stands in the table; empty parts mean what `apply` says.

        Raises TableError.
        """
        found = await find_address(self._maps, address, self._rules, self._strategy)
        value = found.value if found is not None else await self._maps.find(WILDCARD)
        return None if value is None else split_transport(value)

    async def apply(self, address: str, domain: str, hop: Hop) -> Hop:
        """Change `hop` by the entry for a recipient, if there is one. Raises TableError.

        An entry with a transport only resets the nexthop to the domain, else a nexthop from main.cf could not be
        overruled; an entry with a nexthop only keeps the transport; an empty entry changes nothing.
        """
        entry = await self.find(address)
        if entry is None:
            return hop
        if entry.transport:
            return Hop(entry.transport, entry.nexthop or domain)
        return Hop(hop.transport, entry.nexthop or hop.nexthop)
