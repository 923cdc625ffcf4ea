"""One service: its listening sockets, its processes, and the decision whether it needs another one.

The decision is `need`, from the reports of the processes alone. While no process can take work, master itself watches
the listening sockets. A process that reports RETIRING takes nothing more, so it no longer counts, except where only
one process may exist at all (limit 1: qmgr owns its store): there the next one waits for its end.
"""

import fcntl
import os
import socket
import time
from enum import Enum
from typing import Final

from posthouse.ipc.orders_wire import ServiceOrder
from posthouse.ipc.status_wire import STATUS, State
from posthouse.util.select_loop import Timer

EARLY_DEATH_S: Final = 5.0  # a process that fails this soon after its start would fail again
FIRST_DELAY_S: Final = 1.0
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Process:
    """One process of a service, from the request to warm until it is reaped."""

    __slots__ = ("asked_to_go", "pid", "service", "started", "state", "status")

    def __init__(self, service: "Service", status: socket.socket) -> None:
        self.service = service
        self.status = status  # our end
        self.pid = 0  # 0: warm has not answered yet
        self.state: State | None = None  # None: not ready yet
        self.asked_to_go = False
        self.started = time.monotonic()

    @property
    def leaving(self) -> bool:
        """Takes nothing more."""
        return self.asked_to_go or self.state is State.RETIRING

    def command(self, command: bytes) -> bool:
        """Tell it something; False when it does not listen any more."""
        try:
            self.status.send(command)
        except OSError:
            return False
        return True

    def read_status(self) -> bool:
        """Take its reports; False at the end, or when it sends what is no report."""
        try:
            while True:
                report = STATUS.unpack(self.status.recv(STATUS.size + 1))
                if self.state is not State.RETIRING:
                    self.state = report.state
        except BlockingIOError:
            return True
        except (OSError, ValueError):
            return False


# What a service needs now. NOTHING: a process can take work, or there may be no more. WATCH: there is no process, wait
# for work on the sockets. PROCESS: another process, now.
Need = Enum("Need", "NOTHING WATCH PROCESS")


class Service:
    """See the module's docstring."""

    def __init__(self, order: ServiceOrder, sockets: list[socket.socket]) -> None:
        self.order = order  # the present ones: processes of older ones go on as they are
        self.sockets = sockets
        self.processes: list[Process] = []
        self.watching = self.stopping = self.throttled = self.stress = False
        self.delay_s = 0.0  # how long the next failure will throttle
        self.wakeup: Timer | None = None

    @property
    def _staying(self) -> list[Process]:
        return [process for process in self.processes if not process.leaving]

    @property
    def need(self) -> Need:
        """What it needs now."""
        if self.throttled or self.stopping:
            return Need.NOTHING
        staying = self._staying
        if self.order.limit == 1 and self.processes and not staying:
            return Need.NOTHING
        if not staying:
            return Need.PROCESS if self.order.prefork else Need.WATCH
        if len(staying) >= self.order.processes or any(p.state in {None, State.READY, State.IDLE} for p in staying):
            return Need.NOTHING
        # A full process has left the sockets, so new work shows there; a busy one would take it before we look.
        return Need.WATCH if all(p.state is State.FULL for p in staying) else Need.PROCESS

    @property
    def full(self) -> bool:
        """Whether every process that may exist has all the clients it may have."""
        staying = self._staying
        return len(staying) >= self.order.processes and all(process.state is State.FULL for process in staying)

    def failed(self, process: Process, throttle_s: float, *, killed: bool) -> float:
        """Note that a process failed; returns for how long no other may be started (0: start at once).

        killed: from outside, by SIGKILL or SIGTERM: nothing says that the next one would fail.
        """
        lived_s = time.monotonic() - process.started
        if process.state is not None and (killed or lived_s > EARLY_DEATH_S):
            self.delay_s = 0.0
        else:
            self.delay_s = min(max(FIRST_DELAY_S, 2 * self.delay_s), throttle_s)
        return self.delay_s


def sealed(settings: bytes) -> int:
    """Put settings where nobody can change them any more: each process gets a descriptor of its own."""
    descriptor = os.memfd_create("settings", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(settings)
    while view:
        view = view[os.write(descriptor, view) :]
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor
