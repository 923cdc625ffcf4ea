"""Maps: several tables as one; the first that has the key answers."""

from collections.abc import Sequence

from posthouse.tables.table import LocalTable, Table


class Maps:
    """A parameter's list of tables, in order. False when the list is empty."""

    __slots__ = ("_local", "_partial", "_tables", "constant", "tables")

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tuple(tables)
        self.constant = self.tables[0].constant if self.tables else None  # what every key gets; None: it depends
        local = [table.get for table in self.tables if isinstance(table, LocalTable)]
        self._local = local if len(local) == len(self.tables) else []  # all of them, where none has to be waited for
        self._tables = [table.lookup for table in self.tables]
        self._partial = [table.lookup for table in self.tables if table.takes_partial_keys]

    def __bool__(self) -> bool:
        return bool(self._tables)

    @property
    def has_fixed(self) -> bool:
        """Whether any of the tables takes partial keys."""
        return bool(self._partial)

    async def find(self, key: str) -> str | None:
        """Look up a whole key in all tables. An empty key is never looked up. Raises TableError."""
        if not key:
            return None
        if self._local:
            for get in self._local:
                value = get(key)
                if value is not None:
                    return value
            return None
        for lookup in self._tables:
            value = await lookup(key)
            if value is not None:
                return value
        return None

    async def find_partial(self, key: str) -> str | None:
        """Look up part of a key: in fixed-string tables only. Raises TableError."""
        if key:
            for lookup in self._partial:
                value = await lookup(key)
                if value is not None:
                    return value
        return None
