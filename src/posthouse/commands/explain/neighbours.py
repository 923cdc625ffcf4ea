"""The daemons that explained code would talk to, as far as it can notice.

cleanup takes everything, dns answers what is known, trivial-rewrite is in this process. Nothing is sent or stored.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from posthouse.commands.explain.record import Recorder
from posthouse.config.settings import Settings
from posthouse.daemons.dns.parameters import DNS_NAMESERVERS
from posthouse.daemons.dns.peer_name import IS_OK, IS_PERMANENT, UNKNOWN, PeerNames
from posthouse.daemons.dns.servers import NameServers
from posthouse.daemons.smtpd.client import Client
from posthouse.ipc.cleanup import CleanupClient, Done, Transaction
from posthouse.ipc.dns import OK, Answer, DnsRecord, PeerNameAnswer
from posthouse.ipc.message import Envelope, Recipient
from posthouse.ipc.record import Request
from posthouse.ipc.rewrite import Resolved
from posthouse.net.dns import Found
from posthouse.net.dns import Resolver as Asker
from posthouse.net.dns_client import DnsClient
from posthouse.net.hosts import HostsFile
from posthouse.rewriting.resolve import Resolver

QUEUE_ID: Final = "(queue ID)"  # what stands for one, since nothing is stored
STATUS_WORDS: Final = {0: "found", 1: "does not exist", 2: "no such record", 3: "no answer", 4: "malformed"}


class NotAskedError(Exception):
    """DNS is needed to go on, and it was not to be asked; str() is the question."""


class Question(NamedTuple):
    """One question to DNS and what came of it."""

    name: str
    rrtype: str
    answer: str


class AcceptingCleanup(CleanupClient):
    """Takes any message and forgets it; keeps the envelopes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.taken: list[tuple[Envelope, list[Recipient]]] = []

    async def new_queue_id(self) -> str:
        """Give what stands for a queue ID."""
        return QUEUE_ID

    def begin(self, envelope: Envelope, recipients: Sequence[Recipient]) -> Transaction:
        """Keep the envelope."""
        self.taken.append((envelope, list(recipients)))
        done: asyncio.Future[Done] = self._loop.create_future()
        done.set_result(Done(1, 250, "2.0.0", f"Ok: queued as {QUEUE_ID}", QUEUE_ID))
        return Transaction(self, 1, QUEUE_ID, done)

    @property
    def congested(self) -> bool:
        """Never."""
        return False

    def send(self, record: Request) -> None:
        """Forget the content."""

    def forget(self, transaction: Transaction) -> None:
        """Nothing to forget."""

    def close(self) -> None:
        """Nothing to close."""


class KnownDns(DnsClient):
    """Asks nobody: it knows the client's names, when they were told, and nothing else."""

    def __init__(self, names: tuple[str, str] | None = None) -> None:
        """names: verified and reverse name; UNKNOWN for one that does not exist. None: not told."""
        self._names = names
        self.questions: list[Question] = []

    async def lookup(self, name: str, rrtype: str) -> Answer:
        """Raise NotAskedError."""
        raise NotAskedError(f"{rrtype} of {name}")

    def begin(self, name: str, rrtype: str) -> "asyncio.Future[Answer]":
        """Begin `lookup`. Raises NotAskedError."""
        raise NotAskedError(f"{rrtype} of {name}")

    async def peer_name(self, address: str) -> PeerNameAnswer:
        """Give the client's names as they were told."""
        name, reverse = self._names or (UNKNOWN, UNKNOWN)
        statuses = [IS_PERMANENT if each == UNKNOWN else IS_OK for each in (name, reverse)]
        return PeerNameAnswer(1, name, statuses[0], reverse, statuses[1])

    def close(self) -> None:
        """Nothing to close."""


class AskingDns(KnownDns):
    """Asks the name servers that dns(8) would ask, with its code."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, settings: Settings, names: tuple[str, str] | None = None
    ) -> None:
        super().__init__(names)
        self._known: dict[tuple[str, str], Found] = {}
        self._asker = Asker(loop, NameServers(settings[DNS_NAMESERVERS]))
        self._names_of = PeerNames(HostsFile(), self._find)

    async def lookup(self, name: str, rrtype: str) -> Answer:
        """Ask; what cannot be had is the answer's status."""
        found = await self._find(name, rrtype)
        records = [DnsRecord(each.preference, each.data, each.ttl) for each in found.records]
        return Answer(1, found.status, found.text, found.secure, found.canonical, records)

    def begin(self, name: str, rrtype: str) -> "asyncio.Future[Answer]":
        """Begin a lookup."""
        return asyncio.ensure_future(self.lookup(name, rrtype))

    async def peer_name(self, address: str) -> PeerNameAnswer:
        """Find the names of a client, unless they were told."""
        return await (super().peer_name(address) if self._names else self._names_of.find(1, address))

    async def _find(self, name: str, rrtype: str) -> Found:
        known = self._known.get((name, rrtype))
        if known is not None:
            return known
        found = self._known[name, rrtype] = await self._asker.resolve(name, rrtype)
        shown = ", ".join(f"{each.preference} {each.data}" if each.preference else each.data for each in found.records)
        status = STATUS_WORDS.get(found.status, str(found.status))
        self.questions.append(Question(name, rrtype, shown if found.status == OK else status))
        return found


class UnaskedClient(Client):
    """A client whose names nobody has looked up: what depends on whether it has any cannot be told."""

    __slots__ = ("_status",)

    @property
    def name_status(self) -> int:
        """Raise NotAskedError."""
        raise NotAskedError(f"name of {self.address}")

    @name_status.setter
    def name_status(self, status: int) -> None:
        self._status = status

    @property
    def reverse_name_status(self) -> int:
        """Raise NotAskedError."""
        raise NotAskedError(f"name of {self.address}")

    @reverse_name_status.setter
    def reverse_name_status(self, status: int) -> None:
        self._status = status


class TellingResolver:
    """trivial-rewrite(8) in this process; the answers are kept for whoever makes the next step."""

    def __init__(self, resolver: Resolver, recorder: Recorder) -> None:
        self._resolver = resolver
        self._recorder = recorder
        self.answers: list[tuple[str, Resolved]] = []

    async def resolve(self, address: str, sender: str = "") -> Resolved:
        """Resolve, and keep the answer."""
        resolved = await self._resolver.resolve(address, sender)
        self.answers.append((address, resolved))
        return resolved

    def take(self) -> list[tuple[str, Resolved]]:
        """Give the answers since the last call."""
        answers, self.answers = self.answers, []
        return answers
