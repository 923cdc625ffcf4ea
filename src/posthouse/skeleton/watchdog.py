"""Watchdog: ends a process whose event loop has stopped turning, and says in the log what it was doing.

The kernel sends SIGALRM again and again (setitimer(2)); the timer is set before the walls go up, since no daemon may
touch timers later. Each alarm asks the loop for an answer and looks whether the last one came. Python calls the handler
between two of its own instructions and when a system call is interrupted, so a table that never ends or a file system
that hangs is met; a library that loops in C is not, and governor(8) reports such a process as silent.
"""

import asyncio
import os
import signal
import sys
import time
from types import FrameType
from typing import Final

from posthouse.util import log

FRAMES: Final = 6  # innermost calls that are named
START_INTERVALS: Final = 10  # how many a process may take until its loop turns
FROZEN: Final = 1.5  # an alarm that comes this many intervals after the last: the process itself was stopped meanwhile


class Watchdog:
    """See the module's docstring. One in a process. interval_s: a hang is met after this time, twice it at most."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._answered = True
        self._last = time.monotonic()
        self._start_left = START_INTERVALS
        signal.signal(signal.SIGALRM, self._alarm)
        signal.setitimer(signal.ITIMER_REAL, interval_s, interval_s)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, with the loop's first turn."""
        loop.call_soon(self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._answered = True

    def _answer(self) -> None:
        self._answered = True

    def _alarm(self, _number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        frozen, self._last = now - self._last > FROZEN * self._interval_s, now
        if self._loop is None:
            self._start_left -= not frozen
            if self._start_left <= 0:
                self._end(f"not ready after {START_INTERVALS * self._interval_s:.0f} s", frame)
        elif not self._answered and not frozen:
            self._end(f"nothing else was done for {self._interval_s:.0f} s", frame)
        else:
            self._answered = False
            self._loop.call_soon_threadsafe(self._answer)

    def _end(self, what: str, frame: FrameType | None) -> None:
        log.fatal(f"watchdog timeout: {what}; in {where(frame)}")
        log.LOG.finish()
        os._exit(1)

    def allow_long_start(self) -> None:
        """Let the start take as long as it needs: a store is repaired."""
        self._start_left = sys.maxsize


def where(frame: FrameType | None) -> str:
    """Name the innermost calls, the innermost first."""
    found: list[str] = []
    while frame is not None and len(found) < FRAMES:
        path = "/".join(frame.f_code.co_filename.rsplit("/", 2)[-2:])
        found.append(f"{frame.f_code.co_name} ({path}:{frame.f_lineno})")
        frame = frame.f_back
    return ", called by ".join(found) or "nothing of ours"
