"""tcp: a server that is asked "get key" in a line. tcp:host:port, or tcp:unix:/path (ours).

The whole key is asked for, once. Whoever can answer at that port decides, so it is refused where a table decides about
rights. Source: tcp_table(5).
"""

from typing import Final

from posthouse.protocol.tcp_table import FOUND, NOT_FOUND, Reply, ReplyReader, format_query
from posthouse.tables.file_table import Origin
from posthouse.tables.hosts import Host, Pool, PoolLimits, parse_host
from posthouse.tables.open import Opener
from posthouse.tables.remote import RemoteTable
from posthouse.tables.stream import Stream, StreamConnector
from posthouse.tables.table import printable
from posthouse.util import log
from posthouse.util.errors import ConfigError

TIMEOUT_S: Final = 100.0  # for one attempt
IDLE_S: Final = 60.0  # after which a connection that nobody uses is closed
GRACE_S: Final = 1.0  # for the pool's message, which says more than the frame's


class TcpTable(RemoteTable):
    """One server."""

    is_fixed = False

    def __init__(self, origin: Origin, host: Host) -> None:
        limits = PoolLimits(attempt_s=TIMEOUT_S, idle_s=IDLE_S)
        self._pool = Pool(origin.full_name, (host,), StreamConnector(), limits)
        super().__init__(origin, timeout_s=self._pool.timeout_s + GRACE_S)

    async def _ask(self, key: str) -> str | None:
        query = format_query(key)
        reply = await self._pool.ask(lambda stream: _exchange(stream, query))
        if reply.code == FOUND:
            return reply.text
        if reply.code == NOT_FOUND:
            return None
        message = f"the server says {reply.code} {printable(reply.text)}".rstrip()
        log.warning(f"{self.name}: {message}")
        raise self.failure(message)

    def close(self) -> None:
        """End lookups and close the connections."""
        super().close()
        self._pool.close()


async def _exchange(stream: Stream, query: bytes) -> Reply:
    return await stream.exchange(query, ReplyReader())


def open_table(origin: Origin, _opener: Opener) -> TcpTable:
    """Open tcp:host:port. Raises ConfigError."""
    try:
        host = parse_host(origin.name, 0)
    except ValueError:
        host = Host("")
    if not (origin.name.startswith("unix:") if host.path else host.port):
        raise ConfigError(f'bad tcp table "{origin.name}"; write host:port, [address]:port or unix:/path')
    return TcpTable(origin, host)
