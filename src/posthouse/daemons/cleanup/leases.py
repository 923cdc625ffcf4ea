"""Queue-ID numbers: a pool leased from qmgr, lent on to cleanup's clients, and the check that an ID is one of theirs.

Without the check a client could name a queue ID of another client's message. Each number is good for one message.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from posthouse.protocol.queue_id import number_text, write_number

BLOCK: Final = 64  # numbers lent at once; a block is one client's
POOL: Final = 1024  # numbers asked of qmgr at once, so that it syncs seldom
MAX_LENT: Final = 64 * BLOCK  # to one client; it asks for more when a few are left
REFILL_AT: Final = POOL // 4


class LeasePool:
    """The numbers this process has from qmgr. `fetch` asks qmgr for a range and returns (first, count)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fetch: Callable[[int], Awaitable[tuple[int, int]]]) -> None:
        self._loop = loop
        self._fetch = fetch
        self._blocks: list[int] = []  # first numbers of whole blocks, the next one last
        self._asking: asyncio.Future[None] | None = None

    async def take_block(self) -> int:
        """Take BLOCK numbers; returns the first. Raises TemporaryError: qmgr does not answer."""
        while not self._blocks:
            if self._asking is None:
                await self._refill()
            else:
                await self._asking
        return self._blocks.pop()

    @property
    def low(self) -> bool:
        """Whether it is time to refill before anybody waits."""
        return self._asking is None and len(self._blocks) * BLOCK <= REFILL_AT

    async def refill(self) -> None:
        """Fetch more numbers unless that is under way."""
        if self._asking is None:
            await self._refill()

    async def _refill(self) -> None:
        asking = self._asking = self._loop.create_future()
        try:
            first, count = await self._fetch(POOL)
        finally:
            self._asking = None
            if not asking.done():
                asking.set_result(None)  # who waited looks again, and asks himself if there is nothing
        start = -(-first // BLOCK) * BLOCK  # whole blocks only; the few numbers before are given up
        blocks = range(start, first + count - BLOCK + 1, BLOCK)
        self._blocks = [*reversed(blocks), *self._blocks]


class LentNumbers:
    """The numbers one client has and has not used, as its queue IDs are written. short: the form of these."""

    def __init__(self, *, short: bool) -> None:
        self._short = short
        self._unused: set[str] = set()

    @property
    def is_full(self) -> bool:
        """Whether the client has more numbers than anybody needs."""
        return len(self._unused) > MAX_LENT

    def lend(self, first: int) -> None:
        """Add a block."""
        self._unused.update(write_number(number, short=self._short) for number in range(first, first + BLOCK))

    def use(self, queue_id: str) -> bool:
        """Use the number of a queue ID up; False: it is no ID, not this client's, or used before."""
        number = number_text(queue_id, short=self._short)
        if number not in self._unused:
            return False
        self._unused.remove(number)
        return True
