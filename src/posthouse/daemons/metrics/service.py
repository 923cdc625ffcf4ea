"""MetricsService: the connections of metrics(8), and what each path is answered."""

import socket
import time
from contextlib import suppress
from functools import partial
from typing import Final

from posthouse.daemons.metrics.page import format_page
from posthouse.governor.readiness import why_refused
from posthouse.ipc.health import Health
from posthouse.ipc.own_users import Door
from posthouse.protocol.http import Refusal, Request, RequestReader, format_response
from posthouse.skeleton.daemon import Context, Service
from posthouse.util.connection import Connection
from posthouse.util.errors import TemporaryError

REQUEST_LIMIT_S: Final = 5.0  # from the connection to the end of the request, however it comes
ANSWER_LIMIT_S: Final = 15.0  # from there until the answer is taken
LINGER_S: Final = 1.0  # after a refusal
TEXT: Final = "text/plain; charset=utf-8"
Answer = tuple[int, str, bytes]  # status, media type, body


class MetricsService(Service):
    """See the module's docstring."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._health = Health(context.loop, context.private("governor"), context.public("cleanup"))
        self._door = Door(context.settings, "metrics")

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a client: of a port anybody who reaches it, of a UNIX socket the mail system's own users and root."""
        if sock.family == socket.AF_UNIX and not self._door.admits(sock):
            return
        self.context.session_started()
        Http(self, sock)

    def closing(self) -> None:
        """Close the connection to the governor."""
        self._health.close()

    async def answer(self, request: Request) -> Answer:
        """Answer a request."""
        match request.path:
            case "/metrics":
                return await self._metrics(request.accept)
            case "/live":
                return await self._live()
            case "/ready":
                return await self._ready()
            case _:
                return _text(404, "there are /metrics, /live and /ready")

    async def _metrics(self, accept: str) -> Answer:
        try:
            picture = await self._health.picture()
        except TemporaryError:
            picture = None
        return (200, *format_page(picture, accept))

    async def _live(self) -> Answer:
        try:
            await self._health.picture()
        except TemporaryError as error:
            return _text(503, str(error))
        return _text(200, "alive")

    async def _ready(self) -> Answer:
        try:
            reasons = why_refused(await self._health.picture())
        except TemporaryError as error:
            return _text(503, str(error))
        if away := await self._health.intake():
            reasons.append(away)
        return _text(503, *reasons) if reasons else _text(200, "ready")


def _text(status: int, *lines: str) -> Answer:
    return status, TEXT, "".join(f"{line}\n" for line in lines).encode()


class Http(Connection):
    """One connection: one request, one answer."""

    def __init__(self, service: MetricsService, sock: socket.socket) -> None:
        self._service = service
        self._reader = RequestReader()
        self._refused = False
        super().__init__(service.context.loop, sock)
        self.set_deadline(REQUEST_LIMIT_S)

    def data_received(self, data: memoryview) -> None:
        """Read the request; after a refusal drop what comes."""
        if self._refused:
            return
        outcome = self._reader.receive(bytes(data))
        if isinstance(outcome, Refusal):
            self._refuse(outcome)
        elif outcome is not None:
            self.pause_reading()
            self.set_deadline(ANSWER_LIMIT_S)
            self.run(self._service.answer(outcome), partial(self._respond, with_body=outcome.method != "HEAD"))
        else:
            self.heed_error()

    def _respond(self, answer: Answer, *, with_body: bool) -> None:
        self._write(answer, with_body=with_body)
        self.close()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer, and go on reading for a moment: a connection closed with unread octets takes the answer with it."""
        self._refused = True
        self._write(_text(refusal.status, refusal.why), with_body=True)
        if not self.closed:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
            self.set_deadline(LINGER_S)

    def _write(self, answer: Answer, *, with_body: bool) -> None:
        status, media_type, body = answer
        self.write(format_response(status, media_type, body, now=int(time.time()), with_body=with_body))

    def connection_lost(self, error: OSError | None) -> None:
        """Count it out."""
        self._service.context.session_ended()
