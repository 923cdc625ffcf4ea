"""Connections to LDAP servers: plain, over TLS or by StartTLS, logged in and ready for searches.

The protocol is protocol/ldap; nothing here blocks, and an answer has a limited size.
Sources: RFC 4511, RFC 4513, RFC 4616 (PLAIN), RFC 4422 A (EXTERNAL).
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from posthouse.protocol.ldap.message import (
    BIND_RESPONSE,
    BUSY,
    EXTENDED_RESPONSE,
    SEARCH_DONE,
    SUCCESS,
    UNAVAILABLE,
    Answer,
    AnswerReader,
    Search,
    format_sasl_bind,
    format_search,
    format_simple_bind,
    format_start_tls,
)
from posthouse.tables.hosts import Connector, Host, ServerError
from posthouse.tables.stream import Stream, StreamConnector, StreamLimits

ANSWER_LIMIT: Final = 10_000_000  # octets of all entries of one search
MECHANISMS: Final = ("EXTERNAL", "PLAIN")
MAX_NUMBER: Final = 2**31 - 1  # of a message (RFC 4511 4.1.1.1)


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in. mechanism: "" not at all, "SIMPLE", or one of MECHANISMS."""

    mechanism: str = ""
    user: str = ""  # a distinguished name for SIMPLE
    password: str = ""
    authorization_id: str = ""

    def format(self, number: int) -> bytes:
        """Write the request."""
        if self.mechanism == "SIMPLE":
            return format_simple_bind(number, self.user, self.password)
        if self.mechanism == "EXTERNAL":
            return format_sasl_bind(number, "EXTERNAL", self.authorization_id.encode())
        words = (self.authorization_id, self.user, self.password)
        return format_sasl_bind(number, "PLAIN", "\0".join(words).encode())


class LdapStream:
    """One connection. One operation at a time."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._number = 0

    async def search(self, search: Search) -> Answer:
        """Search. Raises ServerError: the server cannot do it now, or the connection is of no use any more."""
        answer = await self.run(lambda number: format_search(number, search))
        if answer.result.code in (BUSY, UNAVAILABLE):
            raise ServerError(str(answer.result))
        return answer

    async def run(self, request: Callable[[int], bytes], end: int = SEARCH_DONE) -> Answer:
        """Do one operation; end: the tag of the message that ends it. Raises ServerError."""
        self._number = self._number % MAX_NUMBER + 1
        return await self.stream.exchange(request(self._number), AnswerReader(self._number, ANSWER_LIMIT, end))


class LdapConnector(Connector[LdapStream]):
    """Makes connections. host.source: the scheme, "ldap", "ldaps" or "ldapi"."""

    def __init__(self, login: Login, tls: ssl.SSLContext | None, *, start_tls: bool) -> None:
        """tls: for ldaps: and StartTLS."""
        self._login = login
        self._tls = tls
        self._start_tls = start_tls
        self._plain = StreamConnector()
        self._encrypted = StreamConnector(StreamLimits(tls=tls))

    async def connect(self, host: Host) -> LdapStream:
        """Connect and log in. Raises OSError, ServerError."""
        connector = self._encrypted if host.source == "ldaps" else self._plain
        connection = LdapStream(await connector.connect(host))
        ready = False
        try:
            if self._start_tls and host.source == "ldap":
                assert self._tls is not None, "read_tls makes it wherever it is wanted"
                await self._succeed(connection, format_start_tls, EXTENDED_RESPONSE, "StartTLS")
                await connection.stream.start_tls(self._tls, host.name)
            if self._login.mechanism:
                await self._succeed(connection, self._login.format, BIND_RESPONSE, "bind")
            ready = True
        finally:
            if not ready:
                connection.stream.close()
        return connection

    def drop(self, connection: LdapStream) -> None:
        """Close a connection at once."""
        connection.stream.close()

    async def _succeed(self, connection: LdapStream, request: Callable[[int], bytes], end: int, what: str) -> None:
        answer = await connection.run(request, end)
        if answer.result.code != SUCCESS:
            raise ServerError(f"{what}: {answer.result}")
