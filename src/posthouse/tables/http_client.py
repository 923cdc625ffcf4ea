"""HTTP/1.1 for tables: a request, one whole answer of limited size, and the connection kept for the next one.

h11 has the protocol; nothing here trusts the server. An answer must say how long it is (Content-Length or chunks):
where only the end of the connection ends it, half a number would be a number. Sources: RFC 9110, RFC 9112.
"""

import re
import ssl
from collections.abc import Sequence
from typing import Final, NamedTuple

from posthouse.tables.hosts import Connector, Host, ServerError
from posthouse.tables.stream import Stream, StreamConnector, StreamLimits
from posthouse.util.errors import ConfigError

try:
    import h11
except ImportError:
    raise ConfigError(
        "http-json tables need the Python package h11: pip install 'posthouse[http]', or Debian's python3-h11"
    ) from None

HEAD_LIMIT: Final = 16_384  # octets of the head of an answer
MAX_INTERIM: Final = 5  # answers with 1xx before the real one
_NO_BODY: Final = (204, 304)
_FIELD: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~](?:[ -~\t]*[!-~])?)", re.ASCII)
Fields = Sequence[tuple[str, str]]


class Answer(NamedTuple):
    """An answer. fields: names in small letters."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Give the values of a header field."""
        return [value.decode("latin-1") for each, value in self.fields if each == name.encode("ascii")]


class HttpStream:
    """One connection."""

    def __init__(self, stream: Stream, size_limit: int) -> None:
        """size_limit: octets of a body."""
        self.stream = stream
        self._size_limit = size_limit
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)

    async def request(self, method: str, target: bytes, fields: Fields, body: bytes) -> Answer:
        """Make a request and wait for the answer. Raises ServerError: the connection is of no use any more."""
        http = self._http
        if http.our_state is not h11.IDLE:
            raise ServerError("the server has ended the connection with the last answer")
        if method == "POST":
            fields = (*fields, ("Content-Length", str(len(body))))
        octets = http.send(h11.Request(method=method, target=target, headers=list(fields))) or b""
        octets += (http.send(h11.Data(data=body)) or b"") if body else b""
        octets += http.send(h11.EndOfMessage()) or b""
        answer = await self.stream.exchange(octets, _AnswerParser(http, self._size_limit))
        if _may_go_on(http):
            http.start_next_cycle()
        else:
            self.stream.retire()
        return answer


class HttpConnector(Connector[HttpStream]):
    """Connects to a web server, over TLS or not."""

    def __init__(self, tls: ssl.SSLContext | None, size_limit: int) -> None:
        self._connector = StreamConnector(StreamLimits(tls=tls))
        self._size_limit = size_limit

    async def connect(self, host: Host) -> HttpStream:
        """Make a connection. Raises OSError."""
        return HttpStream(await self._connector.connect(host), self._size_limit)

    def drop(self, connection: HttpStream) -> None:
        """Close a connection at once."""
        connection.stream.close()


class _AnswerParser:
    """Takes the octets of one answer. Raises ValueError: it is none, or too large."""

    def __init__(self, http: h11.Connection, size_limit: int) -> None:
        self._http = http
        self._size_limit = size_limit
        self._interim = 0
        self._response: h11.Response | None = None
        self._body = bytearray()

    def receive(self, data: bytes) -> Answer | None:
        """Take octets; None: more are needed."""
        try:
            self._http.receive_data(data)
            while (event := self._http.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.EndOfMessage):
                    return self._whole()
                self._take(event)
        except h11.RemoteProtocolError as error:
            raise ValueError(f"no answer by HTTP: {error}") from None
        return None

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > self._size_limit:
                raise ValueError(f"an answer of more than {self._size_limit} octets")
        elif isinstance(event, h11.Response):
            self._response = event
            names = {name for name, _ in event.headers}
            if not names & {b"content-length", b"transfer-encoding"} and event.status_code not in _NO_BODY:
                raise ValueError("an answer that does not say how long it is")
        elif isinstance(event, h11.InformationalResponse):
            self._interim += 1
            if self._interim > MAX_INTERIM or event.status_code == 101:
                raise ValueError("interim answers without end")
        else:
            raise ValueError("more than an answer")  # noqa: TRY004 - it is the server's octets that are wrong

    def _whole(self) -> Answer:
        assert self._response is not None, "h11 gives the head before the end"
        if self._http.trailing_data[0]:
            raise ValueError("octets behind the answer")
        return Answer(self._response.status_code, tuple(self._response.headers), bytes(self._body))


def _may_go_on(http: h11.Connection) -> bool:
    """Whether another request may follow on the connection."""
    return http.our_state is h11.DONE and http.their_state is h11.DONE


def parse_field(text: str) -> tuple[str, str] | None:
    """Read a "Name: value" of printable ASCII; None: it is no header field."""
    found = _FIELD.fullmatch(text.strip())
    return (found[1], found[2]) if found is not None else None
