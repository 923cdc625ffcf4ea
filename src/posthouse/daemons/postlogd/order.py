"""InOrder: the lines of many processes in the order in which they were written.

Each process gathers its lines for a moment (util/log.py, GATHER_S), so one that was written later may come earlier: a
delivery before the line with the sender and the size of its message, which programs that read the log take together.
Our daemons therefore say of each line when it was written. A line that does not say so was written when it comes.
"""

from bisect import bisect_right
from operator import itemgetter
from typing import Final

from posthouse.util.log import ORDER_MARK

DIGITS: Final = 16
_TEXT: Final = len(ORDER_MARK) + DIGITS  # where the line itself begins
_written: Final = itemgetter(0)


class InOrder:
    """Lines that wait for earlier ones. Times are nanoseconds of the clock that does not jump."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, bytes]] = []

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, datagram: bytes, now: int) -> None:
        """Add the lines of a datagram that has come now."""
        for line in datagram.split(b"\n"):
            written, text = (_time_of(line, now), line[_TEXT:]) if line.startswith(ORDER_MARK) else (now, line)
            if text:
                self._lines.append((written, text))

    def take(self, until: int) -> bytes:
        """Take the lines that were written until then, the first one first, each with its newline."""
        lines = self._lines
        lines.sort(key=_written)
        end = bisect_right(lines, until, key=_written)
        taken = b"".join(line + b"\n" for _, line in lines[:end])
        del lines[:end]
        return taken


def _time_of(line: bytes, now: int) -> int:
    """Read when a line was written; nobody has written it later than it came."""
    try:
        return min(int(line[len(ORDER_MARK) : _TEXT], 16), now)
    except ValueError:
        return now
