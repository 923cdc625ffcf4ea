"""proxy: tables: what proxymap(8) does for a daemon that cannot open the table itself."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from posthouse.ipc import proxymap
from posthouse.ipc.proxymap import DENIED, FOUND, RETRY, Entries, LookupResult, ToProxymap
from posthouse.ipc.stream import Client
from posthouse.tables.table import Table, TableFlags, fold_key, is_good_key, value_problem
from posthouse.util.errors import TableError, TemporaryError

CACHE_SIZE: Final = 1000  # answers kept
CACHE_S: Final = 1.0  # seconds for which an answer is kept: a burst of mail to one recipient asks once
UNSEEN_S: Final = 5.0  # seconds after which what was made of answers is made anew: changes behind proxymap are not seen


class ProxyClient:
    """The connection to proxymap(8), with a small cache of answers; cache_s 0: none, where tables are changed."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, path: str, *, timeout_s: float = 3600.0, cache_s: float = CACHE_S
    ) -> None:
        self._client: Client[proxymap.FromProxymap] = Client(loop, path, proxymap.CLIENT, timeout_s=timeout_s)
        self._now = loop.time
        self._cache_s = cache_s
        self._cache: dict[tuple[str, str, int], tuple[float, str | None]] = {}

    async def lookup(self, table: str, key: str, flags: int = proxymap.AS_USUAL) -> str | None:
        """Ask for a key. Raises TableError."""
        cached = self._cache.get((table, key, flags))
        now = self._now()
        if cached is not None and cached[0] > now:
            return cached[1]
        reply = await self.result(proxymap.Lookup(self.next_id(), table, key, flags))
        value = reply.value if reply.status == FOUND else None
        if self._cache_s:
            if len(self._cache) >= CACHE_SIZE:
                self._cache.clear()
            self._cache[table, key, flags] = (now + self._cache_s, value)
        return value

    def now(self) -> float:
        """The event loop's time in seconds."""
        return self._now()

    def next_id(self) -> int:
        """Number for the next request."""
        return self._client.next_id()

    async def result(self, record: ToProxymap) -> LookupResult:
        """Send a request that is answered by one result. Raises TableError."""
        reply = await self._request(record)
        if not isinstance(reply, LookupResult):
            raise TableError(f"proxy:{record.table}: proxymap service gave another answer than was asked for")
        self._check(record, reply.status, reply.value)
        return reply

    async def entries(self, record: proxymap.Sequence) -> list[tuple[str, str]]:
        """Ask for entries. Raises TableError."""
        reply = await self._request(record)
        if not isinstance(reply, Entries):
            raise TableError(f"proxy:{record.table}: proxymap service gave another answer than was asked for")
        self._check(record, reply.status, reply.why)
        return reply.entries

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    async def _request(self, record: ToProxymap) -> proxymap.FromProxymap:
        try:
            return await self._client.request(record)
        except TemporaryError as error:
            raise TableError(f"proxy:{record.table}: {error}") from None

    def _check(self, record: ToProxymap, status: int, why: str) -> None:
        if status == DENIED:
            where = "proxy_read_maps" if isinstance(record, proxymap.Lookup) else "proxy_write_maps"
            raise TableError(f"proxy:{record.table}: proxymap service is not configured for this table; see {where}")
        if status == RETRY:
            raise TableError(f"proxy:{record.table}: {why or 'table lookup problem'}")


class ProxyTable(Table):
    """One table behind proxymap(8). UTF-8 is checked here, before anything is sent; keys are folded on both sides."""

    def __init__(self, name: str, client: ProxyClient, flags: TableFlags, *, takes_partial_keys: bool) -> None:
        super().__init__(name)
        self._table = name.removeprefix("proxy:")
        self._client = client
        self._flags = flags
        self._wire_flags = (proxymap.FOLD if flags.fold else 0) | (proxymap.UTF8 if flags.utf8 else 0)
        self._wire_flags |= 0 if flags.unauthenticated else proxymap.SENSITIVE
        self._partial = takes_partial_keys

    @property
    def takes_partial_keys(self) -> bool:
        """Whether the table behind it is a fixed-string table."""
        return self._partial

    async def lookup(self, key: str) -> str | None:
        """Ask proxymap(8)."""
        if not self._is_good_key(key):
            return None
        return await self._client.lookup(self._table, self._folded(key), self._wire_flags)

    def poll(self) -> None:
        """Take for granted, every few seconds, that something has changed there: a database does not say."""
        self.generation = int(self._client.now() / UNSEEN_S)

    def _is_good_key(self, key: str) -> bool:
        return is_good_key(self.name, key)  # whatever the flags: the records between daemons are UTF-8

    def _folded(self, key: str) -> str:
        return fold_key(key, utf8=self._flags.utf8) if self._partial and self._flags.fold else key


class ProxyCache(ProxyTable):
    """A table behind proxywrite, to be changed. Its client keeps no answers."""

    async def put(self, key: str, value: str) -> None:
        """Store an entry, replacing an old one. Raises TableError."""
        client = self._client
        if problem := value_problem(self.name, key, value):
            raise TableError(problem)
        if self._is_good_key(key):
            await client.result(
                proxymap.Update(client.next_id(), self._table, self._folded(key), value, self._wire_flags)
            )

    async def delete(self, key: str) -> bool:
        """Take an entry out; tells whether it was there. Raises TableError."""
        client = self._client
        if not self._is_good_key(key):
            return False
        record = proxymap.Delete(client.next_id(), self._table, self._folded(key), self._wire_flags)
        return (await client.result(record)).status == FOUND

    async def items(self) -> AsyncIterator[tuple[str, str]]:
        """Give all entries, as they were when this began. Raises TableError."""
        client, start = self._client, 0
        while entries := await client.entries(
            proxymap.Sequence(client.next_id(), self._table, start, self._wire_flags)
        ):
            for entry in entries:
                yield entry
            start += len(entries)
