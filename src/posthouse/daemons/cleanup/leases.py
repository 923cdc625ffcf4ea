"""Queue-ID numbers: a pool leased from qmgr, lent on to cleanup's clients, and the check that an ID is one of theirs.

Without the check a client could name a queue ID of another client's message. Each number is good for one message.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from posthouse.protocol.queue_id import parse_queue_id

BLOCK: Final = 64  # numbers lent at once; a block is one client's
POOL: Final = 1024  # numbers asked of qmgr at once, so that it syncs seldom
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
    """The numbers one client has and has not used."""

    def __init__(self) -> None:
        self._unused: dict[int, int] = {}  # block number -> bit mask

    def lend(self, first: int) -> None:
        """Add a block."""
        self._unused[first // BLOCK] = (1 << BLOCK) - 1

    def use(self, queue_id: str) -> bool:
        """Use the number of a queue ID up; False: it is no ID, not this client's, or used before."""
        parsed = parse_queue_id(queue_id)
        if parsed is None:
            return False
        block, bit = divmod(parsed.number, BLOCK)
        unused = self._unused.get(block, 0)
        if not unused >> bit & 1:
            return False
        unused &= ~(1 << bit)
        if unused:
            self._unused[block] = unused
        else:
            del self._unused[block]
        return True
