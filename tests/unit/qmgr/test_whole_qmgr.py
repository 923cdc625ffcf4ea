"""The whole queue manager with a real store, trivial-rewrite(8) and discard(8): what no part of it shows alone."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from posthouse.daemons.cleanup.daemon import DAEMON as CLEANUP
from posthouse.daemons.discard.daemon import DAEMON as DISCARD
from posthouse.daemons.error.daemon import DAEMON as ERROR
from posthouse.daemons.qmgr import service as module
from posthouse.daemons.qmgr.admin import Admin, Idle
from posthouse.daemons.qmgr.service import QmgrService
from posthouse.daemons.trivial_rewrite.daemon import DAEMON as REWRITE
from posthouse.ipc.bounce import SERVER, Notified, Notify
from posthouse.ipc.message import Envelope, Recipient, encode_envelope
from posthouse.ipc.showq import Fetch, Fetched
from posthouse.ipc.stream import Channel
from posthouse.queue.store import Store, open_store
from posthouse.queue.values import Change, NewMessage
from posthouse.skeleton.daemon import Context, Service
from tests.support.inprocess import System

ARRIVED = time.time() - 10
YEARS = 10 * 365.25 * 86400
MAIN = {
    "default_transport": "discard",
    "mydestination": "",
    "transport_maps": "inline:{ {error.test = error:5.1.1 nobody} }",
}


class SlowBounce(Service):
    """bounce(8) that answers when the test says so."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.asked: list[tuple[Channel[Notify], Notify]] = []

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take qmgr."""
        Channel(self._context.loop, sock, SERVER, lambda *asked: self.asked.append(asked), lambda _channel: None)

    def answer(self) -> None:
        """Say that the notice is durable."""
        channel, record = self.asked.pop(0)
        channel.send(Notified(record.id, "", "3NOTICE"))


class Case:
    """A queue, and the queue manager once it is started."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.system = System(directory, MAIN)
        (directory / "posthouse").mkdir()
        self.store: Store = open_store(str(directory), self.system.loop, lambda _text: None)
        self.service: QmgrService | None = None

    def put(
        self,
        queue_id: str,
        arrival: float,
        recipients: int = 1,
        domain: str = "there.test",
        attributes: bytes | None = None,
    ) -> int:
        """Store a message, durably."""
        if attributes is None:
            attributes = encode_envelope(Envelope(queue_id, "s@x", arrival))
        to = [Recipient(f"r{number}@{domain}") for number in range(recipients)]
        stored = self.system.loop.create_future()
        new = NewMessage(queue_id, "s@x", arrival, 1, attributes, b"Subject: x\n\nbody\n", to)
        key = self.store.commit(new, stored.set_result)
        self.system.loop.run_until_complete(stored)
        return key

    def start(self) -> QmgrService:
        """Start it."""
        self.system.start(REWRITE, "private/rewrite")
        self.system.start(DISCARD, "private/discard")
        service = self.system.start(lambda context: QmgrService(context, self.store), "public/qmgr")
        assert isinstance(service, QmgrService)
        self.service = service
        return service

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Run until it is so."""

        async def wait() -> None:
            while not condition():  # noqa: ASYNC110 - what the store says, not an event
                await asyncio.sleep(0.01)

        self.system.run(wait())

    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not any(self.store.counts)


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """Make one."""
    monkeypatch.setattr(module, "START_GRACE_S", 0.0)
    made = Case(tmp_path)
    yield made
    if made.service is not None:
        if not made.service._closing:
            made.service.retire()
        made.wait_until(lambda: not made.service or not made.service.busy)
        made.service._notices.close()
        made.service._requeuer._cleanup.close()
        made.service._resolver.close()
    else:
        made.system.loop.run_until_complete(made.store.close())
    made.system.close()


def test_mail_that_came_while_the_clock_was_wrong_is_delivered(case: Case) -> None:
    """The machine went down before its first attempt, and its clock is right again: it does not wait for years."""
    case.put("3Future", time.time() + YEARS)
    case.start()
    case.wait_until(case.is_empty)
    assert sum("status=sent" in line for line in case.system.log.lines) == 1


@pytest.mark.parametrize("gone", [False, True])
def test_what_an_operator_takes_while_its_recipients_are_read(case: Case, gone: bool) -> None:
    """A message to very many is read in several steps; held or deleted between them, it is not delivered."""
    case.put("3Many", time.time() - 10, 2500)
    service = case.start()
    reading = True

    async def recipients(_key: int, _after: int, _limit: int = 1000) -> list[object]:
        nonlocal reading
        if reading:
            reading = False
            service.withdraw("3Many", gone=gone)
            await asyncio.sleep(0.05)
        return []

    case.store.recipients = recipients  # type: ignore[assignment, method-assign]
    case.wait_until(lambda: not reading)
    case.system.loop.run_until_complete(asyncio.sleep(0.2))
    assert not any("3Many" in line for line in case.system.log.lines)


def test_a_notice_that_is_made_when_the_queue_manager_is_replaced_is_made_once(case: Case) -> None:
    """It waits for it; the next one would ask for another, and the sender get two."""
    bounce = case.system.start(SlowBounce, "private/bounce")
    assert isinstance(bounce, SlowBounce)
    case.system.start(ERROR, "private/error")
    case.put("3Failed", time.time(), domain="error.test")
    service = case.start()
    case.wait_until(lambda: bounce.asked)
    service.retire()
    case.system.loop.run_until_complete(asyncio.sleep(0.1))
    bounce.answer()
    case.wait_until(lambda: not service.busy)
    store = open_store(str(case.directory), case.system.loop, lambda _text: None)
    assert not any(store.counts)
    case.system.loop.run_until_complete(store.close())


@pytest.mark.parametrize("attributes", [b"", b"\xc1\xff", b"\x91\xa1x", encode_envelope(Envelope("", "", 0.0))[:-3]])
def test_a_message_that_cannot_be_read_stops_nothing(case: Case, attributes: bytes) -> None:
    """It goes to the corrupt queue, one line says so; all other mail is delivered, before it and behind it."""
    case.put("3Before", time.time() - 10)
    case.put("3Bad", time.time() - 9, attributes=attributes)
    case.put("3Behind", time.time() - 8)
    case.start()
    case.wait_until(lambda: case.store.counts.corrupt == 1 and sum(case.store.counts) == 1)
    lines = case.system.log.lines
    assert sum("status=sent" in line for line in lines) == 2
    [line] = [line for line in lines if "3Bad" in line]
    assert "error: 3Bad: its envelope cannot be read" in line
    assert "it is in the corrupt queue" in line
    assert "postsuper -r 3Bad" in line


def test_what_operators_can_do_with_a_message_that_cannot_be_read(case: Case) -> None:
    """They see it, with the sender and the recipients that the store knows, and bring it back."""
    case.put("3Bad", ARRIVED, 2, attributes=b"?")
    case.put("3Good", ARRIVED)
    loop = case.system.loop
    loop.run_until_complete(case.store.change(Change.CORRUPT, ["3Bad"]))
    ask = Admin(case.store, Idle()).answer
    fetched, _ = loop.run_until_complete(ask(Fetch(1, "3Bad")))
    assert isinstance(fetched, Fetched)
    assert fetched.envelope is not None
    assert (fetched.envelope.queue_id, fetched.envelope.sender, fetched.envelope.arrival) == ("3Bad", "s@x", ARRIVED)
    assert [rcpt.address for rcpt in fetched.recipients] == ["r0@there.test", "r1@there.test"]
    assert (fetched.queue_name, fetched.content) == ("corrupt", b"Subject: x\n\nbody\n")
    case.system.start(CLEANUP, "public/cleanup")
    case.start()
    assert case.service is not None
    stored = loop.run_until_complete(case.store.get("3Bad"))
    assert stored is not None
    assert case.system.run(case.service.requeue(stored)) == 1
    case.wait_until(case.is_empty)
    assert sum("status=sent" in line for line in case.system.log.lines) == 3
