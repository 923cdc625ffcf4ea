"""When a service needs another process, and how long it is held back after a failure."""

import os
import socket
import time
from collections.abc import Iterator

import pytest

from posthouse.ipc.orders_wire import Address, Family, Owner, ServiceOrder
from posthouse.ipc.status_wire import STATUS, State, Status
from posthouse.master.service import Need, Process, Service, sealed

ADDRESS = Address(Family.INET, "192.0.2.1", 25)
ORDER = ServiceOrder("smtp", "inet", "smtpd", "smtpd", Owner.NETWORK, limit=4, processes=2, addresses=(ADDRESS,))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Make a socket that stands for the listening one."""
    with socket.socket() as sock:
        yield sock


def _service(listener: socket.socket, order: ServiceOrder = ORDER) -> Service:
    return Service(order, [listener])


def _add(service: Service, state: State | None) -> Process:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    process = Process(service, ours)
    if state is not None:
        theirs.send(STATUS.pack(Status(state, 1)))
        assert process.read_status()
    theirs.close()
    service.processes.append(process)
    return process


def _need(service: Service) -> Need:
    return service.need


@pytest.mark.parametrize(
    ("states", "need"),
    [
        ((), Need.WATCH),
        ((None,), Need.NOTHING),
        ((State.READY,), Need.NOTHING),
        ((State.IDLE,), Need.NOTHING),
        ((State.BUSY,), Need.PROCESS),
        ((State.FULL,), Need.WATCH),
        ((State.BUSY, State.FULL), Need.NOTHING),
        ((State.FULL, State.FULL), Need.NOTHING),
        ((State.RETIRING,), Need.WATCH),
        ((State.RETIRING, State.RETIRING, State.BUSY), Need.PROCESS),
        ((State.BUSY, State.IDLE), Need.NOTHING),
        ((State.BUSY, None), Need.NOTHING),
    ],
    ids=str,
)
def test_need_follows_from_what_the_processes_say(
    listener: socket.socket, states: tuple[State | None, ...], need: Need
) -> None:
    """One row per situation of a service that may have two processes."""
    service = _service(listener)
    for state in states:
        _add(service, state)
    assert service.need is need
    for process in service.processes:
        process.status.close()


def test_the_last_report_counts(listener: socket.socket) -> None:
    """Of several reports the newest is the state, but RETIRING is final."""
    service = _service(listener)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setblocking(False)
        process = Process(service, ours)
        for state, clients in ((State.READY, 0), (State.BUSY, 9), (State.RETIRING, 9), (State.IDLE, 3)):
            theirs.send(STATUS.pack(Status(state, clients)))
        assert process.read_status()
        assert (process.state, process.leaving) == (State.RETIRING, True)
        theirs.send(b"rubbish")
        assert not process.read_status()


@pytest.mark.parametrize(
    ("change", "need"),
    [({"prefork": True}, Need.PROCESS), ({"limit": 1, "processes": 1}, Need.WATCH)],
    ids=str,
)
def test_need_without_processes(listener: socket.socket, change: dict[str, int], need: Need) -> None:
    """Prefork wants one at once."""
    order = ORDER._replace(prefork=bool(change.get("prefork")), limit=change.get("limit", 4))
    service = _service(listener, order)
    assert service.need is need
    service.throttled = True
    assert service.need is Need.NOTHING
    service.throttled, service.stopping = False, True
    assert service.need is Need.NOTHING


def test_a_solitary_service_waits_for_its_predecessor(listener: socket.socket) -> None:
    """With limit 1 a process that retires still stands in the way."""
    service = _service(listener, ORDER._replace(limit=1, processes=1, prefork=True))
    process = _add(service, State.RETIRING)
    assert service.need is Need.NOTHING
    service.processes.remove(process)
    process.status.close()
    assert _need(service) is Need.PROCESS


def test_delays_double_up_to_the_limit_and_end_with_success(listener: socket.socket) -> None:
    """1, 2, 4 ... 60 s; a process that served resets it; a kill from outside costs nothing."""
    service = _service(listener)
    process = _add(service, None)
    delays = [service.failed(process, 60, killed=False) for _ in range(8)]
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60]
    process.state = State.READY
    assert service.failed(process, 60, killed=False) == 60
    assert service.failed(process, 60, killed=True) == 0
    assert service.failed(process, 60, killed=False) == 1
    process.started = time.monotonic() - 10
    assert service.failed(process, 60, killed=False) == 0
    process.status.close()


def test_settings_are_sealed_and_read_from_the_start_by_each() -> None:
    """Two processes have two descriptors of the same bytes, and nobody can write."""
    first, second = sealed(b"x" * 100_000), sealed(b"x" * 100_000)
    for descriptor in (first, second):
        assert os.pread(descriptor, 1 << 20, 0) == b"x" * 100_000
        with pytest.raises(OSError, match="not permitted"):
            os.pwrite(descriptor, b"y", 0)
        with pytest.raises(OSError, match="not permitted"):
            os.ftruncate(descriptor, 0)
        os.close(descriptor)
