"""A queue manager with store, agents, resolver and bounce faked."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

import pytest

from posthouse.config.settings import Settings
from posthouse.daemons.qmgr import manager as module
from posthouse.daemons.qmgr.manager import QueueManager
from posthouse.daemons.qmgr.message import ActiveMessage
from posthouse.ipc.message import RecipientResult
from posthouse.ipc.rewrite import Resolved
from tests.support.fake_loop import FakeLoop
from tests.support.lookups import logged
from tests.unit.qmgr.make import ARRIVAL, message, outcomes


class FakeLedger:
    """Notes what is to be stored; `done` callbacks wait until the test commits."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.deferred: list[tuple[list[int], float]] = []
        self.waiting: list[Callable[[], None]] = []

    def commit(self) -> None:
        """Make everything durable."""
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done()

    def record(self, message: ActiveMessage, results: Sequence[RecipientResult], done: Callable[[], None]) -> None:
        """Note results."""
        self.log.append(f"record {outcomes(results)}")
        self.waiting.append(done)

    def settle(self, message: ActiveMessage) -> None:
        """Note it."""
        self.log.append("settle")

    def defer(self, message: ActiveMessage, results: Sequence[RecipientResult], due: float) -> None:
        """Note it."""
        self.log.append("defer")
        self.deferred.append(([result.rcpt_id for result in results], due))

    def remove(self, message: ActiveMessage, done: Callable[[], None]) -> None:
        """Note it."""
        self.log.append("remove")
        self.waiting.append(done)

    async def sent_late(self, queue_id: str, results: Sequence[RecipientResult]) -> None:
        """Note it."""
        self.log.append(f"late {queue_id} {outcomes(results)}")

    def fetch_content(self, message: ActiveMessage, then: Callable[[bytes, int, str], None]) -> None:
        """Give content at once."""
        then(b"stored", -1, "")


class FakeScheduler:
    """Keeps what is submitted; recipients of `single` transports go one by one."""

    def __init__(self) -> None:
        self.submitted: list[tuple[str, str, str, list[int]]] = []
        self.owner: QueueManager | None = None
        self.waiting: list[int] = []

    def takes_one(self, transport: str) -> bool:
        """local does."""
        return transport == "local"

    def submit(self, message: ActiveMessage, transport: str, nexthop: str, name: str, rcpt_ids: list[int]) -> None:
        """Keep it."""
        self.submitted.append((transport, nexthop, name, rcpt_ids))

    def withdraw(self, message: ActiveMessage) -> list[int]:
        """Give what the test says waits."""
        waiting, self.waiting = self.waiting, []
        return waiting


class FakeResolver:
    """Resolves at once, or when the test says so."""

    def __init__(self, loop: FakeLoop) -> None:
        self._loop = loop
        self.later: asyncio.Future[list[Resolved]] | None = None
        self.transport = "smtp"

    def wait(self) -> "asyncio.Future[list[Resolved]]":
        """Let the next resolution wait."""
        self.later = self._loop.create_future()
        return self.later

    async def resolve_many(self, sender: str, addresses: Sequence[str], kind: int = 0) -> list[Resolved]:
        """Resolve to the domain."""
        if self.later is not None:
            return await self.later
        return [Resolved(0, self.transport, address.partition("@")[2], address) for address in addresses]


class FakeNotices:
    """Keeps who is to be told; the test says how it ends."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[int]]] = []
        self.done: list[Callable[[str], None]] = []
        self.delay_due = False

    def failed(self, message: ActiveMessage, results: list[RecipientResult], done: Callable[[str], None]) -> None:
        """Keep it."""
        self.asked.append(("failed", [result.rcpt_id for result in results]))
        self.done.append(done)

    def delivered(self, message: ActiveMessage, done: Callable[[str], None]) -> None:
        """Keep it."""
        self.asked.append(("delivered", []))
        self.done.append(done)

    def delay_is_due(self, message: ActiveMessage, age_s: float, warning_s: float) -> bool:
        """As the test says."""
        return self.delay_due

    def delayed(self, message: ActiveMessage, results: list[RecipientResult], until: float) -> None:
        """Keep it."""
        self.asked.append(("delayed", [result.rcpt_id for result in results]))

    def end(self, error: str = "") -> None:
        """End the oldest one."""
        self.done.pop(0)(error)


YEAR = 365.25 * 86400


class Case:
    """A queue manager and what is around it."""

    def __init__(self, loop: FakeLoop) -> None:
        self.loop = loop
        self.now = ARRIVAL + 10
        self.jumped = 0.0  # by how much the clock was set
        self.ledger, self.scheduler, self.notices = FakeLedger(), FakeScheduler(), FakeNotices()
        self.resolver = FakeResolver(loop)
        self.acknowledged = 0
        self.dues: list[float] = []
        self.rooms = 0
        self.lines: list[str] = []

    def start(self, **main: str) -> "Case":
        """Make the manager."""
        self.manager = QueueManager(
            self.loop,
            Settings.from_mapping(main),
            self.ledger,  # type: ignore[arg-type]
            self.scheduler,  # type: ignore[arg-type]
            self.resolver,  # type: ignore[arg-type]
            self.notices,  # type: ignore[arg-type]
        )
        self.manager.on_deferred = self.dues.append
        self.manager.on_room = self._on_room
        return self

    @property
    def steady(self) -> float:
        """The clock that nobody sets."""
        return self.now - self.jumped

    def jump(self, seconds: float) -> None:
        """Set the wall clock."""
        self.now += seconds
        self.jumped += seconds
        self.manager.clock.look()

    def _on_room(self) -> None:
        self.rooms += 1

    def admit(self, *addresses: str, **options: object) -> ActiveMessage:
        """Admit a message."""
        made = message(*addresses, **options)  # type: ignore[arg-type]
        made.active = self.now
        self.manager.admit(made)
        self.loop.run_ready()
        return made

    def took(self, active: ActiveMessage, *results: RecipientResult) -> None:
        """Bring results of an agent."""
        self.manager.took(active, list(results), self._acknowledge)

    def _acknowledge(self) -> None:
        self.acknowledged += 1


@pytest.fixture
def case(loop: FakeLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """Make a manager with the defaults, a clock, and a log to read."""
    made = Case(loop)
    monkeypatch.setattr(module.time, "time", lambda: made.now)  # type: ignore[attr-defined]
    monkeypatch.setattr(module.time, "clock_gettime", lambda _clock: made.steady)  # type: ignore[attr-defined]
    made.start()
    with logged() as lines:
        made.lines = lines
        yield made
