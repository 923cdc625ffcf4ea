"""ProxymapService: lookups in approved tables, each in its own time: one that waits for a server holds up no other."""

import socket
from functools import partial
from typing import Final

from posthouse.config.lists import parse_items
from posthouse.config.parameters import PROXY_READ_MAPS
from posthouse.config.settings import Settings
from posthouse.daemons.proxymap.changes import Changes
from posthouse.daemons.proxymap.parameters import PROXY_WRITE_MAPS, PROXYWRITE_SERVICE_NAME
from posthouse.ipc.proxymap import (
    AS_USUAL,
    DENIED,
    FOLD,
    FOUND,
    MAX_VALUE,
    MAX_WHY,
    NOT_FOUND,
    RETRY,
    SENSITIVE,
    SERVER,
    UTF8,
    Entries,
    FromProxymap,
    Lookup,
    LookupResult,
    Sequence,
    ToProxymap,
)
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
    """See the module's docstring. As the service proxywrite it also changes tables, and serves no others."""

    def __init__(self, context: Context) -> None:
        """Open the approved tables; one that cannot be opened answers "try again"."""
        self._context = context
        settings = context.settings
        self._writes = settings.service_name == settings[PROXYWRITE_SERVICE_NAME]
        self._approved = _may_change(settings) if self._writes else _may_read(settings)
        self._opener = Opener(settings)
        self._changes = Changes(self._opener)
        if self._writes:
            self._changes.make_missing(self._approved)
        self._tables = {(name, AS_USUAL): self._opener.open_or_fail(name) for name in sorted(self._approved)}
        self._channels: set[Channel[ToProxymap]] = set()

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

    def _on_close(self, channel: Channel[ToProxymap]) -> None:
        self._channels.discard(channel)
        self._changes.forget(channel)
        self._context.session_ended()

    def _on_record(self, channel: Channel[ToProxymap], record: ToProxymap) -> None:
        eager.start(self._answer(channel, record), partial(self._answered, channel))

    async def _answer(self, channel: Channel[ToProxymap], record: ToProxymap) -> FromProxymap:
        table = self._table(record.table, record.flags & AS_USUAL)
        if table is None or not (self._writes or isinstance(record, Lookup)):
            self._deny(record)
            return _failed(record, DENIED, "")
        if record.flags & SENSITIVE and not table.authenticated:
            why = f"{record.table} map is not allowed for security-sensitive data: its server is not verified"
            log.warning(why)
            return _failed(record, RETRY, why)
        try:
            if isinstance(record, Lookup):
                return await _look_up(table, record)
            return await self._changes.answer(table, channel, record)
        except TableError as error:
            return _failed(record, RETRY, str(error))

    def _table(self, name: str, flags: int) -> Table | None:
        """Give an approved table, as a client uses it; None: it is not approved."""
        table = self._tables.get((name, flags))
        if table is None and name in self._approved:
            wanted = TableFlags(fold=bool(flags & FOLD), utf8=bool(flags & UTF8))
            table = self._tables[name, flags] = self._opener.open_or_fail(name, wanted)
        return table

    def _deny(self, record: ToProxymap) -> None:
        how = "read-only" if isinstance(record, Lookup) and not self._writes else "read-write"
        where = "proxy_read_maps" if how == "read-only" else "proxy_write_maps"
        log.warning(f'request for unapproved table: "{record.table}"')
        log.warning(f"to approve this table for {how} access, list proxy:{record.table} in {where}")

    def _answered(self, channel: Channel[ToProxymap], outcome: "eager.Outcome[FromProxymap]") -> None:
        answer = outcome.result()
        if channel in self._channels:
            channel.send(answer)


def _may_read(settings: Settings) -> frozenset[str]:
    remote = parse_items(settings.text(REMOTE_TABLES))  # what other services name without "proxy:"
    return served_tables(settings[PROXY_READ_MAPS]) | ACCOUNTS | frozenset(remote)


def _may_change(settings: Settings) -> frozenset[str]:
    return served_tables(settings[PROXY_WRITE_MAPS])


async def _look_up(table: Table, record: Lookup) -> LookupResult:
    value = await table.lookup(record.key)
    if value is None:
        return LookupResult(record.id, NOT_FOUND, "")
    if not is_utf8(value):  # the records between daemons are UTF-8
        raise TableError(f"{record.table}: the value is not UTF-8")
    if len(value) > MAX_VALUE:
        why = f"{record.table}: a value of {len(value)} characters; the limit is {MAX_VALUE}"
        log.warning(why)
        raise TableError(why)
    return LookupResult(record.id, FOUND, value)


def _failed(record: ToProxymap, status: int, why: str) -> FromProxymap:
    why = why[:MAX_WHY]  # it may quote a value
    if isinstance(record, Sequence):
        return Entries(record.id, status, why, [])
    return LookupResult(record.id, status, why)
