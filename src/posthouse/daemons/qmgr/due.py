"""Mail whose next attempt has come: from the store into the active queue, a page at a time, while there is room.

The store keeps messages in the order in which they become due; a cursor remembers how far that order was read. Fresh
mail passes through memory and is only met here by its queue ID, which is in the active queue already; what has left
that queue since the page was asked for is not on the page (Store.due). What finds no room when it arrives is left to
this reader, by setting the cursor back.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from posthouse.queue.values import DueKey, DuePage, StoredMessage
from posthouse.util import eager, log
from posthouse.util.errors import TemporaryError

PAGE: Final = 100  # messages read at once; one page holds up the event loop for about 5 ms
MAX_SLEEP_S: Final = 3600.0
MIN_SLEEP_S: Final = 0.05


class DueReader:
    """`read` gives the store's pages; `admit` takes each message; `room` tells how many more."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        read: Callable[[float, DueKey, int], Awaitable[DuePage]],
        room: Callable[[], int],
        admit: Callable[[StoredMessage], None],
    ) -> None:
        self._loop = loop
        self._read, self._room, self._admit = read, room, admit
        self._cursor = DueKey(0.0, 0)
        self._back: DueKey | None = None  # where to the cursor was set back while a page was read
        self._until = 0.0
        self._reading = False
        self._again = False
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at = float("inf")
        self._stopped = False
        self.farthest_s = float("inf")  # no attempt is meant to be farther away
        self.on_too_far: Callable[[], None] = lambda: None  # the next one is: the clock went back while nobody looked

    def scan(self) -> None:
        """Look now."""
        if self._stopped:
            return
        if self._reading:
            self._again = True
            return
        room = self._room()
        if room <= 0:
            return  # on_room calls again
        self._reading = True
        self._until = time.time()
        eager.start(self._page(min(PAGE, room)), self._got)

    def set_back(self, due: float) -> None:
        """A message that is due at this time was not taken up: meet it again."""
        back = DueKey(due - 0.000001, 0)
        self._cursor = min(self._cursor, back)
        if self._reading:
            self._back = min(self._back or back, back)

    def expect(self, due: float) -> None:
        """Something will be due then; it sorts before what was read already, where the clock was set back a little."""
        if due < self._cursor.due:
            self.set_back(due)
        if due < self._wake_at and not self._stopped:
            self._sleep_until(due)

    def stop(self) -> None:
        """Read no more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    async def _page(self, limit: int) -> DuePage:
        return await self._read(self._until, self._cursor, limit)

    def _got(self, outcome: eager.Outcome[DuePage]) -> None:
        self._reading = False
        if self._stopped:
            return
        try:
            page = outcome.result()
        except TemporaryError as error:
            log.warning(f"reading the queue: {error}")
            self._sleep_until(time.time() + 10.0)
            return
        self._cursor = min(page.after, self._back or page.after)
        self._back = None
        for message in page.messages:
            self._admit(message)
        if not page.complete or self._again:
            self._again = False
            self._loop.call_soon(self.scan)
        elif page.next_due is not None and page.next_due > time.time() + self.farthest_s:
            self.on_too_far()
        elif page.next_due is not None:
            self.expect(page.next_due)  # something earlier may have been deferred since the page was asked for

    def _sleep_until(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wake_at = due
        wait = min(max(due - time.time(), MIN_SLEEP_S), MAX_SLEEP_S)
        self._timer = self._loop.call_later(wait, self._woken)

    def _woken(self) -> None:
        self._timer = None
        self._wake_at = float("inf")
        self.scan()
