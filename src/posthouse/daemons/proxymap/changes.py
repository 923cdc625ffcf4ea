"""Changes: what proxywrite does beside lookups: store, take out, give all entries. For caches that processes share."""

import os
from collections.abc import Iterable
from typing import Final

from posthouse.ipc.proxymap import FOUND, NOT_FOUND, Delete, Entries, LookupResult, Sequence, ToProxymap, Update
from posthouse.ipc.stream import Channel
from posthouse.tables import lmdb
from posthouse.tables.open import Opener, split_spec
from posthouse.tables.remote import RemoteTable, WritableRemoteTable
from posthouse.tables.table import LocalTable, Table, WritableTable, is_utf8
from posthouse.util import log
from posthouse.util.errors import ConfigError, TableError

ENTRIES_AT_ONCE: Final = 200
FILES: Final = frozenset({"btree", "hash", "lmdb"})  # kept in NAME.lmdb, which is made when it is missing
_MODE: Final = 0o600
_Lister = tuple[Channel[ToProxymap], str]


class Changes:
    """Answers requests that are no lookups."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._lists: dict[_Lister, list[tuple[str, str]]] = {}  # being given to a client

    def make_missing(self, names: Iterable[str]) -> None:
        """Make the files of caches that are not there yet."""
        for name in names:
            try:
                kind, path = split_spec(name)
            except ConfigError:
                continue  # opening it will say what is wrong
            if kind in FILES and not any(os.path.exists(path + suffix) for suffix in (".lmdb", ".db")):
                try:
                    lmdb.write_all(path + lmdb.SUFFIX, {}, mode=_MODE)
                except (OSError, TableError) as error:
                    log.warning(f"{name}: cannot make it: {error}")

    async def answer(self, table: Table, client: Channel[ToProxymap], record: ToProxymap) -> LookupResult | Entries:
        """Do what a record asks for. Raises TableError."""
        if isinstance(record, Sequence):
            return self._entries(table, client, record)
        if isinstance(record, Update):
            await _put(table, record)
            return LookupResult(record.id, FOUND, "")
        assert isinstance(record, Delete)
        return LookupResult(record.id, FOUND if await _delete(table, record.key) else NOT_FOUND, "")

    def forget(self, client: Channel[ToProxymap]) -> None:
        """Drop what a client that is gone was being given."""
        for key in [key for key in self._lists if key[0] is client]:
            del self._lists[key]

    def _entries(self, table: Table, client: Channel[ToProxymap], record: Sequence) -> Entries:
        key = client, record.table
        if record.start <= 0 or key not in self._lists:
            if not isinstance(table, (LocalTable, RemoteTable)):
                raise TableError(f"{table.name}: sequence operation is not supported")
            self._lists[key] = [entry for entry in table.items() if is_utf8(entry[0]) and is_utf8(entry[1])]
        start = max(record.start, 0)
        found = self._lists[key][start : start + ENTRIES_AT_ONCE]
        if not found:
            del self._lists[key]
        return Entries(record.id, FOUND, "", found)


async def _put(table: Table, record: Update) -> None:
    if isinstance(table, WritableTable):
        table.put(record.key, record.value)
    elif isinstance(table, WritableRemoteTable):
        await table.put(record.key, record.value)
    else:
        raise TableError(f"{table.name}: update operation is not supported")


async def _delete(table: Table, key: str) -> bool:
    if isinstance(table, WritableTable):
        return table.delete(key)
    if isinstance(table, WritableRemoteTable):
        return await table.delete(key)
    raise TableError(f"{table.name}: delete operation is not supported")
