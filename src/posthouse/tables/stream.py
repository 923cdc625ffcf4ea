"""Stream: one connection on which a request is sent and a reply is read, as socketmap, tcp, memcache and HTTP have it.

A parser without I/O (protocol/) says when a reply is whole. Octets that nobody asked for, an end in the middle and a
reply that is none make the connection useless: ServerError, and the pool (hosts.py) makes another. Nothing is ever read
ahead, so the answer to one key cannot become the answer to the next. Time limits are the pool's.
"""

import asyncio
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar, cast

from posthouse.tables.hosts import Connector, Host, ServerError

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
FOREVER: Final = float("inf")


class Parser(Protocol[R_co]):
    """Takes octets of one reply. Raises ValueError: it is none."""

    def receive(self, data: bytes) -> R_co | None:
        """Take octets; None: more are needed."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How a connection is made, and how long it is used (seconds). tls: over TLS, to the host's name."""

    lifetime_s: float = FOREVER
    tls: ssl.SSLContext | None = None


class Stream(asyncio.Protocol):
    """See the module's docstring. One exchange at a time."""

    def __init__(self, lifetime_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._old_at = self._loop.time() + lifetime_s
        self._transport: asyncio.Transport | None = None
        self._feed: Callable[[bytes | None], None] | None = None  # of the exchange under way; None: the end
        self._broken = ""

    async def exchange(self, request: bytes, parser: Parser[T]) -> T:
        """Send a request and wait for the reply. Raises ServerError: the connection is of no use any more."""
        assert self._feed is None, "one exchange at a time"
        if not self._broken and self._loop.time() > self._old_at:
            self._broken = "the connection has been in use for long enough"
        if self._broken or self._transport is None:
            raise ServerError(self._broken or "not connected")
        future: asyncio.Future[T] = self._loop.create_future()

        def feed(data: bytes | None) -> None:
            if future.done():  # more than the reply: the next exchange must not take it for its own
                self._break("octets that nobody asked for")
                return
            try:
                reply = parser.receive(data) if data is not None else None
            except ValueError as error:
                self._break(str(error))
                future.set_exception(ServerError(str(error)))
                return
            if reply is not None:
                future.set_result(reply)
            elif data is None:
                future.set_exception(ServerError(self._broken))

        self._feed = feed
        try:
            self._transport.write(request)
            return await future
        finally:
            self._feed = None

    async def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Go on over TLS, now that the server waits for it. Raises OSError: no handshake, or not this server."""
        if self._broken or self._transport is None:
            raise ServerError(self._broken or "not connected")
        self._transport = await self._loop.start_tls(self._transport, self, context, server_hostname=name)

    def retire(self) -> None:
        """Use it no more after the exchange that has just ended."""
        self._break("the server ends the connection after each reply")

    def close(self) -> None:
        """Close at once."""
        self._broken = self._broken or "closed"
        if self._transport is not None:
            self._transport.abort()

    # Driven by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        """Take octets, which must be part of a reply."""
        if self._feed is None:
            self._break("octets that nobody asked for")
        else:
            self._feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember why."""
        self._transport = None
        self._broken = self._broken or _reason(exc)
        if self._feed is not None:
            self._feed(None)

    def _break(self, why: str) -> None:
        self._broken = self._broken or why
        if self._transport is not None:
            self._transport.abort()


class StreamConnector(Connector[Stream]):
    """Connects to UNIX sockets and TCP ports."""

    def __init__(self, limits: StreamLimits = StreamLimits()) -> None:
        self._limits = limits

    async def connect(self, host: Host) -> Stream:
        """Make a connection. Raises OSError."""
        loop = asyncio.get_running_loop()
        limits = self._limits

        def made() -> Stream:
            return Stream(limits.lifetime_s)

        if host.path:
            _, stream = await loop.create_unix_connection(made, host.path)
        elif limits.tls is not None:
            name = host.name
            _, stream = await loop.create_connection(made, name, host.port, ssl=limits.tls, server_hostname=name)
        else:
            _, stream = await loop.create_connection(made, host.name, host.port)
        return stream

    def drop(self, connection: Stream) -> None:
        """Close a connection at once."""
        connection.close()


def _reason(error: Exception | None) -> str:
    if error is None:
        return "the server has closed the connection"
    code = error.errno if isinstance(error, OSError) else None
    return os.strerror(code) if code else str(error)
