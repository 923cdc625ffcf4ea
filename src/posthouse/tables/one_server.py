"""OneServerTable: a table that one server answers, which is asked for whole keys: socketmap and tcp."""

from collections.abc import Callable
from typing import ClassVar, Final

from posthouse.tables.file_table import Origin
from posthouse.tables.hosts import Host, Pool, PoolLimits, parse_host
from posthouse.tables.remote import RemoteTable
from posthouse.tables.stream import FOREVER, Parser, Stream, StreamConnector, StreamLimits, T
from posthouse.tables.table import printable
from posthouse.util import log
from posthouse.util.errors import TableError

TIMEOUT_S: Final = 100.0  # for one attempt
GRACE_S: Final = 1.0  # for the pool's message, which says more than the frame's


class OneServerTable(RemoteTable):
    """Its connections. Who can answer at that place decides; so these types are refused where rights are decided."""

    is_fixed: ClassVar[bool] = False

    def __init__(self, origin: Origin, host: Host, idle_s: float, lifetime_s: float = FOREVER) -> None:
        """Seconds: after which a connection that nobody uses is closed, and after which any is."""
        self._pool = Pool(
            origin.full_name,
            (host,),
            StreamConnector(StreamLimits(lifetime_s)),
            PoolLimits(attempt_s=TIMEOUT_S, idle_s=idle_s),
        )
        super().__init__(origin, timeout_s=self._pool.timeout_s + GRACE_S)

    async def _exchange(self, request: bytes, parser: Callable[[], Parser[T]]) -> T:
        """Send a request; a new parser reads the reply of each attempt. Raises TableError."""

        async def once(stream: Stream) -> T:
            return await stream.exchange(request, parser())

        return await self._pool.ask(once)

    def _refusal(self, status: object, text: str) -> TableError:
        """Make the error of a reply that gives no answer, and log it."""
        message = f"the server says {status} {printable(text)}".rstrip()
        log.warning(f"{self.name}: {message}")
        return self.failure(message)

    def close(self) -> None:
        """End lookups and close the connections."""
        super().close()
        self._pool.close()


def find_host(text: str) -> Host:
    """Read where a server is; one without path and port when the text is nothing of the kind."""
    try:
        return parse_host(text, 0)
    except ValueError:
        return Host("")
