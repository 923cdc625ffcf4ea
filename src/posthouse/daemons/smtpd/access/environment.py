"""Environment: what restrictions are compiled against: settings copied once, tables, DNS, the resolver.

Everything that asks somebody else goes through here, so that others (tests, `posthouse explain`) put their own answers
in its place.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from posthouse.config.parameter import Integer
from posthouse.config.parameters import MYHOSTNAME, PARENT_DOMAIN_MATCHES_SUBDOMAINS, RECIPIENT_DELIMITER
from posthouse.config.settings import Settings
from posthouse.daemons.smtpd.access.check import Rule
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

    async def find_problem(self, sender: str, address: str, *, is_sender: bool = False) -> "Unlisted | None":
        """Why mail for this address cannot be delivered here; None: nothing known against it."""


@dataclass(frozen=True, slots=True)
class Unlisted:
    """Why an address does not exist here."""

    code: int
    status: str
    text: str


class Named(NamedTuple):
    """A restriction as it was written. where: the parameter, restriction class or table whose list it stands in."""

    where: str
    name: str
    argument: str = ""
    warns: bool = False  # warn_if_reject stands before it


class Observer(Protocol):
    """Somebody who wants to see what each restriction says (`posthouse explain`); asked at start, once for each."""

    def watch(self, named: Named, rule: Rule) -> Rule:
        """Give what is asked in the place of a restriction."""


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
    observer: Observer | None = None

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
