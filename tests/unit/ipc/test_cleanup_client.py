"""CleanupClient: leases of queue IDs, transactions, and what it says when the connection is lost."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.ipc.cleanup import (
    CHUNK,
    LEASE,
    SERVER,
    UNAVAILABLE,
    Abort,
    CleanupClient,
    Committed,
    Content,
    Done,
    End,
    Lease,
    Leased,
    Open,
    ToCleanup,
    WasCommitted,
)
from posthouse.ipc.message import Envelope, Recipient
from posthouse.ipc.stream import Channel
from posthouse.protocol.queue_id import number_text
from posthouse.util import eager
from posthouse.util.errors import TemporaryError
from tests.support.fake_loop import FakeLoop


class FakeCleanup:
    """The other end: notes what comes; leases numbers; answers End when `answers`."""

    def __init__(self, loop: FakeLoop, path: Path) -> None:
        self.loop, self.path = loop, path
        self.records: list[ToCleanup] = []
        self.channels: list[Channel[ToCleanup]] = []
        self.leases = self.answers = True
        self.committed: set[str] = set()
        self._ids: dict[int, str] = {}
        self._next = 100
        self._listener: socket.socket | None = None

    def listen(self) -> None:
        """Begin to serve."""
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._listener.setblocking(False)
        self.loop.add_reader(self._listener.fileno(), self._accept)

    def lose(self) -> None:
        """Drop all connections, as a crash does."""
        for channel in self.channels:
            channel.abort()
        self.channels.clear()

    def stop(self) -> None:
        """Serve no more."""
        self.lose()
        if self._listener is not None:
            self.loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
            self.path.unlink()

    def _accept(self) -> None:
        assert self._listener is not None
        sock, _address = self._listener.accept()
        self.channels.append(Channel(self.loop, sock, SERVER, self._on_record, lambda _channel: None))

    def _on_record(self, channel: Channel[ToCleanup], record: ToCleanup) -> None:
        self.records.append(record)
        if isinstance(record, Lease) and self.leases:
            channel.send(Leased(record.id, self._next, record.count))
            self._next += record.count
        elif isinstance(record, Open):
            self._ids[record.id] = record.envelope.queue_id
        elif isinstance(record, End) and self.answers:
            channel.send(Done(record.id, 250, "2.0.0", "Ok", self._ids[record.id]))
        elif isinstance(record, WasCommitted):
            channel.send(Committed(record.id, record.queue_id in self.committed))


class Case:
    """A client and its cleanup."""

    def __init__(self, loop: FakeLoop, path: Path) -> None:
        self.loop = loop
        self.cleanup = FakeCleanup(loop, path)
        self.client = CleanupClient(loop, str(path))

    def ask_id(self) -> list[eager.Outcome[str]]:
        """Ask for a queue ID; the list gets it."""
        outcomes: list[eager.Outcome[str]] = []
        eager.start(self.client.new_queue_id(), outcomes.append)
        return outcomes

    def queue_id(self) -> str:
        """Get a queue ID."""
        outcomes = self.ask_id()
        self.loop.run_ready()
        return outcomes[0].result()

    def send(self, content: bytes = b"x\n") -> "asyncio.Future[Done]":
        """Send a message as far as its End."""
        transaction = self.client.begin(Envelope(self.queue_id(), "s@x", 0.0), [Recipient("r@x")])
        transaction.content(content)
        done = transaction.end()
        self.loop.run_ready()
        return done


@pytest.fixture
def case(loop: FakeLoop, tmp_path: Path) -> Iterator[Case]:
    """Make a client and a cleanup that serves."""
    made = Case(loop, tmp_path / "cleanup")
    made.cleanup.listen()
    yield made
    made.client.close()
    made.cleanup.stop()
    loop.run_ready()


def test_queue_ids_are_leased_many_at_a_time(case: Case) -> None:
    """They are long, all different, and the next lease is asked for before the last number is taken."""
    found = [case.queue_id() for _ in range(2 * LEASE)]
    assert len(set(found)) == 2 * LEASE
    assert all(number_text(each, short=False) for each in found)
    assert 2 <= sum(isinstance(record, Lease) for record in case.cleanup.records) <= 3


def test_many_sessions_share_one_lease(case: Case) -> None:
    """All of them wait for the one answer."""
    waiting = [case.ask_id() for _ in range(10)]
    case.loop.run_ready()
    assert len({outcomes[0].result() for outcomes in waiting}) == 10
    assert sum(isinstance(record, Lease) for record in case.cleanup.records) == 1


def test_more_sessions_than_numbers_ask_again(case: Case) -> None:
    """Nobody is left waiting."""
    waiting = [case.ask_id() for _ in range(LEASE + 10)]
    case.loop.run_ready()
    assert len({outcomes[0].result() for outcomes in waiting}) == LEASE + 10


def test_without_cleanup_there_is_no_queue_id(case: Case) -> None:
    """A temporary error at once, and the next session tries again."""
    case.cleanup.stop()
    for _ in range(2):
        outcomes = case.ask_id()
        case.loop.run_ready()
        assert isinstance(outcomes[0].error, TemporaryError)
    case.cleanup.listen()
    assert case.queue_id()


def test_a_cleanup_that_does_not_answer_fails_in_time(case: Case) -> None:
    """Half a minute."""
    case.cleanup.leases = False
    outcomes = case.ask_id()
    case.loop.advance(31)
    assert isinstance(outcomes[0].error, TemporaryError)


def test_the_limit_of_one_lease_does_not_end_the_next(case: Case) -> None:
    """Each has its own half minute."""
    case.queue_id()
    case.loop.advance(29)
    case.cleanup.lose()
    case.loop.run_ready()
    case.cleanup.leases = False
    outcomes = case.ask_id()
    case.loop.advance(5)
    assert not outcomes
    case.loop.advance(26)
    assert isinstance(outcomes[0].error, TemporaryError)


def test_a_message_goes_out_in_records(case: Case) -> None:
    """Open, content in pieces, the last of them with End; the answer is cleanup's."""
    done = case.send(b"x" * (2 * CHUNK + 1))
    assert done.result().code == 250
    kinds = [type(record).__name__ for record in case.cleanup.records]
    assert kinds == ["Lease", "Open", "Content", "Content", "End"]
    sizes = [len(record.data) for record in case.cleanup.records if isinstance(record, Content | End)]
    assert sizes == [CHUNK, CHUNK, 1]
    assert case.client.idle


def test_transactions_interleave(case: Case) -> None:
    """Each answer finds its own."""
    first = case.client.begin(Envelope(case.queue_id(), "", 0.0), [Recipient("a@x")])
    second = case.client.begin(Envelope(case.queue_id(), "", 0.0), [Recipient("b@x")])
    second.content(b"2")
    first.content(b"1")
    done = [second.end(), first.end()]
    case.loop.run_ready()
    assert [future.result().queue_id for future in done] == [second.queue_id, first.queue_id]


def test_an_abandoned_transaction_is_forgotten(case: Case) -> None:
    """cleanup is told, once; nothing more of it is sent."""
    transaction = case.client.begin(Envelope(case.queue_id(), "", 0.0), [Recipient("a@x")])
    transaction.abort()
    transaction.abort()
    transaction.content(b"x")
    case.loop.run_ready()
    assert [type(record) for record in case.cleanup.records] == [Lease, Open, Abort]
    assert case.client.idle


def test_a_message_that_was_not_complete_is_not_accepted_when_cleanup_dies(case: Case) -> None:
    """Nothing was stored, so there is nothing to ask."""
    transaction = case.client.begin(Envelope(case.queue_id(), "", 0.0), [Recipient("a@x")])
    transaction.content(b"x")
    case.loop.run_ready()
    case.cleanup.lose()
    case.loop.run_ready()
    assert transaction.done.result() == UNAVAILABLE
    assert not any(isinstance(record, WasCommitted) for record in case.cleanup.records)


@pytest.mark.parametrize("was_committed", [True, False])
def test_after_a_loss_the_next_cleanup_is_asked_what_became_of_it(case: Case, was_committed: bool) -> None:
    """The client must not say 4xx to what is in the queue, nor 250 to what is not."""
    case.cleanup.answers = False
    done = case.send()
    queue_id = next(record.envelope.queue_id for record in case.cleanup.records if isinstance(record, Open))
    if was_committed:
        case.cleanup.committed.add(queue_id)
    case.cleanup.lose()
    case.loop.advance(2)
    expected = Done(1, 250, "2.0.0", f"Ok: queued as {queue_id}", queue_id) if was_committed else UNAVAILABLE
    assert done.result() == expected


def test_when_nobody_can_be_asked_the_message_is_not_accepted(case: Case) -> None:
    """After a long while; a second copy is better than none."""
    case.cleanup.answers = False
    done = case.send()
    case.cleanup.stop()
    case.loop.advance(3700)
    assert done.result() == UNAVAILABLE


def test_the_numbers_of_a_lost_connection_are_not_used(case: Case) -> None:
    """A lease belongs to its connection."""
    before = case.queue_id()
    case.cleanup.lose()
    case.loop.run_ready()
    with pytest.raises(TemporaryError):
        case.client.begin(Envelope(before, "", 0.0), [Recipient("a@x")])
    assert case.queue_id() != before
    assert sum(isinstance(record, Lease) for record in case.cleanup.records) == 2


def test_congestion_shows(case: Case) -> None:
    """So that a session stops to read from its client."""
    transaction = case.client.begin(Envelope(case.queue_id(), "", 0.0), [Recipient("a@x")])
    case.cleanup.channels[0].pause_reading()
    assert not transaction.congested
    for _ in range(8):
        transaction.content(b"x" * 1_000_000)
    case.loop.run_ready()
    assert transaction.congested
