"""BlockingLookups: lookups for who has no event loop (postmap, applications). Local tables are asked directly."""

import asyncio
from types import TracebackType
from typing import Self

from posthouse.tables.table import LocalTable, Table


class BlockingLookups:
    """Has a loop of its own once a table needs one. Not for daemons, nor where a loop is running."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask(self, table: Table, key: str) -> str | None:
        """Look up a key, however long it takes. Raises TableError."""
        if isinstance(table, LocalTable):
            return table.get(key)
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(table.lookup(key))

    def close(self) -> None:
        """End the loop; close the tables before."""
        if self._loop is None:
            return
        loop, self._loop = self._loop, None
        loop.run_until_complete(_end(asyncio.all_tasks(loop)))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


async def _end(tasks: set[asyncio.Task[object]]) -> None:
    """Cancel what is left, and let connections that were closed go."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)
