"""Lookup tables for applications: opened by their name in main.cf, asked and changed without an event loop."""

import os
from collections.abc import Iterator, Mapping
from typing import Final

from posthouse.api.calls import answer, opener, reported
from posthouse.config.lists import parse_items
from posthouse.config.settings import Settings
from posthouse.tables import open as types
from posthouse.tables import served
from posthouse.tables.file_table import Origin
from posthouse.tables.index_writer import write_index
from posthouse.tables.maps import Maps as MapList
from posthouse.tables.memory import Internal
from posthouse.tables.open import open_maps as open_list
from posthouse.tables.rules import lines_in_braces
from posthouse.tables.table import LocalTable, TableFlags, WritableTable
from posthouse.tables.table import Table as AnyTable
from posthouse.util.errors import TableError

__all__ = ["Maps", "Table", "inline_rules", "open_maps", "open_table", "served_tables"]

_FLAGS: Final = ("fold", "utf8", "value_is_file")
_IN_MEMORY: Final = frozenset({"fail", "internal"})


class Table:
    """An open table."""

    def __init__(self, table: AnyTable, flags: TableFlags) -> None:
        self._table = table
        in_effect = {"fold": flags.fold and table.is_fixed, "utf8": flags.utf8, "value_is_file": flags.value_is_file}
        self.flags = frozenset(name for name in _FLAGS if in_effect[name])

    def get(self, key: str) -> str | None:
        """Give the value of a key, or None. Raises TemporaryError."""
        return answer(self._table.lookup(key))

    def put(self, key: str, value: str) -> None:
        """Store an entry; what is not UTF-8 where it must be is logged and not stored. Raises TemporaryError."""
        with reported():
            self._writable().put(key, value)

    def delete(self, key: str) -> bool:
        """Take an entry out; tells whether it was there. Raises TemporaryError."""
        with reported():
            return self._writable().delete(key)

    def items(self) -> Iterator[tuple[str, str]]:
        """Give all entries. Raises TemporaryError."""
        table = self._table
        if not isinstance(table, LocalTable):
            raise TableError(f"{table.name}: sequence operation is not supported")
        entries = table.items()
        while True:
            with reported():
                try:
                    entry = next(entries)
                except StopIteration:
                    return
            yield entry

    def close(self) -> None:
        """Write what is pending, and let go of files and memory."""
        with reported():
            self._table.close()

    def _writable(self) -> WritableTable:
        if not isinstance(self._table, WritableTable):
            raise TableError(f"{self._table.name} map requires O_RDONLY access mode")
        return self._table


class _NewIndex(Internal):
    """An indexed table that is being made: its file is written when it is closed."""

    def __init__(self, origin: Origin) -> None:
        super().__init__(origin)
        self._origin = origin

    def close(self) -> None:
        """Write the file. Raises TableError."""
        try:
            write_index(self._origin, dict(self.items()))
        except OSError as error:
            raise TableError(f"{self.name}: {error.strerror}") from None


class Maps:
    """A list of tables; the first that has a key answers."""

    def __init__(self, maps: MapList) -> None:
        self.maps = maps

    def get(self, key: str) -> str | None:
        """Give the first hit, or None; an empty key is never looked up. Raises TemporaryError."""
        return answer(self.maps.find(key))


def open_table(
    spec: str, mode: str = "read", flags: frozenset[str] = frozenset(), base_dir: str | None = None
) -> Table:
    """Open a table. mode: read, write (an existing one, or one in memory) or create. Raises ValueError."""
    wanted = TableFlags(*(name in flags for name in _FLAGS))
    with reported():
        kind, name = types.split_spec(spec)
        if mode == "create" and kind in types.WRITABLE:
            return Table(_NewIndex(Origin(kind, name, wanted, base_dir or os.curdir)), wanted)
        if mode != "read" and kind in types.TYPES and not _is_writable(kind, name):
            raise ValueError(f"{spec} map requires O_RDONLY access mode")
        return Table(opener(base_dir).open(spec, wanted), wanted)


def _is_writable(kind: str, name: str) -> bool:
    while kind == "debug":
        kind, name = types.split_spec(name)
    return kind in _IN_MEMORY or (kind in types.WRITABLE and kind != "cdb")


def open_maps(spec: str, fold: bool = True, base_dir: str | None = None) -> Maps:
    """Open a list of tables, separated by commas or blanks. One that cannot be opened fails each lookup."""
    with reported():
        return Maps(open_list(parse_items(spec), opener(base_dir), TableFlags(fold=fold)))


def inline_rules(text: str) -> str:
    """Give the lines of {{rule}, {rule} ...}, each ended by a newline. Raises ValueError: wrong syntax."""
    return lines_in_braces(text)


def served_tables(settings: Mapping[str, str], write: bool = False, proxied_only: bool = True) -> list[str]:
    """Name the tables that proxymap(8), or proxywrite, gives access to with these settings, without "proxy:"."""
    name = "proxy_write_maps" if write else "proxy_read_maps"
    with reported():
        items = parse_items(Settings.from_mapping(settings).text(name))
        tables = sorted(served.served_tables(items, proxied_only=proxied_only))
    return [table for table in tables if proxied_only or not _is_in_its_name(table)]


def _is_in_its_name(table: str) -> bool:
    """Tell whether all of a table stands in main.cf, so that nothing is won by asking another process."""
    kind, _, name = table.partition(":")
    return kind in ("static", "inline") or name.startswith("{")
