"""Pool: connections to the servers of one table, and which server is asked.

Servers on this machine (UNIX sockets) come first, the others in random order. One that fails is left alone for
`retry_interval_s`, unless it is the only one. A connection that the server has closed meanwhile is replaced at once and
without a word; each attempt, connecting included, is limited in time, so that a server that hangs costs one attempt and
the next one answers. Connections that nobody has used for `idle_interval_s` are closed.
Sources: mysql_table(5), pgsql_table(5), facts/tables.tsv "mysql".
"""

import asyncio
import secrets
from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, TypeVar

from posthouse.util import log
from posthouse.util.errors import TableError

C = TypeVar("C")
R = TypeVar("R")
T = TypeVar("T")
ATTEMPT_S: Final = 10.0  # seconds for one attempt at one server
RETRY_S: Final = 60.0  # seconds for which a server that failed is left alone
IDLE_S: Final = 60.0  # seconds after which a connection that nobody uses is closed
CONNECTIONS: Final = 4  # to one server at most
LOG_EVERY_S: Final = 0.5  # seconds between two lines about one server
# A name that can be no host's (it has "..", or a label of 64 characters), and an answer nested too deep to be read.
IMPOSSIBLE: Final = (UnicodeError, RecursionError)


class ServerError(Exception):
    """A server cannot be reached, or broke off. The next one is asked."""


class _LeftAloneError(ServerError):
    """The server has failed for another lookup while this one waited for a connection to it."""


class Host(NamedTuple):
    """Where a server listens. Either path is set, or name."""

    text: str  # for messages: no password in it
    path: str = ""  # of a UNIX socket
    name: str = ""  # or address
    port: int = 0
    source: str = ""  # as configured, where the library reads that itself (a URI)


def parse_host(text: str, default_port: int) -> Host:
    """Read unix:/path, inet:host:port, host:port, [address]:port or host. Raises ValueError."""
    if text.startswith("unix:"):
        return Host(text, path=text.removeprefix("unix:"))
    if text.startswith("/"):
        return Host(text, path=text)
    rest = text.removeprefix("inet:")
    if rest.startswith("["):
        name, bracket, port = rest[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError(f'"{text}" is no server; write unix:/path, host, host:port or [address]:port')
        port = port.removeprefix(":")
    else:
        name, _, port = rest.partition(":")
    if not name or (port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
        raise ValueError(f'"{text}" is no server; write unix:/path, host, host:port or [address]:port')
    return Host(text, name=name, port=int(port) if port else default_port)


class Connector(Generic[C]):
    """How connections to one kind of server are made. Each type of table has one."""

    @abstractmethod
    async def connect(self, host: Host) -> C:
        """Make a connection. Raises ServerError, OSError."""

    @abstractmethod
    def drop(self, connection: C) -> None:
        """Close a connection at once, without waiting for anything."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Times in seconds; connections to one server. in_order: servers are tried as they are written."""

    attempt_s: float = ATTEMPT_S
    retry_s: float = RETRY_S
    idle_s: float = IDLE_S
    connections: int = CONNECTIONS
    in_order: bool = False


@dataclass(slots=True)
class _Server(Generic[C]):
    """One server: its connections that wait for work (the last used at the end), and how many there are in all."""

    host: Host
    idle: deque[tuple[C, float]] = field(default_factory=deque)
    used: int = 0
    wanted: "deque[asyncio.Future[None]]" = field(default_factory=deque)
    down_until: float = 0.0
    told_at: float = 0.0  # when the log was last told that it fails
    untold: int = 0  # how often it has failed since then


class Pool(Generic[C]):
    """See the module's docstring. Everything runs in tasks of one event loop."""

    def __init__(self, name: str, hosts: Sequence[Host], connector: Connector[C], limits: PoolLimits) -> None:
        """name: the table's, for messages. hosts: at least one."""
        self._name = name
        self._servers = [_Server[C](host) for host in hosts]
        self._connector = connector
        self._limits = limits
        self._abandoned: set[asyncio.Future[Any]] = set()  # attempts whose time was over, until they end
        self._timer: asyncio.TimerHandle | None = None

    @property
    def timeout_s(self) -> float:
        """How long a lookup may take when each server is tried, twice where a connection has gone stale."""
        return self._limits.attempt_s * (len(self._servers) + 1)

    async def ask(self, query: Callable[[C], Awaitable[R]]) -> R:
        """Run a query at the first server that answers. Raises TableError: none does.

        query raises ServerError or OSError when the connection is of no use any more, TableError when the server
        answered, with an error.
        """
        why = ""
        for server in self._order():
            try:
                return await self._ask_server(server, query)
            except _LeftAloneError:
                continue
            except (ServerError, OSError, *IMPOSSIBLE) as error:
                why = self._failed(server, error)
        raise TableError(f"{self._name}: {why or 'all servers have failed lately and are left alone for a while'}")

    def close(self) -> None:
        """Close the connections that nobody uses now; the others go when they are given back."""
        self._limits = PoolLimits(idle_s=0)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for server in self._servers:
            while server.idle:
                self._connector.drop(server.idle.pop()[0])

    def _order(self) -> list[_Server[C]]:
        """Give the servers that may be asked, in the order to try them."""
        if len(self._servers) == 1:
            return self._servers
        now = asyncio.get_running_loop().time()
        usable = [server for server in self._servers if server.down_until <= now]
        if self._limits.in_order:
            return usable
        secrets.SystemRandom().shuffle(usable)
        return sorted(usable, key=lambda server: not server.host.path)

    def _failed(self, server: _Server[C], error: Exception) -> str:
        why = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        why = f"server {server.host.text}: {why}"
        now = asyncio.get_running_loop().time()
        server.down_until = now + self._limits.retry_s
        if server.told_at and now < server.told_at + LOG_EVERY_S:  # thousands of lookups can fail in a second
            server.untold += 1
            return why
        more = f" (and {server.untold} times more)" if server.untold else ""
        log.warning(f"{self._name}: {why}{more}")
        server.told_at, server.untold = now, 0
        return why

    async def _ask_server(self, server: _Server[C], query: Callable[[C], Awaitable[R]]) -> R:
        """Ask with a connection that is there, and once more with a new one when the old one is broken."""
        await self._take_place(server)
        try:
            if len(self._servers) > 1 and server.down_until > asyncio.get_running_loop().time():
                raise _LeftAloneError
            if server.idle:
                connection, _ = server.idle.pop()
                try:
                    return await self._use(server, connection, query)
                except TimeoutError:
                    raise
                except (ServerError, OSError):
                    self._drop_idle(server)  # they are as old, and as broken
            connection = await self._connect(server)
            return await self._use(server, connection, query)
        finally:
            self._give_place(server)

    async def _use(self, server: _Server[C], connection: C, query: Callable[[C], Awaitable[R]]) -> R:
        """Run a query; afterwards the connection waits for the next one, unless it is broken or still busy."""
        task = asyncio.ensure_future(query(connection))
        whole = False
        try:
            result = await self._limited(task)
            whole = True
            return result
        except TableError:  # the server has answered
            whole = True
            raise
        finally:
            if whole and self._limits.idle_s:
                server.idle.append((connection, asyncio.get_running_loop().time()))
                self._watch_idle()
            else:
                task.add_done_callback(lambda _: self._connector.drop(connection))

    async def _connect(self, server: _Server[C]) -> C:
        task = asyncio.ensure_future(self._connector.connect(server.host))
        connected = False
        try:
            connection = await self._limited(task)
            connected = True
            return connection
        finally:
            if not connected:
                task.add_done_callback(self._drop_late)

    async def _limited(self, task: "asyncio.Future[T]") -> T:
        """Wait for a task as long as an attempt may take. Raises TimeoutError; the task is then cancelled.

        It may take a while to end (psycopg tells the server): it is kept until then, and nobody waits for it.
        """
        try:
            await asyncio.wait({task}, timeout=self._limits.attempt_s)
            if task.done():
                return task.result()
        finally:
            if not task.done():
                self._abandoned.add(task)
                task.add_done_callback(self._forget)
                task.cancel()
        raise TimeoutError

    def _forget(self, task: "asyncio.Future[Any]") -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # it has been seen

    def _drop_late(self, task: "asyncio.Future[C]") -> None:
        """Close a connection that was made when nobody waited for it any more."""
        if not task.cancelled() and task.exception() is None:
            self._connector.drop(task.result())

    async def _take_place(self, server: _Server[C]) -> None:
        """Wait until a connection to this server may be used."""
        if server.used < self._limits.connections:
            server.used += 1
            return
        place = asyncio.get_running_loop().create_future()
        server.wanted.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # it was just given to us
                self._give_place(server)
            raise

    def _give_place(self, server: _Server[C]) -> None:
        while server.wanted:
            place = server.wanted.popleft()
            if not place.done():
                place.set_result(None)
                return
        server.used -= 1

    def _drop_idle(self, server: _Server[C]) -> None:
        while server.idle:
            self._connector.drop(server.idle.pop()[0])

    def _watch_idle(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._limits.idle_s, self._close_idle)

    def _close_idle(self) -> None:
        """Close what was not used for a while, and look again later while there are connections."""
        self._timer = None
        before = asyncio.get_running_loop().time() - self._limits.idle_s
        for server in self._servers:
            while server.idle and server.idle[0][1] <= before:
                self._connector.drop(server.idle.popleft()[0])
        if any(server.idle for server in self._servers):
            self._watch_idle()
