"""ProxymapService: lookups in approved tables, each in its own time: one that waits for a server holds up no other."""

import socket
from functools import partial
from typing import Final

from posthouse.config.lists import parse_items
from posthouse.config.parameters import PROXY_READ_MAPS
from posthouse.ipc.proxymap import AS_USUAL, DENIED, FOLD, FOUND, NOT_FOUND, RETRY, SERVER, UTF8, Lookup, LookupResult
from posthouse.ipc.stream import Channel
from posthouse.skeleton.daemon import Context, Service
from posthouse.skeleton.rules import REMOTE_TABLES
from posthouse.tables.open import Opener
from posthouse.tables.served import served_tables
from posthouse.tables.table import Table, TableFlags, is_utf8
from posthouse.util import eager, log
from posthouse.util.errors import TableError

# local asks for accounts here whatever main.cf says: daemons that are not root have no other way to know them.
ACCOUNTS: Final = frozenset({"unix:passwd.byname"})


class ProxymapService(Service):
    """See the module's docstring."""

    def __init__(self, context: Context) -> None:
        """Open the approved tables; one that cannot be opened answers "try again"."""
        self._context = context
        settings = context.settings
        remote = parse_items(settings.text(REMOTE_TABLES))
        self._approved = served_tables(settings[PROXY_READ_MAPS]) | ACCOUNTS | frozenset(remote)
        self._opener = Opener(settings)
        self._tables = {(name, AS_USUAL): self._opener.open_or_fail(name) for name in sorted(self._approved)}
        self._channels: set[Channel[Lookup]] = set()

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a client."""
        self._channels.add(Channel(self._context.loop, sock, SERVER, self._on_record, self._on_close))
        self._context.session_started()

    def retire(self) -> None:
        """Let clients go to another process: a request on its way here is sent again there."""
        for channel in list(self._channels):
            channel.flush()
            channel.close()

    def closing(self) -> None:
        """Close the tables."""
        self._opener.close()

    def _on_close(self, channel: Channel[Lookup]) -> None:
        self._channels.discard(channel)
        self._context.session_ended()

    def _on_record(self, channel: Channel[Lookup], record: Lookup) -> None:
        eager.start(self._look_up(record), partial(self._answered, channel))

    def _table(self, name: str, flags: int) -> Table | None:
        """Give an approved table, as a client uses it; None: it is not approved."""
        table = self._tables.get((name, flags))
        if table is None and name in self._approved:
            wanted = TableFlags(fold=bool(flags & FOLD), utf8=bool(flags & UTF8))
            table = self._tables[name, flags] = self._opener.open_or_fail(name, wanted)
        return table

    async def _look_up(self, record: Lookup) -> LookupResult:
        table = self._table(record.table, record.flags & AS_USUAL)
        if table is None:
            log.warning(f'request for unapproved table: "{record.table}"')
            log.warning(f"to approve this table for read-only access, list proxy:{record.table} in proxy_read_maps")
            return LookupResult(record.id, DENIED, "")
        try:
            value = await table.lookup(record.key)
        except TableError as error:
            return LookupResult(record.id, RETRY, str(error))
        if value is None:
            return LookupResult(record.id, NOT_FOUND, "")
        if not is_utf8(value):  # the records between daemons are UTF-8
            return LookupResult(record.id, RETRY, f"{record.table}: the value is not UTF-8")
        return LookupResult(record.id, FOUND, value)

    def _answered(self, channel: Channel[Lookup], outcome: "eager.Outcome[LookupResult]") -> None:
        if channel in self._channels:
            channel.send(outcome.result())
