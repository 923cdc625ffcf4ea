"""An orderly stop: each group of services finishes what it has in hand while those it needs still work.

Phase 0: what takes mail in or out; 1: what these ask; 2: the queue manager; 3: the log. What is not done in time gets
SIGTERM, then SIGKILL: nothing that was answered 250 depends on a clean end.
"""

import signal
from collections.abc import Callable
from typing import Final

from posthouse.ipc.status_wire import STOP
from posthouse.master.herd import Herd
from posthouse.util.select_loop import Loop, Timer

PHASE_LIMITS_S: Final = (2.5, 0.8, 0.8, 0.3)  # in all less than the 5 s after which `postfix stop` kills
TERMINATE_S: Final = 0.3  # from SIGTERM to SIGKILL


class Stop:
    """One stop in progress. `review` after each death; `done` is called at the end."""

    def __init__(self, loop: Loop, herd: Herd, done: Callable[[], None]) -> None:
        self._loop, self._herd, self._done = loop, herd, done
        self._phase = -1
        self._timer: Timer | None = None
        self._begin_phase()

    def review(self) -> None:
        """Somebody died: perhaps the next phase may begin."""
        there = [process.service.order.stop_phase for process in self._herd.processes]
        if self._phase < len(PHASE_LIMITS_S) and not there:
            self._finish()
        elif self._phase < len(PHASE_LIMITS_S) and min(there) > self._phase:
            self._begin_phase()

    def _begin_phase(self) -> None:
        self._loop.cancel(self._timer)
        self._phase += 1
        if self._phase == len(PHASE_LIMITS_S):
            self._herd.kill_all(signal.SIGTERM)
            self._timer = self._loop.after(TERMINATE_S, self._finish)
            return
        for service in self._herd.services.values():
            service.stopping |= service.order.stop_phase <= self._phase
            self._herd.tend(service)
        for process in self._herd.processes:
            if process.service.order.stop_phase == self._phase:
                process.command(STOP)
        self._timer = self._loop.after(PHASE_LIMITS_S[self._phase], self._begin_phase)
        self.review()

    def _finish(self) -> None:
        self._loop.cancel(self._timer)
        self._phase = len(PHASE_LIMITS_S) + 1
        self._herd.kill_all(signal.SIGKILL)
        self._done()
