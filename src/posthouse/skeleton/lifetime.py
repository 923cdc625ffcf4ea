"""Lifetime: accepting, counting, reporting to master, retiring. One per process.

A process accepts while it has room, tells master when that changes, and retires (accepts nothing more, finishes its
sessions, exits) when master says so, when master is gone, when it was idle for max_idle, served max_use sessions per
client slot, or after a bug ended one of its sessions.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from typing import Final

from posthouse.ipc.status_wire import RETIRE, STATUS, STOP, STRESS_OFF, STRESS_ON, State, Status
from posthouse.skeleton.daemon import UNLIMITED, Service
from posthouse.util import log

BUSY_SHARE: Final = 0.8  # of one CPU; below it a second process only adds switches (measured: a third of throughput)
BUSY_WINDOW_S: Final = 1.0  # over which that is measured
STOP_LIMIT_S: Final = 30.0  # how long a stopping process may finish what is in progress
ORPHAN_LIMIT_S: Final = 10.0  # the same when master is gone: the next master cannot begin before we have ended
LINGER_POLL_S: Final = 0.02  # how often a retired process looks whether it is done
LINGER_LIMIT_S: Final = 3600.0  # no delivery takes longer; what is then still in progress was lost by a bug of ours


class Lifetime:
    """See the module's docstring."""

    def __init__(self, loop: asyncio.AbstractEventLoop, status: socket.socket, *, client_limit: int) -> None:
        self._loop = loop
        self._status = status
        self._listeners: list[socket.socket] = []
        self._service = Service()
        self._limit = client_limit
        self._sessions = 0
        self._served = 0
        self._max_served = UNLIMITED * UNLIMITED
        self._max_idle = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._accepting = False
        self._reported = State.READY
        self._busy = False
        self._window_began, self._window_cpu = loop.time(), time.process_time()
        self.retiring = False
        self.before_exit: Callable[[], None] = lambda: None
        self.on_stress: Callable[[bool], None] = lambda _on: None  # master's word: the service is, or was, full

    def serve(self, service: Service, listeners: list[socket.socket], *, max_idle: float, max_use: int) -> None:
        """Start to accept. max_idle 0: stay; max_use 0: no limit."""
        self._service, self._listeners = service, listeners
        self._max_idle = max_idle
        if max_use:
            self._max_served = max_use * min(self._limit, UNLIMITED)
        self._loop.add_reader(self._status.fileno(), self._from_master)
        self._report(State.READY)
        self._set_accepting(accepting=True)
        self._arm_idle()

    def session_started(self) -> None:
        """Count a client in."""
        self._sessions += 1
        self._served += 1
        if self._idle_timer is not None and self._sessions == 1:
            self._idle_timer.cancel()
            self._idle_timer = None
        self._review()

    def session_ended(self) -> None:
        """Count a client out."""
        self._sessions -= 1
        assert self._sessions >= 0, "a session ended twice"
        if self._served >= self._max_served and not self.retiring:
            self.retire()
        self._review()
        if self._sessions == 0:
            self._arm_idle()

    @property
    def sessions(self) -> int:
        """Clients being served now."""
        return self._sessions

    def retire(self) -> None:
        """Accept nothing more; exit when everything in progress is finished."""
        if self.retiring:
            return
        self.retiring = True
        self._set_accepting(accepting=False)
        for listener in self._listeners:
            if listener.type == socket.SOCK_DGRAM:
                self._service.datagrams(listener)  # at a stop nobody comes after us
            listener.close()
        self._listeners = []
        self._report(State.RETIRING)
        self._service.retire()
        self._loop.call_soon(self._linger)
        self._loop.call_later(LINGER_LIMIT_S, self._exit)

    def _review(self) -> None:
        """Accept while there is room, and tell master when more hands would help."""
        if self.retiring:
            return
        room = self._sessions < self._limit
        self._set_accepting(accepting=room)
        state = State.FULL if not room else State.BUSY if self._is_busy() else State.IDLE
        if state != self._reported and not (state is State.IDLE and self._reported is State.READY):
            self._report(state)

    def _is_busy(self) -> bool:
        """Whether this process needs most of a CPU. Few processes with much to do each cost less than many."""
        now = self._loop.time()
        elapsed = now - self._window_began
        if elapsed >= BUSY_WINDOW_S:
            cpu = time.process_time()
            self._busy = cpu - self._window_cpu > BUSY_SHARE * elapsed
            self._window_began, self._window_cpu = now, cpu
        return self._busy

    def _report(self, state: State) -> None:
        self._reported = state
        try:
            self._status.send(STATUS.pack(Status(state, self._sessions)))
        except BlockingIOError:
            pass  # master is slow; the next report says it again
        except OSError:
            self._loop.call_soon(self.retire)

    def _set_accepting(self, *, accepting: bool) -> None:
        if accepting == self._accepting:
            return
        self._accepting = accepting
        for number, listener in enumerate(self._listeners):
            if not accepting:
                self._loop.remove_reader(listener.fileno())
            elif listener.type == socket.SOCK_DGRAM:
                self._loop.add_reader(listener.fileno(), self._service.datagrams, listener)
            else:
                self._loop.add_reader(listener.fileno(), self._on_acceptable, listener, number)

    def _on_acceptable(self, listener: socket.socket, number: int) -> None:
        """Take one connection: if more wait the loop calls again, and an accept that finds none costs a third."""
        try:
            sock, _address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return
        except OSError as error:  # no descriptors or memory left: leave it for a second, and say so
            log.warning(f"accept connection: {error}")
            self._set_accepting(accepting=False)
            self._loop.call_later(1.0, self._review)
            return
        self._service.accept(sock, number)

    def _from_master(self) -> None:
        try:
            command = self._status.recv(16)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            command = b""
        if not command:
            self._loop.remove_reader(self._status.fileno())
            self._loop.call_later(ORPHAN_LIMIT_S, self._exit)
            self.retire()
        elif command == RETIRE:
            self.retire()
        elif command == STOP:
            self._loop.call_later(STOP_LIMIT_S, self._exit)
            self.retire()
        elif command in (STRESS_ON, STRESS_OFF):
            self.on_stress(command == STRESS_ON)

    def _arm_idle(self) -> None:
        if self._max_idle and not self.retiring and self._idle_timer is None:
            self._idle_timer = self._loop.call_later(self._max_idle, self._idle_too_long)

    def _idle_too_long(self) -> None:
        self._idle_timer = None
        if self._sessions == 0 and not self._service.busy:
            self.retire()
        elif self._sessions == 0:
            self._arm_idle()

    def _linger(self) -> None:
        if self._sessions == 0 and not self._service.busy:
            self._exit()
        else:
            self._loop.call_later(LINGER_POLL_S, self._linger)

    def _exit(self) -> None:
        self.before_exit()
        log.LOG.finish()
        os._exit(0)
