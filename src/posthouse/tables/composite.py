"""pipemap: (the value of one table is the key of the next), unionmap: (all values), debug: (logs all access)."""

import contextlib
from collections.abc import Iterator, Sequence

from posthouse.tables.table import LocalTable, Table, WritableTable, printable
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


class LocalDebug(WritableTable):
    """A table of this process, with everything that is done to it in the log."""

    def __init__(self, name: str, part: LocalTable) -> None:
        super().__init__(name, part.flags)
        self._part = part

    @property
    def takes_partial_keys(self) -> bool:
        """Whether the table does."""
        return self._part.takes_partial_keys

    def get(self, key: str) -> str | None:
        """Give the value of a key, or None. Raises TableError."""
        try:
            value = self._part.get(key)
        except TableError as error:
            _log_lookup(self._part, key, f'"error" ({error})')
            raise
        _log_lookup(self._part, key, _shown(value))
        return value

    def put(self, key: str, value: str) -> None:
        """Store an entry. Raises TableError."""
        with self._logged(f'update: "{printable(key)}" = "{printable(value)}"'):
            self._writable().put(key, value)

    def delete(self, key: str) -> bool:
        """Take an entry out; tells whether it was there. Raises TableError."""
        with self._logged(f'delete: "{printable(key)}"') as done:
            done[0] = self._writable().delete(key)
            return done[0]

    def items(self) -> Iterator[tuple[str, str]]:
        """Give all entries. Raises TableError."""
        for key, value in self._part.items():
            log.info(f'{self._part.name} sequence: "{printable(key)}" = "{printable(value)}"')
            yield key, value
        log.info(f"{self._part.name} sequence: found EOF")

    def poll(self) -> None:
        """Look at the table."""
        self._part.poll()
        self.generation = self._part.generation

    def close(self) -> None:
        """Close the table."""
        self._part.close()

    @contextlib.contextmanager
    def _logged(self, what: str) -> Iterator[list[bool]]:
        """Log what became of something; the list's one member tells."""
        done = [True]
        try:
            yield done
        except TableError as error:
            log.info(f"{self._part.name} {what}: error ({error})")
            raise
        log.info(f"{self._part.name} {what}: {'success' if done[0] else 'failed'}")

    def _writable(self) -> WritableTable:
        if not isinstance(self._part, WritableTable):
            raise TableError(f"{self._part.name} map requires O_RDONLY access mode")
        return self._part

    def _find(self, key: str) -> str | None:
        raise AssertionError("the table itself is asked")

    def _store(self, key: str, value: str) -> None:
        raise AssertionError("the table itself is asked")

    def _remove(self, key: str) -> bool:
        raise AssertionError("the table itself is asked")


class Debug(Composite):
    """A table that has to be waited for, with every lookup in the log."""

    async def lookup(self, key: str) -> str | None:
        """Ask the table and log key and value."""
        (part,) = self.parts
        try:
            value = await part.lookup(key)
        except TableError as error:
            _log_lookup(part, key, f'"error" ({error})')
            raise
        _log_lookup(part, key, _shown(value))
        return value


def debug_table(name: str, part: Table) -> Table:
    """Wrap a table: debug:type:name."""
    return LocalDebug(name, part) if isinstance(part, LocalTable) else Debug(name, [part])


def _log_lookup(part: Table, key: str, shown: str) -> None:
    log.info(f'{part.name} lookup: "{printable(key)}" = {shown}')


def _shown(value: str | None) -> str:
    return f'"{"not_found" if value is None else printable(value)}"'
