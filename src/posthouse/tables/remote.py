"""RemoteTable: a table that is asked over a connection, or by way of a library that may block.

`lookup` is awaited by code without a task (util/eager.py), so `_ask` runs in a task of its own, where everything of
asyncio works, and `lookup` awaits a plain future. That future also carries the time limit: a library that does not come
back when it is cancelled costs its own task and nobody's answer. A table that cannot be asked raises TableError, never
None (facts B15.04). Source: facts/tables.tsv, "table errors".
"""

import asyncio
from abc import abstractmethod
from collections.abc import Coroutine, Iterator
from typing import Final, TypeVar

from posthouse.tables.file_table import Origin
from posthouse.tables.table import Table, fold_key, is_good_key, value_problem
from posthouse.util import log
from posthouse.util.errors import TableError

T = TypeVar("T")
TIMEOUT_S: Final = 30.0  # a lookup, with all attempts; types with servers of their own know better


class RemoteTable(Table):
    """Base of sqlite, pgsql, mysql, ldap, socketmap ... It needs a running event loop from the first lookup on."""

    def __init__(self, origin: Origin, *, timeout_s: float = TIMEOUT_S) -> None:
        """timeout_s: for one lookup, whatever it does meanwhile."""
        super().__init__(origin.full_name)
        self.flags = origin.flags
        self.timeout_s = timeout_s
        self._fold = origin.flags.fold and self.is_fixed
        self._tasks: set[asyncio.Task[None]] = set()

    async def lookup(self, key: str) -> str | None:
        """Give the value of a key, or None. Raises TableError."""
        if not self._is_good_key(key):
            return None
        value = await self._limited(self._ask(self._folded(key)))
        if value is not None and self.flags.utf8 and (problem := value_problem(self.name, key, value)):
            raise TableError(problem)
        return value

    @abstractmethod
    async def _ask(self, key: str) -> str | None:
        """Look up a key that is folded already. Runs as a task. Raises TableError."""

    def items(self) -> Iterator[tuple[str, str]]:
        """Give all entries. Raises TableError: this type has no list of entries."""
        raise TableError(f"{self.name}: sequence operation is not supported")

    def close(self) -> None:
        """End lookups that are under way; a subclass closes its connections."""
        for task in self._tasks:
            task.cancel()

    def failure(self, why: object) -> TableError:
        """Make the error of a lookup that did not work."""
        return TableError(f"{self.name}: {why}")

    def _is_good_key(self, key: str) -> bool:
        return not self.flags.utf8 or is_good_key(self.name, key)

    def _folded(self, key: str) -> str:
        return fold_key(key, utf8=self.flags.utf8) if self._fold else key

    def _limited(self, work: Coroutine[object, None, T]) -> "asyncio.Future[T]":
        """Start work in a task; the future gets its outcome, or TableError when its time is over."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        task = loop.create_task(_deliver(work, future))
        self._tasks.add(task)

        def expired() -> None:
            if not future.done():
                message = f"no answer within {self.timeout_s:g} seconds"
                log.warning(f"{self.name}: {message}")
                future.set_exception(self.failure(message))
            task.cancel()

        timer = loop.call_later(self.timeout_s, expired)

        def ended(task: "asyncio.Task[None]") -> None:
            timer.cancel()
            self._tasks.discard(task)
            if not future.done():  # cancelled by close(), or by the library itself
                future.set_exception(self.failure("the lookup was given up"))

        task.add_done_callback(ended)
        return future


class WritableRemoteTable(RemoteTable):
    """A remote table whose entries may be changed: those that hold caches."""

    async def put(self, key: str, value: str) -> None:
        """Store an entry, replacing an old one. Raises TableError."""
        if not self._is_good_key(key):
            return
        if self.flags.utf8 and value_problem(self.name, key, value):
            return
        await self._limited(self._store(self._folded(key), value))

    async def delete(self, key: str) -> bool:
        """Take an entry out; tells whether it was there. Raises TableError."""
        return self._is_good_key(key) and await self._limited(self._remove(self._folded(key)))

    @abstractmethod
    async def _store(self, key: str, value: str) -> None:
        """Store an entry under a folded key. Runs as a task. Raises TableError."""

    @abstractmethod
    async def _remove(self, key: str) -> bool:
        """Take out the entry of a folded key. Runs as a task. Raises TableError."""


async def _deliver(work: Coroutine[object, None, T], future: "asyncio.Future[T]") -> None:
    """Put what becomes of the work into the future; an unexpected exception is its reader's, too."""
    try:
        result = await work
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - handed on: who awaits the future gets it
        if not future.done():
            future.set_exception(error)
    else:
        if not future.done():
            future.set_result(result)
