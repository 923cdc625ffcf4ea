"""A process's life: it accepts while it has room, says how it stands, and goes when it is told or no longer needed."""

import os
import socket
import time
from collections.abc import Iterator

import pytest

from posthouse.ipc.status_wire import RETIRE, STATUS, STOP, State
from posthouse.skeleton.daemon import UNLIMITED, Service
from posthouse.skeleton.lifetime import LINGER_LIMIT_S, ORPHAN_LIMIT_S, STOP_LIMIT_S, Lifetime
from tests.support.fake_loop import FakeLoop


class Counting(Service):
    """Accepts connections; each is a session until it is ended."""

    def __init__(self) -> None:
        self.lifetime: Lifetime
        self.socks: list[socket.socket] = []
        self.works = False
        self.retired = 0
        self.datagrams_read: list[bytes] = []

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Count a client."""
        self.socks.append(sock)
        self.lifetime.session_started()

    def end(self) -> None:
        """End the oldest session."""
        self.socks.pop(0).close()
        self.lifetime.session_ended()

    def datagrams(self, sock: socket.socket) -> None:
        """Read one."""
        self.datagrams_read.append(sock.recv(100))

    def retire(self) -> None:
        """Count."""
        self.retired += 1

    @property
    def busy(self) -> bool:
        """As the test says."""
        return self.works


class Process:
    """A lifetime, its service, its listening socket, and master's end of the status socket."""

    def __init__(self, loop: FakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = loop
        self._clients: list[socket.socket] = []
        self.exited: list[int] = []
        self.closed = 0
        monkeypatch.setattr(os, "_exit", self.exited.append)
        self.cpu_s = 0.0
        monkeypatch.setattr(time, "process_time", lambda: self.cpu_s)

    def start(self, *, limit: int = UNLIMITED, max_idle: float = 0.0, max_use: int = 0) -> "Process":
        """Begin to serve."""
        ours, self.master = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.master.setblocking(False)
        self.status = ours
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.listener.setblocking(False)
        self.address = self.listener.getsockname()
        self.service = Counting()
        self.lifetime = self.service.lifetime = Lifetime(self.loop, ours, client_limit=limit)
        self.lifetime.before_exit = self._before_exit
        self.lifetime.serve(self.service, [self.listener], max_idle=max_idle, max_use=max_use)
        return self

    def _before_exit(self) -> None:
        self.closed += 1

    def connect(self, times: int = 1) -> None:
        """Let clients come."""
        for _ in range(times):
            self._clients.append(socket.create_connection(self.address))
        self.loop.run_ready()

    def reports(self) -> list[tuple[State, int]]:
        """Read what master was told."""
        found = []
        while True:
            try:
                found.append(tuple(STATUS.unpack(self.master.recv(STATUS.size + 1))))
            except BlockingIOError:
                return found  # type: ignore[return-value]

    def order(self, command: bytes) -> None:
        """Give an order."""
        self.master.send(command)
        self.loop.run_ready()

    def close(self) -> None:
        """Close everything."""
        for sock in (*self._clients, *self.service.socks, self.status, self.master, self.listener):
            sock.close()


@pytest.fixture
def process(loop: FakeLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """Make a process that is not started."""
    made = Process(loop, monkeypatch)
    yield made
    made.close()


def test_a_process_says_that_it_is_ready_and_accepts(process: Process) -> None:
    """Once, before the first client."""
    process.start()
    assert process.reports() == [(State.READY, 0)]
    process.connect()
    assert len(process.service.socks) == process.lifetime.sessions == 1


def test_master_hears_when_another_process_would_help(process: Process) -> None:
    """That is, when this one needs most of a CPU; and when it does not any more. Nothing in between."""
    process.start().connect(2)
    for used in (0.95, 0.95, 0.95, 0.1, 0.1):
        process.loop.advance(1)
        process.cpu_s += used
        process.connect()
    assert process.reports() == [(State.READY, 0), (State.BUSY, 3), (State.IDLE, 6)]


def test_a_full_process_lets_the_others_accept(process: Process) -> None:
    """Clients beyond the limit wait in the listen queue; with room it goes on."""
    process.start(limit=2).connect(3)
    assert process.lifetime.sessions == 2
    process.service.end()
    process.loop.run_ready()
    assert process.lifetime.sessions == 2
    assert (State.FULL, 2) in process.reports()


def test_retire_finishes_sessions_first(process: Process) -> None:
    """Nothing new is accepted; the last session's end is the process's."""
    process.start().connect(2)
    process.order(RETIRE)
    assert process.service.retired == 1
    assert process.listener.fileno() == -1
    process.loop.advance(600)
    process.service.end()
    process.loop.advance(1)
    assert not process.exited
    process.service.end()
    process.loop.advance(1)
    assert process.exited[:1] == [0]
    assert process.closed >= 1
    assert process.reports()[-1] == (State.RETIRING, 2)


def test_retire_waits_for_work_that_is_no_session(process: Process) -> None:
    """Results that were not acknowledged, say."""
    process.start()
    process.service.works = True
    process.order(RETIRE)
    process.loop.advance(100)
    assert not process.exited
    process.service.works = False
    process.loop.advance(1)
    assert process.exited[:1] == [0]


def test_stop_has_a_limit(process: Process) -> None:
    """Sessions that do not end do not hold up the system's end."""
    process.start().connect()
    process.order(STOP)
    process.loop.advance(STOP_LIMIT_S - 1)
    assert not process.exited
    process.loop.advance(2)
    assert process.exited[:1] == [0]


def test_without_master_the_process_ends(process: Process) -> None:
    """Soon, as the next master waits for it; sessions may finish in that time."""
    process.start().connect()
    process.master.close()
    process.loop.run_ready()
    assert process.lifetime.retiring
    process.loop.advance(ORPHAN_LIMIT_S - 1)
    assert not process.exited
    process.loop.advance(2)
    assert process.exited[:1] == [0]


def test_a_retired_process_does_not_stay_for_ever(process: Process) -> None:
    """A session that a bug of ours has lost must not hold its memory."""
    process.start().connect()
    process.order(RETIRE)
    process.loop.advance(LINGER_LIMIT_S + 1)
    assert process.exited[:1] == [0]


def test_orders_that_mean_nothing_are_ignored(process: Process) -> None:
    """A newer master may know more."""
    process.start()
    process.order(b"?")
    assert not process.lifetime.retiring


def test_an_idle_process_retires(process: Process) -> None:
    """After max_idle without a client; each client begins the time anew."""
    process.start(max_idle=100)
    process.loop.advance(90)
    process.connect()
    process.service.end()
    process.loop.advance(90)
    assert not process.lifetime.retiring
    process.loop.advance(20)
    assert process.lifetime.retiring


def test_a_process_with_a_session_or_with_work_is_not_idle(process: Process) -> None:
    """However long it takes."""
    process.start(max_idle=100).connect()
    process.loop.advance(1000)
    process.service.works = True
    process.service.end()
    process.loop.advance(1000)
    assert not process.lifetime.retiring
    process.service.works = False
    process.loop.advance(101)
    assert process.lifetime.retiring


def test_a_resident_process_stays(process: Process) -> None:
    """max_idle 0 is never."""
    process.start()
    process.loop.advance(1e6)
    assert not process.lifetime.retiring


def test_a_process_retires_after_max_use_sessions_for_each_slot(process: Process) -> None:
    """Its clients count, not its connections at once."""
    process.start(limit=2, max_use=2)
    for number in range(4):
        assert not process.lifetime.retiring, number
        process.connect()
        process.service.end()
    assert process.lifetime.retiring


def test_accepting_pauses_when_there_are_no_descriptors(process: Process) -> None:
    """It is said, and tried again after a second."""
    process.start()
    refused = OSError(24, "Too many open files")

    class Refusing:
        """A listening socket that gives nothing."""

        def __getattr__(self, name: str) -> object:
            return getattr(process.listener, name)

        def accept(self) -> tuple[socket.socket, object]:
            raise refused

    process.lifetime._on_acceptable(Refusing(), 0)  # type: ignore[arg-type]
    process.connect()
    assert process.lifetime.sessions == 0
    process.loop.advance(1.1)
    assert process.lifetime.sessions == 1


def test_a_datagram_service_reads_its_socket(loop: FakeLoop) -> None:
    """It has no sessions."""
    ours, master = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, master, receiver, sender:
        service = Counting()
        Lifetime(loop, ours, client_limit=1).serve(service, [receiver], max_idle=0, max_use=0)
        sender.send(b"line")
        loop.run_ready()
        assert service.datagrams_read == [b"line"]


def test_datagrams_that_came_before_the_end_are_read(loop: FakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a stop nobody comes after a process: what daemons wrote to the log with their last breath is in the socket."""
    monkeypatch.setattr(os, "_exit", lambda _code: None)
    ours, master = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, master, receiver, sender:
        service = Counting()
        lifetime = Lifetime(loop, ours, client_limit=1)
        lifetime.serve(service, [receiver], max_idle=0, max_use=0)
        sender.send(b"last line")
        lifetime.retire()
        assert service.datagrams_read == [b"last line"]


def test_a_service_does_nothing_unless_it_is_told_what() -> None:
    """The defaults: close what comes, have no work."""
    left, right = socket.socketpair()
    with left, right:
        service = Service()
        service.accept(left, 0)
        service.datagrams(right)
        service.retire()
        service.closing()
        assert left.fileno() == -1
        assert not service.busy


def test_a_session_that_ends_twice_is_our_bug(process: Process) -> None:
    """It would let the process end too early."""
    process.start()
    with pytest.raises(AssertionError):
        process.lifetime.session_ended()


def test_a_master_that_does_not_read_is_no_trouble(process: Process) -> None:
    """Reports are about now; the next one says it again."""
    process.start(limit=1)
    for _ in range(2000):
        process.lifetime.session_started()
        process.lifetime.session_ended()
    assert not process.lifetime.retiring
