"""A connection: writing, waiting, deadlines, descriptors, its end, and bugs in it."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from posthouse.util import connection
from posthouse.util.connection import Connection, TurnWriter, set_bug_handler
from tests.support.fake_loop import FakeLoop
from tests.support.lookups import logged

BIG = b"x" * 4_000_000  # more than a socket buffers


class Recorder(Connection):
    """Writes down what happens."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self.received = b""
        self.events: list[str] = []
        self.descriptors: list[int] = []
        self.bug: BaseException | None = None
        super().__init__(loop, sock)

    def data_received(self, data: memoryview) -> None:
        """Keep it."""
        self.received += bytes(data)
        if self.bug is not None:
            raise self.bug

    def descriptors_received(self, descriptors: list[int]) -> None:
        """Keep them."""
        self.descriptors += descriptors

    def connection_lost(self, error: OSError | None) -> None:
        """Note it."""
        self.events.append(f"lost {type(error).__name__}" if error else "lost")

    def timed_out(self) -> None:
        """Note it and close, as the default does."""
        self.events.append("timed out")
        super().timed_out()

    def drained(self) -> None:
        """Note it."""
        self.events.append("drained")


class Pair:
    """A connection and the bare socket at its other end."""

    def __init__(self, loop: FakeLoop, kind: type[Recorder] = Recorder) -> None:
        ours, self.peer = socket.socketpair()
        self.peer.setblocking(False)
        self.loop = loop
        self.ours = kind(loop, ours)

    def read(self, size: int) -> bytes:
        """Read so much at the other end while the loop turns."""
        data = bytearray()
        while len(data) < size:
            self.loop.run_ready()
            try:
                piece = self.peer.recv(size - len(data))
            except BlockingIOError:
                continue
            if not piece:
                break
            data += piece
        return bytes(data)


@pytest.fixture
def pair(loop: FakeLoop) -> Iterator[Pair]:
    """Make a pair, and close it."""
    made = Pair(loop)
    yield made
    made.ours.abort()
    made.peer.close()


@pytest.fixture
def bugs() -> Iterator[list[BaseException]]:
    """Collect what the skeleton would be told."""
    found: list[BaseException] = []
    set_bug_handler(found.append)
    yield found
    set_bug_handler(lambda _error: None)


def test_bytes_come_and_go(pair: Pair) -> None:
    """Written at once, without a turn of the loop."""
    pair.ours.write(b"out")
    assert pair.peer.recv(10) == b"out"
    pair.peer.send(b"in")
    pair.loop.run_ready()
    assert pair.ours.received == b"in"


def test_what_the_socket_does_not_take_waits_and_is_told_when_it_is_gone(pair: Pair) -> None:
    """In order; `congested` says when too much waits."""
    pair.ours.write(BIG)
    pair.ours.write(b"end")
    congested = [pair.ours.congested]
    data = pair.read(len(BIG) + 3)
    pair.loop.run_ready()
    assert data == BIG + b"end"
    assert [*congested, pair.ours.congested] == [True, False]
    assert pair.ours.events == ["drained"]


def test_close_waits_for_what_was_written(pair: Pair) -> None:
    """And takes no more bytes."""
    pair.ours.write(BIG)
    pair.ours.close()
    pair.ours.write(b"too late")
    closed = [pair.ours.closed]
    assert pair.read(len(BIG) + 100) == BIG
    assert [*closed, pair.ours.closed] == [False, True]
    assert pair.ours.events == ["lost"]


def test_abort_drops_what_waits(pair: Pair) -> None:
    """Once; what comes after is nothing."""
    pair.ours.write(BIG)
    pair.ours.abort()
    pair.ours.abort()
    pair.ours.close()
    pair.ours.write(b"x")
    pair.ours.write_with_descriptors(b"x", [])
    assert pair.ours.events == ["lost"]


def test_a_peer_that_hangs_up_closes(pair: Pair) -> None:
    """eof_received closes unless somebody has other ideas."""
    pair.peer.close()
    pair.loop.run_ready()
    assert pair.ours.closed
    assert pair.ours.events == ["lost"]


def test_writing_to_a_peer_that_is_gone_is_the_end(pair: Pair) -> None:
    """The error is told."""
    pair.peer.close()
    pair.ours.write(b"x")
    assert pair.ours.events == ["lost BrokenPipeError"]


def test_a_deadline_comes_once(pair: Pair) -> None:
    """Its default end is to close."""
    pair.ours.set_deadline(10)
    pair.loop.advance(9.9)
    assert not pair.ours.events
    pair.loop.advance(0.2)
    assert pair.ours.events == ["timed out", "lost"]


def test_a_deadline_that_is_moved_does_not_come(pair: Pair) -> None:
    """However often, with one timer; an earlier one comes earlier."""
    for _ in range(10):
        pair.ours.set_deadline(10)
        pair.loop.advance(5)
    assert not pair.ours.events
    pair.ours.set_deadline(1)
    pair.loop.advance(1.1)
    assert pair.ours.events == ["timed out", "lost"]


def test_a_deadline_can_be_taken_away(pair: Pair) -> None:
    """Zero seconds are never."""
    pair.ours.set_deadline(10)
    pair.ours.set_deadline(0)
    pair.loop.advance(100)
    assert not pair.ours.events


def test_a_peer_that_does_not_read_cannot_hold_a_closing_connection(pair: Pair) -> None:
    """The deadline ends that wait too, without a word of a time-out."""
    pair.ours.set_deadline(10)
    pair.ours.write(BIG)
    pair.ours.close()
    pair.loop.advance(11)
    assert pair.ours.events == ["lost"]


def test_reading_can_pause(pair: Pair) -> None:
    """Back-pressure: bytes stay with the kernel."""
    pair.ours.pause_reading()
    pair.peer.send(b"x")
    pair.loop.run_ready()
    received = [pair.ours.received]
    pair.ours.resume_reading()
    pair.loop.run_ready()
    assert [*received, pair.ours.received] == [b"", b"x"]


@pytest.mark.parametrize("waiting", [b"", BIG])
def test_descriptors_travel_behind_what_was_written_before(loop: FakeLoop, waiting: bytes) -> None:
    """The other end gets the bytes in order, and the descriptor with its own."""

    class Taker(Recorder):
        takes_descriptors = True

    here, there = socket.socketpair()
    left, right = Recorder(loop, here), Taker(loop, there)
    reader = threading.Thread(target=read_all, args=(there, right, len(waiting)))
    left.write(waiting)
    reader.start()
    left.write_with_descriptors(b"fd", [0])
    reader.join()
    loop.run_ready()
    assert right.received == waiting + b"fd"
    assert len(right.descriptors) == 1
    assert os.fstat(right.descriptors[0]).st_ino == os.fstat(0).st_ino
    assert left.events == (["drained"] if waiting else [])
    os.close(right.descriptors[0])
    left.abort()
    right.abort()


def read_all(sock: socket.socket, into: Recorder, size: int) -> None:
    """Read so much in a thread, while the writer waits in place."""
    data = bytearray()
    while len(data) < size:
        with contextlib.suppress(BlockingIOError):
            data += sock.recv(size - len(data))
    into.received = bytes(data)


def test_a_dead_peer_cannot_hold_us_when_a_descriptor_is_sent(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up after a while."""
    monkeypatch.setattr(connection, "DESCRIPTOR_WAIT_S", 0.01)
    pair.ours.write_with_descriptors(BIG, [0])
    assert pair.ours.events == ["lost TimeoutError"]


def test_a_bug_ends_the_connection_and_is_told(pair: Pair, bugs: list[BaseException]) -> None:
    """The others go on; the log has the traceback on one line."""
    pair.ours.bug = KeyError("our mistake")
    pair.peer.send(b"x")
    with logged() as lines:
        pair.loop.run_ready()
    assert pair.ours.events == ["lost"]
    assert [repr(bug) for bug in bugs] == ["KeyError('our mistake')"]
    assert len(lines) == 1
    assert lines[0].startswith("panic: Recorder: Traceback")


def test_run_hands_over_a_value_at_once(pair: Pair) -> None:
    """Policy code that does not wait costs no turn."""
    values: list[int] = []

    async def decide() -> int:
        return 3

    assert pair.ours.run(decide(), values.append) is None
    assert values == [3]


def test_run_goes_on_later_unless_the_connection_is_closed(pair: Pair) -> None:
    """What nobody waits for any more is dropped."""
    values: list[int] = []
    futures = [pair.loop.create_future() for _ in range(2)]

    async def decide(future: "asyncio.Future[int]") -> int:
        return await future

    for future in futures:
        assert pair.ours.run(decide(future), values.append) is not None
    futures[0].set_result(1)
    pair.loop.run_ready()
    pair.ours.abort()
    futures[1].set_result(2)
    pair.loop.run_ready()
    assert values == [1]


@pytest.mark.parametrize("waits", [True, False])
def test_a_bug_in_policy_code_is_the_session_s_end(pair: Pair, bugs: list[BaseException], waits: bool) -> None:
    """Whether it waited or not, and also when it is in what comes after it."""
    future = pair.loop.create_future()

    async def decide() -> int:
        if waits:
            await future
        raise KeyError("x")

    with logged():
        pair.ours.run(decide(), lambda _value: None)
        future.set_result(None)
        pair.loop.run_ready()
    assert pair.ours.events == ["lost"]
    assert len(bugs) == 1


def test_a_bug_behind_a_decision_is_the_session_s_end(pair: Pair, bugs: list[BaseException]) -> None:
    """`then` is session code as well."""

    async def decide() -> int:
        return 1

    def then(_value: int) -> None:
        raise KeyError("x")

    with logged():
        pair.ours.run(decide(), then)
    assert pair.ours.events == ["lost"]
    assert len(bugs) == 1


def test_writes_of_a_turn_leave_together_at_its_end(loop: FakeLoop) -> None:
    """In their order; what is about to be closed first writes what it has."""
    pairs = [Pair(loop), Pair(loop)]
    writer = TurnWriter(loop)
    for each in pairs:
        writer.add(each.ours, b"one ")
    writer.add(pairs[0].ours, b"two")
    for each in pairs:
        with pytest.raises(BlockingIOError):
            each.peer.recv(100)
    writer.write_last(pairs[1].ours)
    assert pairs[1].peer.recv(100) == b"one "
    writer.add(pairs[1].ours, b"more")
    loop.run_ready()
    assert pairs[0].peer.recv(100) == b"one two"
    assert pairs[1].peer.recv(100) == b"more"
    writer.write_last(pairs[0].ours)  # nothing waits
    for each in pairs:
        each.ours.abort()
        each.peer.close()


def test_the_end_of_one_does_not_keep_the_others_from_being_written(loop: FakeLoop, bugs: list[BaseException]) -> None:
    """A client that is gone, and a bug in how that is handled."""

    class Buggy(Recorder):
        def connection_lost(self, error: OSError | None) -> None:
            raise ValueError("a bug")

    gone, other = Pair(loop, Buggy), Pair(loop)
    gone.peer.close()
    writer = TurnWriter(loop)
    writer.add(gone.ours, b"x")
    writer.add(other.ours, b"y")
    loop.run_ready()
    assert other.peer.recv(100) == b"y"
    assert [str(bug) for bug in bugs] == ["a bug"]
    other.ours.abort()
    other.peer.close()
