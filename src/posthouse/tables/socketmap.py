"""socketmap: a server that is asked "name key" in netstrings, over TCP or a UNIX socket.

socketmap:inet:host:port:name or socketmap:unix:/path:name. The whole key is asked for, once. Whoever can answer at that
place decides, so it is refused where a table decides about rights. Sources: socketmap_table(5), facts/tables.tsv.
"""

from functools import partial
from typing import Final

from posthouse.config.parameters_mail import SOCKETMAP_MAX_QUERY_SIZE, SOCKETMAP_MAX_REPLY_SIZE
from posthouse.config.settings import Settings
from posthouse.protocol.socketmap import FOUND, NOT_FOUND, ReplyReader, format_query, netstring
from posthouse.tables.file_table import Origin
from posthouse.tables.hosts import Host
from posthouse.tables.one_server import OneServerTable, find_host
from posthouse.tables.open import Opener
from posthouse.tables.table import printable
from posthouse.util import log
from posthouse.util.errors import ConfigError

IDLE_S: Final = 10.0  # after which a connection that nobody uses is closed
LIFETIME_S: Final = 100.0  # of a connection that is used


class SocketMap(OneServerTable):
    """One map of one server."""

    def __init__(self, origin: Origin, host: Host, name: str, settings: Settings) -> None:
        super().__init__(origin, host, IDLE_S, LIFETIME_S)
        self._map = name
        self._max_query = settings[SOCKETMAP_MAX_QUERY_SIZE]
        self._max_reply = settings[SOCKETMAP_MAX_REPLY_SIZE]

    async def _ask(self, key: str) -> str | None:
        query = format_query(self._map, key)
        if len(query) > self._max_query:
            log.warning(f"{self.name}: a query of {len(query)} octets for {printable(key[:60])}...: not found")
            return None
        reply = await self._exchange(netstring(query), partial(ReplyReader, self._max_reply))
        if reply.status == FOUND:
            return reply.text
        if reply.status == NOT_FOUND:
            return None
        raise self._refusal(reply.status, reply.text)


def open_table(origin: Origin, opener: Opener) -> SocketMap:
    """Open socketmap:inet:host:port:name. Raises ConfigError."""
    place, _, name = origin.name.rpartition(":")
    host = find_host(place)
    if not place.startswith(("inet:", "unix:")) or not name or not (host.path or host.port):
        raise ConfigError(f'bad socketmap "{origin.name}"; write inet:host:port:name or unix:/path:name')
    return SocketMap(origin, host, name, opener.settings)
