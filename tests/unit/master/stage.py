"""A herd on a real loop with real sockets; the test is warm and the processes: it answers, reports and dies."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from unittest import mock

import pytest

from posthouse.ipc.orders_wire import Address, Family, GlobalOrders, Orders, Owner, ServiceOrder
from posthouse.ipc.status_wire import STATUS, State, Status
from posthouse.ipc.warm_wire import ANSWER, REQUEST, Answer, Request, Said, close_all, receive_record
from posthouse.master import helpers, log
from posthouse.master.helpers import Launch, Warm
from posthouse.master.herd import Herd
from posthouse.master.listen import Listeners
from posthouse.util.select_loop import Loop

NO_PID: Final = 2**22 + 100  # above pid_max: nobody's
WAIT_S: Final = 10.0
HANDLED: Final = (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class FarEnd:
    """The other end of a Warm: what master asks, and what it is told."""

    def __init__(self, loop: Loop, lost: list[str]) -> None:
        self.socket, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(WAIT_S)
        self.ready = 0
        with (
            mock.patch.object(helpers, "spawn", return_value=NO_PID),
            mock.patch.object(socket, "socketpair", return_value=(ours, self.socket.dup())),
        ):
            self.warm = Warm(loop, Launch(), self._count, lambda _, reason: lost.append(reason))

    def _count(self) -> None:
        self.ready += 1

    def asked(self) -> tuple[Request, list[int]]:
        """Give the next thing that master wants, with descriptors that the caller closes."""
        record, descriptors = receive_record(self.socket, REQUEST.size + 1)
        return REQUEST.unpack(record), descriptors

    def says(self, answer: Answer) -> None:
        """Answer, and let master read it."""
        self.socket.send(ANSWER.pack(answer))
        self.warm._readable()


class Stage:
    """See the module's docstring."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("private", "public", "pid"):
            (directory / name).mkdir()
        self._log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._log.bind(str(directory / "public" / "postlog"))
        self._log.setblocking(False)
        log.LOG.open("postfix/master", str(directory / "public" / "postlog"))
        self.loop = Loop()
        self.listeners = Listeners([])
        self.herd = Herd(self.loop, self.listeners)
        self.lost: list[str] = []
        self.far = FarEnd(self.loop, self.lost)
        self._text = ""

    def log(self) -> str:
        """Give everything that master logged."""
        while True:
            try:
                self._text += self._log.recv(1 << 18).decode()
            except BlockingIOError:
                return self._text

    def orders(self, *services: ServiceOrder, **settings: object) -> Orders:
        """Make orders for these services."""
        everything = GlobalOrders("/etc/postfix", str(self.directory), str(self.directory), "3.11", "postfix")
        return Orders(everything._replace(**settings), services, ())  # type: ignore[arg-type]

    def follow(self, *services: ServiceOrder, **settings: object) -> None:
        """Give the herd orders."""
        orders = self.orders(*services, **settings)
        wanted = [(address, 5) for order in services for address in order.addresses]
        self.herd.follow(orders, self.listeners.open_all(wanted))

    def begin(self) -> None:
        """Let warm be ready."""
        self.far.says(Answer(Said.READY))
        self.herd.begin(self.far.warm)

    def fork(self, pid: int) -> tuple[Request, socket.socket]:
        """Be warm that forks: give the request, and the socket of the new process."""
        request, descriptors = self.far.asked()
        status = socket.socket(fileno=descriptors.pop(1))
        status.settimeout(WAIT_S)
        close_all(descriptors)
        self.far.says(Answer(Said.FORKED, request.number, pid))
        return request, status

    def report(self, status: socket.socket, state: State) -> None:
        """Be a process that reports, and let master read it."""
        status.send(STATUS.pack(Status(state, 1)))
        self.turn()

    def turn(self, duration_s: float = 0.0) -> None:
        """Let the loop work on what is there."""
        self.loop._running = True
        self.loop.after(duration_s, self._stop_soon)
        self.loop.run()

    def _stop_soon(self) -> None:
        self.loop.after(0.02, lambda: self._stop_when_quiet(50))

    def _stop_when_quiet(self, rounds: int) -> None:
        """On a busy machine the time may be over while something is still there to be read."""
        if rounds and self.loop._selector.select(0):
            self.loop.after(0.005, lambda: self._stop_when_quiet(rounds - 1))  # the loop reads meanwhile
        else:
            self.loop.stop()

    def close(self) -> None:
        """End it all."""
        self.far.warm.close()
        self.far.socket.close()
        for process in self.herd.processes:
            process.status.close()
        self.herd.runas.close()
        self.listeners.keep_only(set())
        self._log.close()
        for sock in (self.loop._signals, self.loop._wakeup):
            sock.close()
        self.loop._selector.close()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Set the stage; queue and data directory are the present one."""
    monkeypatch.chdir(tmp_path)
    before = {number: signal.getsignal(number) for number in HANDLED}
    wakeup = signal.set_wakeup_fd(-1)
    made = Stage(tmp_path)
    yield made
    made.close()
    signal.set_wakeup_fd(wakeup)
    for number, handler in before.items():
        signal.signal(number, handler)
    log.LOG.open("postfix/master", os.devnull)


def service(name: str = "local", *, port: int = 0, **fields: object) -> ServiceOrder:
    """Make a service at private/NAME, or at a port of the loopback interface."""
    address = Address(Family.INET, "127.0.0.1", port) if port else Address(Family.UNIX, path=f"private/{name}")
    order = ServiceOrder(name, "inet" if port else "unix", name, name, Owner.INNER, addresses=(address,))
    return order._replace(**fields)  # type: ignore[arg-type]
