"""Maps: several tables as one; the first that has the key answers.

A table that cannot be asked ends the search: what stands in the tables behind it must not answer in its place.
"""

from collections.abc import Sequence

from posthouse.tables.table import LocalTable, Table, printable
from posthouse.util import log
from posthouse.util.errors import TableError


class Maps:
    """A parameter's list of tables, in order. False when the list is empty."""

    __slots__ = ("_local", "_partial", "constant", "tables")

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tuple(tables)
        self.constant = self.tables[0].constant if self.tables else None  # what every key gets; None: it depends
        local = [table for table in self.tables if isinstance(table, LocalTable)]
        self._local = local if len(local) == len(self.tables) else []  # all of them, where none has to be waited for
        self._partial = [table for table in self.tables if table.takes_partial_keys]

    def __bool__(self) -> bool:
        return bool(self.tables)

    @property
    def has_fixed(self) -> bool:
        """Whether any of the tables takes partial keys."""
        return bool(self._partial)

    async def find(self, key: str) -> str | None:
        """Look up a whole key in all tables. An empty key is never looked up. Raises TableError."""
        if not key:
            return None
        if not self._local:
            return await _first(self.tables, key)
        for table in self._local:
            try:
                value = table.get(key)
            except TableError:
                _report(table, key)
                raise
            if value is not None:
                return value
        return None

    async def find_partial(self, key: str) -> str | None:
        """Look up part of a key: in fixed-string tables only. Raises TableError."""
        return await _first(self._partial, key) if key else None


async def _first(tables: Sequence[Table], key: str) -> str | None:
    for table in tables:
        try:
            value = await table.lookup(key)
        except TableError:
            _report(table, key)
            raise
        if value is not None:
            return value
    return None


def _report(table: Table, key: str) -> None:
    """Log which of the tables it was, and for whom mail has to wait now."""
    log.warning(f'{table.name} lookup error for "{printable(key)}"')
