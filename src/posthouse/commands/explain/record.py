"""Recorder: keeps what the daemons' code asks of tables and what it writes into the log while it is watched.

Tables are watched from outside: RecordingOpener gives each of them wrapped, so the code that asks does not know. What
was kept is taken by whoever makes the next step of the explanation, so each lookup stands with the step that did it.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from posthouse.commands.explain.model import Lookup
from posthouse.commands.explain.source import Sources
from posthouse.config.parameters import PROXY_READ_MAPS
from posthouse.config.settings import Settings
from posthouse.tables.fail import Fail
from posthouse.tables.open import Opener
from posthouse.tables.served import PREFIX, served_tables
from posthouse.tables.table import DEFAULT_FLAGS, Table, TableFlags
from posthouse.util.errors import TableError
from posthouse.util.log import LOG

MAX_LOOKUPS: Final = 1000  # kept for one step; a runaway expansion need not fill the memory


class Recorder:
    """One for a whole explanation. It is also the log's sink meanwhile."""

    def __init__(self) -> None:
        self._lookups: list[Lookup] = []
        self._log: list[str] = []
        self._is_muted = False

    def add(self, lookup: Lookup) -> None:
        """Keep one lookup."""
        if len(self._lookups) < MAX_LOOKUPS:
            self._lookups.append(lookup)

    def write(self, lines: list[tuple[int, bytes]]) -> int:
        """Keep log lines (Sink of util/log.py), without program and process number."""
        if not self._is_muted:
            self._log += [line.partition(b"]: ")[2].decode("utf-8", "replace") for _, line in lines]
        return len(lines)

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Forget what is logged meanwhile."""
        LOG.flush()
        self._is_muted = True
        try:
            yield
        finally:
            LOG.flush()
            self._is_muted = False

    @property
    def has_lookups(self) -> bool:
        """Whether there is any to be taken."""
        return bool(self._lookups)

    def take_lookups(self) -> list[Lookup]:
        """Give what was asked since the last call."""
        lookups, self._lookups = self._lookups, []
        return lookups

    def take_log(self) -> list[str]:
        """Give what was logged since the last call."""
        LOG.flush()
        lines, self._log = self._log, []
        return lines


class RecordingTable(Table):
    """A table that tells what it was asked."""

    def __init__(self, table: Table, flags: TableFlags, recorder: Recorder, sources: Sources) -> None:
        super().__init__(table.name)
        self._table = table
        self._flags = flags
        self._recorder = recorder
        self._sources = sources

    @property
    def constant(self) -> str | None:
        """As the table."""
        return self._table.constant

    @property
    def takes_partial_keys(self) -> bool:
        """As the table."""
        return self._table.takes_partial_keys

    def poll(self) -> None:
        """As the table."""
        self._table.poll()
        self.generation = self._table.generation

    async def lookup(self, key: str) -> str | None:
        """Ask the table, and tell."""
        lookup = Lookup(self.name, key)
        self._recorder.add(lookup)
        try:
            lookup.value = await self._table.lookup(key)
        except TableError as error:
            lookup.error = str(error)
            if os.geteuid() != 0 and os.strerror(errno.EACCES) in lookup.error:
                lookup.note = "this user may not read it; the daemons perhaps may"
            raise
        if lookup.value is not None:
            self._sources.locate(lookup, self._flags)
        return lookup.value


class RecordingOpener(Opener):
    """Opens tables as the daemons do, and gives them wrapped. "proxy:" tables are opened here."""

    def __init__(self, settings: Settings, recorder: Recorder, *, proxied: Settings | None = None) -> None:
        """proxied: proxymap's settings; without them every table is taken for one that it serves."""
        super().__init__(settings)
        self._approved = None if proxied is None else served_tables(proxied[PROXY_READ_MAPS])
        self._recorder = recorder
        self._sources = Sources(settings, recorder.muted)
        self._wrapped: dict[int, RecordingTable] = {}

    def open(self, spec: str, flags: TableFlags = DEFAULT_FLAGS) -> Table:
        """Open a table. Raises ConfigError."""
        table = self._refused(spec, flags) or super().open(spec, flags)
        if isinstance(table, RecordingTable):  # behind "proxy:"
            return table
        wrapped = self._wrapped.get(id(table))
        if wrapped is None:
            wrapped = self._wrapped[id(table)] = RecordingTable(table, flags, self._recorder, self._sources)
        return wrapped

    def _refused(self, spec: str, flags: TableFlags) -> Table | None:
        """Give what stands for a table that proxymap(8) would not give access to; None: it is none."""
        name = spec.removeprefix(PREFIX)
        if self._approved is None or name == spec or not flags.proxy or name in self._approved:
            return None
        return Fail(spec, f"{spec}: proxymap service is not configured for this table; see proxy_read_maps", flags)

    def open_or_fail(self, spec: str, flags: TableFlags = DEFAULT_FLAGS) -> Table:
        """Open a table; one that cannot be opened fails its lookups, and tells."""
        table = super().open_or_fail(spec, flags)
        if isinstance(table, RecordingTable):
            return table
        return RecordingTable(table, flags, self._recorder, self._sources)
