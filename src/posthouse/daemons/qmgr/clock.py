"""The clock may be set: what that must not do to mail. Nothing is returned early, and nothing waits for years.

Times of messages are wall time, because they outlive the process and the boot. Beside it this module follows
CLOCK_BOOTTIME, which nobody can set and which goes on while the machine sleeps, and remembers when the wall clock was
set while it looked. So it knows by which clock a message got its time, and how old it is. When the wall clock goes
back, attempts that were due by the old time are made due at once.

What happened while no queue manager ran is not known: time that went by and a clock that was set look the same then,
only attempts that are farther away than any wait can be show that it went back. Source: clock_gettime(2).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from posthouse.util import log

LOOK_S: Final = 1.0  # how often both clocks are compared
MAX_JUMPS: Final = 100  # remembered
JUMP_S: Final = 60.0  # less is corrected by time daemons every day, and changes nothing here


class Clock:
    """The wall clock's history, from the moment this was made."""

    def __init__(self) -> None:
        # When it was set, by the steady clock, and how far it was ahead of that from then on.
        self._set: deque[tuple[float, float]] = deque([(_elapsed(), time.time() - _elapsed())], maxlen=MAX_JUMPS)

    def look(self) -> float:
        """Tell by how many seconds the clock was set since the last look; less than JUMP_S does not count."""
        steady = _elapsed()
        ahead = time.time() - steady
        jump = ahead - self._set[-1][1]
        if abs(jump) <= JUMP_S:
            return 0.0
        self._set.append((steady, ahead))
        return jump

    def age(self, since: float) -> float:
        """Tell how many seconds ago it was what that clock of the time called `since`; of several times, the last."""
        steady = ended = _elapsed()
        for number, (begun, ahead) in enumerate(reversed(self._set), 1):
            first = number == len(self._set)  # what was before that is taken for the same clock
            if since - ahead <= ended + JUMP_S and (first or since - ahead >= begun - JUMP_S):
                return max(steady - (since - ahead), 0.0)
            ended = begun
        return 0.0  # in the future by every clock there was


class ClockWatch:
    """Looks at the clock; `went_back` is called when it was set back."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, went_back: Callable[[], None]) -> None:
        self._loop, self._clock, self._went_back = loop, clock, went_back
        self._timer = loop.call_later(LOOK_S, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(LOOK_S, self._look)
        jump = self._clock.look()
        if jump:
            way = "forward" if jump > 0 else "back"
            text = f"the clock was set {way} by {abs(jump):.0f} s; no mail is returned for it"
            log.warning(text, event="clock", jump=round(jump))
        if jump < 0:
            self._went_back()


def _elapsed() -> float:
    """Seconds of a clock that never jumps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
