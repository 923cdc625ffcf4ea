"""socketmap: a server that is asked "name key" in netstrings, over TCP or a UNIX socket.

socketmap:inet:host:port:name or socketmap:unix:/path:name. The whole key is asked for, once. Whoever can answer at that
place decides, so it is refused where a table decides about rights. Sources: socketmap_table(5), facts/tables.tsv.
"""

from typing import Final

from posthouse.config.parameters_mail import SOCKETMAP_MAX_QUERY_SIZE, SOCKETMAP_MAX_REPLY_SIZE
from posthouse.config.settings import Settings
from posthouse.protocol.socketmap import FOUND, NOT_FOUND, Reply, ReplyReader, format_query, netstring
from posthouse.tables.file_table import Origin
from posthouse.tables.hosts import Host, Pool, PoolLimits, parse_host
from posthouse.tables.open import Opener
from posthouse.tables.remote import RemoteTable
from posthouse.tables.stream import Stream, StreamConnector, StreamLimits
from posthouse.tables.table import printable
from posthouse.util import log
from posthouse.util.errors import ConfigError

TIMEOUT_S: Final = 100.0  # for one attempt
IDLE_S: Final = 10.0  # after which a connection that nobody uses is closed
LIFETIME_S: Final = 100.0  # of a connection that is used
GRACE_S: Final = 1.0  # for the pool's message, which says more than the frame's


class SocketMap(RemoteTable):
    """One map of one server."""

    is_fixed = False

    def __init__(self, origin: Origin, host: Host, name: str, settings: Settings) -> None:
        limits = PoolLimits(attempt_s=TIMEOUT_S, idle_s=IDLE_S)
        connector = StreamConnector(StreamLimits(lifetime_s=LIFETIME_S))
        self._pool = Pool(origin.full_name, (host,), connector, limits)
        super().__init__(origin, timeout_s=self._pool.timeout_s + GRACE_S)
        self._map = name
        self._max_query = settings[SOCKETMAP_MAX_QUERY_SIZE]
        self._max_reply = settings[SOCKETMAP_MAX_REPLY_SIZE]

    async def _ask(self, key: str) -> str | None:
        query = format_query(self._map, key)
        if len(query) > self._max_query:
            log.warning(f"{self.name}: a query of {len(query)} octets for {printable(key[:60])}...: not found")
            return None
        reply = await self._pool.ask(lambda stream: self._exchange(stream, netstring(query)))
        if reply.status == FOUND:
            return reply.text
        if reply.status == NOT_FOUND:
            return None
        message = f"the server says {reply.status} {printable(reply.text)}".rstrip()
        log.warning(f"{self.name}: {message}")
        raise self.failure(message)

    async def _exchange(self, stream: Stream, query: bytes) -> Reply:
        return await stream.exchange(query, ReplyReader(self._max_reply))

    def close(self) -> None:
        """End lookups and close the connections."""
        super().close()
        self._pool.close()


def open_table(origin: Origin, opener: Opener) -> SocketMap:
    """Open socketmap:inet:host:port:name. Raises ConfigError."""
    place, _, name = origin.name.rpartition(":")
    try:
        host = parse_host(place, 0)
    except ValueError:
        host = Host("")
    if not place.startswith(("inet:", "unix:")) or not name or not (host.path or host.port):
        raise ConfigError(f'bad socketmap "{origin.name}"; write inet:host:port:name or unix:/path:name')
    return SocketMap(origin, host, name, opener.settings)
