"""pipemap: (the value of one table is the key of the next), unionmap: (all values), debug: (logs every lookup)."""

from collections.abc import Sequence

from posthouse.tables.table import Table, printable
from posthouse.util import log
from posthouse.util.errors import TableError


class Composite(Table):
    """A table made of others. It takes partial keys only when all of them do."""

    def __init__(self, name: str, parts: Sequence[Table]) -> None:
        super().__init__(name)
        self.parts = tuple(parts)

    @property
    def takes_partial_keys(self) -> bool:
        """Whether all parts are fixed-string tables."""
        return all(part.takes_partial_keys for part in self.parts)

    def poll(self) -> None:
        """Look at all parts."""
        for part in self.parts:
            part.poll()
        self.generation = sum(part.generation for part in self.parts)

    def close(self) -> None:
        """Close all parts."""
        for part in self.parts:
            part.close()


class PipeMap(Composite):
    """A miss anywhere is a miss."""

    async def lookup(self, key: str) -> str | None:
        """Follow the key through all tables."""
        for part in self.parts:
            value = await part.lookup(key)
            if value is None:
                return None
            key = value
        return key


class UnionMap(Composite):
    """What any of the tables has, joined by commas."""

    async def lookup(self, key: str) -> str | None:
        """Ask all tables."""
        values = [value for part in self.parts if (value := await part.lookup(key)) is not None]
        return ",".join(values) if values else None


class Debug(Composite):
    """One table, with every lookup in the log."""

    async def lookup(self, key: str) -> str | None:
        """Ask the table and log key and value."""
        (part,) = self.parts
        try:
            value = await part.lookup(key)
        except TableError as error:
            log.info(f'{part.name} lookup: "{printable(key)}" = "error" ({error})')
            raise
        shown = "not_found" if value is None else printable(value)
        log.info(f'{part.name} lookup: "{printable(key)}" = "{shown}"')
        return value
