"""Journal: log lines, no more than so many a second. What was left out is counted and said."""

from collections.abc import Callable
from typing import Final

LINES: Final = 10  # a second


class Journal:
    """A limit for lines of one kind. clock: seconds that do not jump."""

    def __init__(self, clock: Callable[[], float], lines: int = LINES) -> None:
        self._clock = clock
        self._most = lines
        self._second = -1
        self._written = 0
        self._left_out = 0

    def admit(self) -> int:
        """Ask before a line is written. -1: leave it out; else the number of lines left out before it."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._written = second, 0
        if self._written >= self._most:
            self._left_out += 1
            return -1
        self._written += 1
        left_out, self._left_out = self._left_out, 0
        return left_out
