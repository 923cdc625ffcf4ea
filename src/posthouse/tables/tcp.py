"""tcp: a server that is asked "get key" in a line. tcp:host:port, or tcp:unix:/path (ours).

The whole key is asked for, once. Whoever can answer at that port decides, so it is refused where a table decides about
rights. Source: tcp_table(5).
"""

from typing import Final

from posthouse.protocol.tcp_table import FOUND, NOT_FOUND, ReplyReader, format_query
from posthouse.tables.file_table import Origin
from posthouse.tables.one_server import OneServerTable, find_host
from posthouse.tables.open import Opener
from posthouse.util.errors import ConfigError

IDLE_S: Final = 60.0  # after which a connection that nobody uses is closed


class TcpTable(OneServerTable):
    """One server."""

    async def _ask(self, key: str) -> str | None:
        reply = await self._exchange(format_query(key), ReplyReader)
        if reply.code == FOUND:
            return reply.text
        if reply.code == NOT_FOUND:
            return None
        raise self._refusal(reply.code, reply.text)


def open_table(origin: Origin, _opener: Opener) -> TcpTable:
    """Open tcp:host:port. Raises ConfigError."""
    host = find_host(origin.name)
    if not (origin.name.startswith("unix:") if host.path else host.port):
        raise ConfigError(f'bad tcp table "{origin.name}"; write host:port, [address]:port or unix:/path')
    return TcpTable(origin, host, IDLE_S)
