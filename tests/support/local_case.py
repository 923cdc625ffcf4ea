"""local(8) without processes: its agent, with the user's child and cleanup faked."""

import asyncio
import os
from collections.abc import Sequence

from posthouse.config.settings import Settings
from posthouse.daemons.local.agent import LocalAgent, Tables
from posthouse.delivery.agent import Delivery
from posthouse.delivery.users import Identity
from posthouse.ipc.as_user import (
    NOT_FOUND,
    OK,
    Finished,
    ReadFile,
    RunCommand,
    ToChild,
    WriteMailbox,
    WriteMaildir,
)
from posthouse.ipc.cleanup import Done
from posthouse.ipc.delivery import Deliver, DeliverTo, Results
from posthouse.ipc.message import ClientInfo, Envelope, Recipient, RecipientResult
from posthouse.ipc.runas_wire import JobKind
from posthouse.tables.maps import Maps
from posthouse.tables.open import open_maps
from posthouse.util.errors import TableError, TemporaryError
from tests.support.fake_loop import FakeLoop
from tests.support.lookups import opener

JOE, NOBODY = 1000, 65534
PASSWD = {
    "joe": "joe:x:1000:1000:Joe:/home/joe:/bin/sh",
    "jane": "jane:x:1001:1001:Jane:/home/jane:/bin/bash",
    "root": "root:x:0:0:root:/root:/bin/bash",
    "nobody": "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
    "broken": "broken:x:one:two:::",
}
CONTENT = b"Subject: x\n\nbody\n"


class FakeChild:
    """A user's child: answers at once, from the files that the test has put there."""

    def __init__(self, users: "FakeUsers", kind: JobKind, identity: Identity) -> None:
        self._users, self._kind, self._identity = users, kind, identity

    def next_id(self) -> int:
        """Count."""
        return len(self._users.jobs) + 1

    def ask(self, job: ToChild, descriptor: int = -1) -> "asyncio.Future[Finished]":
        """Note the job, and answer it."""
        self._users.jobs.append((self._kind, self._identity.uid, job))
        future: asyncio.Future[Finished] = self._users.loop.create_future()
        future.set_result(self._answer(job))
        return future

    def _answer(self, job: ToChild) -> Finished:
        if isinstance(job, ReadFile):
            found = self._users.files.get(job.path)
            if found is None:
                return Finished(job.id, NOT_FOUND, "not there", b"", 0)
            ending, data = found
            return Finished(job.id, ending, "" if ending == OK else f"{job.path}: refused", data, 0)
        if isinstance(job, RunCommand):
            return Finished(job.id, OK, "", b"output", self._users.exit_status)
        return Finished(job.id, self._users.ending, "delivered", b"", 0)


class FakeUsers:
    """Gives children; knows files: path → ending and octets."""

    def __init__(self, loop: FakeLoop) -> None:
        self.loop = loop
        self.jobs: list[tuple[JobKind, int, ToChild]] = []
        self.files: dict[str, tuple[int, bytes]] = {}
        self.exit_status = 0
        self.ending = OK
        self.can_change_user = True
        self.error: Exception | None = None

    def child(self, kind: JobKind, identity: Identity) -> FakeChild:
        """Give one."""
        if self.error is not None:
            raise self.error
        return FakeChild(self, kind, identity)

    def put(self, path: str, text: str) -> None:
        """Put a file there."""
        self.files[path] = (OK, text.encode("utf-8", "surrogateescape"))


class FakeTransaction:
    """Collects content."""

    def __init__(self, cleanup: "FakeCleanup") -> None:
        self._cleanup = cleanup

    def content(self, data: bytes) -> None:
        """Take it."""
        self._cleanup.contents.append(data)

    def end(self) -> "asyncio.Future[Done]":
        """Answer at once."""
        future: asyncio.Future[Done] = self._cleanup.loop.create_future()
        future.set_result(self._cleanup.answer)
        return future


class FakeCleanup:
    """Takes forwarded messages."""

    def __init__(self, loop: FakeLoop) -> None:
        self.loop = loop
        self.messages: list[tuple[Envelope, list[str]]] = []
        self.recipients: list[list[Recipient]] = []
        self.contents: list[bytes] = []
        self.answer = Done(1, 250, "2.0.0", "Ok", "3FWD")
        self.is_away = False

    async def new_queue_id(self) -> str:
        """Give one."""
        if self.is_away:
            raise TemporaryError("cleanup service does not answer")
        return "3FWD"

    def begin(self, envelope: Envelope, recipients: Sequence[Recipient]) -> FakeTransaction:
        """Note who gets it."""
        self.messages.append((envelope, [recipient.address for recipient in recipients]))
        self.recipients.append(list(recipients))
        return FakeTransaction(self)


class FailingMaps(Maps):
    """A table that does not answer."""

    async def find(self, key: str) -> str | None:
        """Fail."""
        raise TableError("aliases: not now")


class Case:
    """An agent and what is around it."""

    def __init__(self, loop: FakeLoop) -> None:
        self.users, self.cleanup = FakeUsers(loop), FakeCleanup(loop)
        self.loop = loop
        self.aliases: dict[str, str] = {}
        self.main: dict[str, str] = {}

    def agent(self, aliases: Maps | None = None) -> LocalAgent:
        """Make the agent."""
        settings = Settings.from_mapping(
            {"myhostname": "mail.x", "mydestination": "x, mail.x", "recipient_delimiter": "+", **self.main}
        )
        tables = Tables(_maps(self.aliases) if aliases is None else aliases, _maps(PASSWD))
        return LocalAgent(settings, tables, self.users, self.cleanup, os.geteuid())  # type: ignore[arg-type]

    def deliver(
        self,
        *addresses: str,
        sender: str = "s@x",
        content: bytes = CONTENT,
        agent: LocalAgent | None = None,
        dsn_orcpt: str = "",
        notify: int = 0,
    ) -> list[RecipientResult]:
        """Deliver; the results in the order of the recipients."""
        client = ClientInfo(name="client", address="192.0.2.1", helo="[192.0.2.1]", protocol="ESMTP")
        recipients = [DeliverTo(number, address, "", dsn_orcpt, notify) for number, address in enumerate(addresses, 1)]
        reported: list[Results] = []
        request = Deliver(1, Envelope("3TEST", sender, 5.0, client=client), "x", recipients, 0.0, content)
        (agent or self.agent()).deliver(Delivery(request, -1, lambda _delivery, results: reported.append(results)))
        self.loop.run_ready()
        return sorted(reported[0].results, key=lambda result: result.rcpt_id)

    def one(self, address: str, **options: object) -> RecipientResult:
        """Deliver to one recipient."""
        [result] = self.deliver(address, **options)  # type: ignore[arg-type]
        return result

    @property
    def done(self) -> list[tuple[int, ToChild]]:
        """What was done as whom, reading apart."""
        return [(uid, job) for _, uid, job in self.users.jobs if not isinstance(job, ReadFile)]

    @property
    def places(self) -> list[tuple[int, str]]:
        """Where mail was written, as whom."""
        found = []
        for uid, job in self.done:
            if isinstance(job, WriteMaildir):
                found.append((uid, f"{job.directory}/"))
            elif isinstance(job, WriteMailbox):
                found.append((uid, job.path))
        return found

    @property
    def forwarded(self) -> list[list[str]]:
        """To whom mail was sent on."""
        return [addresses for _, addresses in self.cleanup.messages]


def _maps(entries: dict[str, str]) -> Maps:
    if not entries:
        return Maps([])
    listed = ", ".join(f"{{{key} = {value}}}" for key, value in entries.items())
    return open_maps([f"inline:{{{listed}}}"], opener())
