"""proxy: tables: lookups that proxymap(8) does for a daemon that cannot open the table itself."""

import asyncio
from typing import Final

from posthouse.ipc import proxymap
from posthouse.ipc.stream import Client
from posthouse.tables.table import Table, TableFlags, fold_key, is_utf8, printable
from posthouse.util import log
from posthouse.util.errors import TableError, TemporaryError

CACHE_SIZE: Final = 1000  # answers kept
CACHE_S: Final = 1.0  # seconds for which an answer is kept: a burst of mail to one recipient asks once


class ProxyClient:
    """The connection to proxymap(8), with a small cache of answers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: str, *, timeout_s: float = 3600.0) -> None:
        self._client: Client[proxymap.LookupResult] = Client(loop, path, proxymap.CLIENT, timeout_s=timeout_s)
        self._now = loop.time
        self._cache: dict[tuple[str, str, int], tuple[float, str | None]] = {}

    async def lookup(self, table: str, key: str, flags: int = proxymap.AS_USUAL) -> str | None:
        """Ask for a key. Raises TableError."""
        cached = self._cache.get((table, key, flags))
        now = self._now()
        if cached is not None and cached[0] > now:
            return cached[1]
        client = self._client
        try:
            reply = await client.request(proxymap.Lookup(client.next_id(), table, key, flags))
        except TableError:
            raise
        except TemporaryError as error:
            raise TableError(str(error)) from None
        if reply.status == proxymap.DENIED:
            raise TableError(f"proxy:{table}: proxymap service is not configured for this table; see proxy_read_maps")
        if reply.status == proxymap.RETRY:
            raise TableError(f"proxy:{table}: {reply.value or 'table lookup problem'}")
        value = reply.value if reply.status == proxymap.FOUND else None
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[table, key, flags] = (now + CACHE_S, value)
        return value

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class ProxyTable(Table):
    """One table behind proxymap(8). UTF-8 is checked here, before anything is sent; keys are folded on both sides."""

    def __init__(self, name: str, client: ProxyClient, flags: TableFlags, *, takes_partial_keys: bool) -> None:
        super().__init__(name)
        self._table = name.removeprefix("proxy:")
        self._client = client
        self._flags = flags
        self._wire_flags = (proxymap.FOLD if flags.fold else 0) | (proxymap.UTF8 if flags.utf8 else 0)
        self._partial = takes_partial_keys

    @property
    def takes_partial_keys(self) -> bool:
        """Whether the table behind it is a fixed-string table."""
        return self._partial

    async def lookup(self, key: str) -> str | None:
        """Ask proxymap(8)."""
        if not is_utf8(key):  # the records between daemons are UTF-8
            log.warning(f'{self.name}: non-UTF-8 key "{printable(key)}": malformed UTF-8 or invalid codepoint')
            return None
        if self._partial and self._flags.fold:
            key = fold_key(key, utf8=self._flags.utf8)
        return await self._client.lookup(self._table, key, self._wire_flags)
