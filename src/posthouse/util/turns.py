"""Turns: long work in the event loop, done a moment at a time, so that other sessions go on meanwhile."""

import asyncio
from typing import Final

TURN_S: Final = 0.01  # what one piece of work may take at a stretch


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
        future = self._loop.create_future()
        self._loop.call_soon(future.set_result, None)
        await future
        self._ends = self._loop.time() + TURN_S
