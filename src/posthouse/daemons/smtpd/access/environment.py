"""Environment: what restrictions are compiled against: settings copied once, tables, DNS, the resolver.

Everything that asks somebody else goes through here, so that tests put their own answers in its place.
"""

from dataclasses import dataclass, field
from typing import Protocol

from posthouse.config.parameter import Integer
from posthouse.config.parameters import MYHOSTNAME, PARENT_DOMAIN_MATCHES_SUBDOMAINS, RECIPIENT_DELIMITER
from posthouse.config.settings import Settings
from posthouse.ipc.dns import Answer
from posthouse.ipc.rewrite import Resolved
from posthouse.tables.matchlist import MatchList
from posthouse.tables.open import Opener


class Resolver(Protocol):
    """trivial-rewrite(8) as it answers us."""

    async def resolve(self, address: str, sender: str = "") -> Resolved:
        """Find where an address goes. Raises TemporaryError."""


class Dns(Protocol):
    """dns(8) as it answers us."""

    async def lookup(self, name: str, rrtype: str) -> Answer:
        """Look up records. Raises TemporaryError."""


class Listed(Protocol):
    """What recipients there are (recipients.py)."""

    async def find_problem(self, sender: str, address: str) -> "Unlisted | None":
        """Why mail for this address cannot be delivered here; None: nothing known against it."""


@dataclass(frozen=True, slots=True)
class Unlisted:
    """Why an address does not exist here."""

    code: int
    status: str
    text: str


@dataclass(slots=True)
class Environment:
    """See the module's docstring."""

    settings: Settings
    opener: Opener
    networks: MatchList  # mynetworks
    own_addresses: frozenset[str]
    resolver: Resolver
    dns: Dns
    listed: Listed
    not_built: set[str] = field(default_factory=set)  # restrictions of Postfix that are used and not there yet

    def code(self, parameter: Integer) -> int:
        """Give a reply code."""
        return self.settings[parameter]

    @property
    def parents_match(self) -> bool:
        """Whether example.com in an access table is for its subdomains, too."""
        return "smtpd_access_maps" in self.settings[PARENT_DOMAIN_MATCHES_SUBDOMAINS]

    @property
    def delimiters(self) -> str:
        """What separates user and extension."""
        return self.settings[RECIPIENT_DELIMITER]

    @property
    def myhostname(self) -> str:
        """This host."""
        return self.settings[MYHOSTNAME]
