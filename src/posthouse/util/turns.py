"""Turns: long work in the event loop, done a moment at a time, so that other sessions go on meanwhile.

However many pieces of work there are, only one of them has its turn each time the loop comes round.
"""

import asyncio
from collections import deque
from typing import Final
from weakref import WeakKeyDictionary

TURN_S: Final = 0.01  # what one piece of work may take at a stretch
Resting = deque["asyncio.Future[None]"]  # in the order of their next turns
_resting: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Resting]] = WeakKeyDictionary()


class Turns:
    """For work that is done in a coroutine, also one of util/eager.py: `await turns.rest()` now and then."""

    __slots__ = ("_ends", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ends = loop.time() + TURN_S

    async def rest(self) -> None:
        """Let the loop come round, if this turn has lasted long enough."""
        if self._loop.time() < self._ends:
            return
        resting = _resting.setdefault(self._loop, deque())
        turn = self._loop.create_future()
        resting.append(turn)
        if len(resting) == 1:
            self._loop.call_soon(_wake_next, self._loop, resting)
        await turn
        self._ends = self._loop.time() + TURN_S


def _wake_next(loop: asyncio.AbstractEventLoop, resting: Resting) -> None:
    turn = resting.popleft()
    if resting:
        loop.call_soon(_wake_next, loop, resting)
    if not turn.done():  # its work may have been given up
        turn.set_result(None)
