"""Session: one connection to a server, from connect to QUIT, and the transactions on it, one after the other.

ClientSession (protocol) knows what to say and what replies mean; here are the socket, the clock and the content.
Everything happens in the callbacks of the connection; there is no task. What a transaction brings goes to its Job,
the rest to the Owner. Sources: RFC 5321 4.5.3.2 (time limits), RFC 2920; facts B10.
"""

import asyncio
import errno
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from posthouse.daemons.smtp.conversion import ConversionError
from posthouse.daemons.smtp.options import Options
from posthouse.daemons.smtp.outgoing import AsItIs, Converted, Outgoing
from posthouse.daemons.smtp.route import Endpoint
from posthouse.protocol.smtp.client import (
    ClientEvent,
    ClientSession,
    Closed,
    Failed,
    Greeting,
    HelloDone,
    Idle,
    RecipientDone,
    Refused,
    SendContent,
    Stage,
)
from posthouse.util.connection import Connection
from posthouse.util.errors import TableError

if TYPE_CHECKING:
    from posthouse.daemons.smtp.job import Job

RETRY_S: Final = 0.05  # when a UNIX socket's queue is full
NOTHING: Final = (-1, 0)  # of replies owed and replies taken: no time limit has been set for what is waited for
TAKE_LEAVE_S: Final = 10.0  # for QUIT where the reply is awaited; nothing depends on it


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a session ended in the middle: the text and status that recipients without result get."""

    dsn: str
    text: str
    connect: bool = False  # it never came to be
    diagnostic: str = ""  # the reply, where the server said it (RFC 3464)
    ours: bool = False  # the server is not at fault; another one would be no help


class Owner(Protocol):
    """What the agent does when a session tells it something."""

    def handshake_failed(self, session: "Session", job: "Job", trouble: Trouble) -> None:
        """The server is not there, or will not talk to us; the session is gone."""

    def transaction_over(self, session: "Session", job: "Job", trouble: Trouble | None) -> None:
        """Every recipient has a result, or `trouble` ended the session. It is free when there is none."""

    def session_closed(self, session: "Session") -> None:
        """A session is gone, if it was idle or not."""


class Session(Connection):
    """See the module's docstring. `job` is the delivery in progress; None: idle."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, endpoint: Endpoint, options: Options, owner: Owner
    ) -> None:
        self.endpoint = endpoint
        self.job: Job | None = None
        self.uses = 0  # transactions begun
        self.nexthop = ""  # what it may be used for again without asking DNS
        self.began = loop.time()
        self.protocol = ClientSession(options.client)
        self._options = options
        self._owner = owner
        self._waits_for = NOTHING
        self._ready = False  # the handshake is over
        self._heard = False  # the server said something
        self._streams = False  # the content of this transaction is large
        self._cut_off = False  # what was written last has not left
        self._known = 0  # replies, when this transaction began
        self._leaving = False
        self._stream: Outgoing | None = None
        self._trouble: Trouble | None = None
        super().__init__(loop, sock)

    # What the agent calls.

    def open(self, job: "Job") -> None:
        """Wait for the greeting of a connection that is being made, then deliver."""
        self.job = job
        hello_s = self._options.timeouts[Stage.GREETING]
        self._waits_for = (1, 0)
        self.set_deadline(min(self._options.connect_s or hello_s, hello_s))

    def deliver(self, job: "Job") -> None:
        """Begin a transaction on an idle session."""
        self.job = job
        self._transact(job)
        self._pump()

    @property
    def reusable(self) -> bool:
        """Whether another transaction may follow."""
        reuse = self._options.reuse
        return (
            not self.closed
            and self.protocol.usable
            and (not reuse.count or self.uses < reuse.count)
            and self.loop.time() - self.began < reuse.time_s
        )

    def keep_idle(self) -> None:
        """Wait for the next delivery, for a moment."""
        self.set_deadline(self._options.timeouts[Stage.IDLE])

    def take_leave(self) -> None:
        """QUIT and close; no result depends on it any more."""
        if self.closed or self._leaving:
            return
        self._leaving = True
        if self.protocol.failed or not self._ready:
            self.abort()
            return
        self.set_deadline(min(self._options.timeouts[Stage.QUIT], TAKE_LEAVE_S))
        self.protocol.quit()
        self.write(self.protocol.bytes_to_send())
        if self._options.skip_quit_response:
            self.close()

    # What the loop calls.

    def data_received(self, data: memoryview) -> None:
        """Take replies."""
        self._heard = True
        waits = self._unsent_size > 0 or self._cut_off
        self.protocol.is_sending = waits or (self._streams and self._is_unacknowledged())
        self.protocol.receive(data)
        self._pump()

    def eof_received(self) -> None:
        """Take note that the server is gone."""
        self._fail(self._lost_text())

    def connection_lost(self, error: OSError | None) -> None:
        """Take note that the connection is gone."""
        if error is not None and not self._heard and not self._ready and error.errno != errno.ECONNRESET:
            self._trouble = Trouble("4.4.1", f"connect to {self._place()}: {error.strerror}", connect=True)
            self.protocol.lost("")
        else:
            self._fail(self._lost_text())
        self._pump()
        self._owner.session_closed(self)

    def write_failed(self, error: OSError) -> None:
        """Hear what the server said before it left: it may have refused the message in the middle of it."""
        self._cut_off = True
        self.read_rest()
        super().write_failed(error)

    def timed_out(self) -> None:
        """Give up what takes too long."""
        if self.job is None:
            self.take_leave() if not self._leaving else self.abort()
            return
        stage = self.protocol.stage
        if stage is Stage.GREETING and not self._heard and not self._is_connected():
            self._trouble = Trouble("4.4.1", f"connect to {self._place()}: Connection timed out", connect=True)
            self.protocol.lost("")
            self._pump()
            return
        if stage is Stage.GREETING and self._waits_for == (1, 0) and self._options.connect_s:
            left = self._options.timeouts[stage] - (self.loop.time() - self.began)
            if left > 0:
                self.set_deadline(left)
                return
        self._fail(Trouble("4.4.2", f"conversation with {self.endpoint.label} timed out while {stage.value}"))

    def drained(self) -> None:
        """Go on with large content; or begin to wait for the reply to it."""
        if self._stream is not None:
            self._send_stream(self._stream)
        self._waits_for = NOTHING
        self._pump()

    # Events.

    def _pump(self) -> None:
        """Handle all events, then write what has gathered, in one piece, and set the time limit."""
        protocol = self.protocol
        while (event := protocol.next_event()) is not None:
            _HANDLERS[type(event)](self, event)
        if self.closed:
            return
        data = protocol.bytes_to_send()
        if data:
            self.write(data)
        elif protocol.owed:
            self.heed_error()
        waits_for = (protocol.owed, protocol.replies)
        if self.job is not None and waits_for != self._waits_for:
            # One limit for each reply, not for each read: a reply that trickles in does not move it.
            self._waits_for = waits_for
            stage = Stage.CONTENT if self._unsent_size else protocol.stage
            self.set_deadline(self._options.timeouts[stage])

    def _on_greeting(self, event: ClientEvent) -> None:
        assert isinstance(event, Greeting)
        text = event.reply.text
        if not self._options.always_ehlo and "ESMTP" not in text.upper().split():
            self.protocol.settings = self._options.client_without_ehlo
        self.protocol.hello()

    def _on_hello(self, event: ClientEvent) -> None:
        assert isinstance(event, HelloDone)
        job = self.job
        assert job is not None
        myhostname = self._options.lookup.myhostname
        if self.endpoint.guarded and event.features.hostname.lower() == myhostname.lower():
            text = f"mail for {job.nexthop} loops back to myself"
            self._refuse(Trouble("5.4.6" if self.endpoint.best else "4.4.6", text))
            return
        self._ready = True
        job.connected(self)
        self._transact(job)

    def _on_refused(self, event: ClientEvent) -> None:
        assert isinstance(event, Refused)
        reply = event.reply
        soft = reply.code < 500 or (event.stage is Stage.GREETING and self._options.skip_5xx_greeting)
        soft = soft or (reply.code == 530 and self._options.soft_530)
        status = ("4" if soft else "5") + (reply.status[1:] or ".0.0")
        text = f"host {self.endpoint.label} refused to talk to me: {reply}"
        self._refuse(Trouble(status, text, diagnostic=f"smtp; {reply}"))

    def _on_send_content(self, event: ClientEvent) -> None:
        job = self.job
        assert job is not None
        mail = job.mail
        conversion = mail.conversion(self.protocol.features, self.loop)
        if conversion is not None:
            self._stream = Converted(mail.read, conversion, mail.shaper, self.drained)
        elif mail.is_large:
            self._stream = AsItIs(mail.read, mail.shaper)
        else:
            self.protocol.send_content(mail.wire())
            mail.sent_as_it_is()
            return
        self._streams = True
        self._send_stream(self._stream)

    def _on_recipient(self, event: ClientEvent) -> None:
        assert isinstance(event, RecipientDone)
        if self.uses > 1 and event.stage is Stage.MAIL and event.reply is not None and event.reply.code == 421:
            self._known = self.protocol.replies  # it was about to leave anyway; this mail need not know
        elif self.job is not None:
            self.job.recipient_done(event, self)

    def _on_idle(self, event: ClientEvent) -> None:
        job, self.job = self.job, None
        self._drop_stream()
        if job is not None:
            self._owner.transaction_over(self, job, None)

    def _on_failed(self, event: ClientEvent) -> None:
        assert isinstance(event, Failed)
        job, self.job = self.job, None
        self._drop_stream()
        trouble = self._trouble or self._protocol_trouble(event)
        self.abort()
        if job is None:
            return
        if self._ready:
            self._owner.transaction_over(self, job, trouble)
        else:
            self._owner.handshake_failed(self, job, trouble)

    def _on_closed(self, event: ClientEvent) -> None:
        self.abort()

    # Steps.

    def _transact(self, job: "Job") -> None:
        self.uses += 1
        self._known = self.protocol.replies
        self._streams = False
        envelope = job.envelope(self.protocol.features)
        if envelope is None:  # nobody may have it from this server
            self.job = None
            self._owner.transaction_over(self, job, None)
        else:
            self.protocol.send_envelope(envelope)

    def _send_stream(self, stream: Outgoing) -> None:
        """Send content as far as there is any and the socket takes it."""
        while self._stream is stream and not self.closed and not self._unsent_size:
            try:
                piece = stream.next_piece()
            except ConversionError as error:
                self._fail(Trouble("5.6.0", str(error), ours=True))
                return
            except TableError:
                self._fail(Trouble("4.3.0", f"local data error while talking to {self.endpoint.label}", ours=True))
                return
            if piece is None:
                return
            if piece.last:
                self.read_rest()  # what is said before the dot is no success
                if self._stream is not stream:
                    return
                self._stream = None
            self.protocol.send_content(piece.wire, last=piece.last)
            self.write(self.protocol.bytes_to_send())

    def _is_unacknowledged(self) -> bool:
        """Whether octets that the kernel has taken cannot be with the server yet (tcp(7), SIOCOUTQ)."""
        if self.endpoint.is_unix:
            return False
        try:
            return struct.unpack("i", fcntl.ioctl(self._fileno, termios.TIOCOUTQ, bytes(4))) != (0,)
        except OSError:
            return False

    def _drop_stream(self) -> None:
        """Let go of content: its descriptor is about to be closed."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _refuse(self, trouble: Trouble) -> None:
        """End a session that the handshake made useless."""
        job, self.job = self.job, None
        self._ready = not self.protocol.failed and not self.protocol.owed  # so that QUIT is said
        self.take_leave()
        if job is not None:
            self._owner.handshake_failed(self, job, trouble)

    def _fail(self, trouble: Trouble) -> None:
        self._trouble = self._trouble or trouble
        self.protocol.lost(trouble.text)
        self._pump()

    @property
    def went_stale(self) -> bool:
        """Whether this session had been idle too long: it ended before the server answered the new mail."""
        return self.uses > 1 and self.protocol.replies == self._known

    def _lost_text(self) -> Trouble:
        return Trouble("4.4.2", f"lost connection with {self.endpoint.label} while {self.protocol.stage.value}")

    def _protocol_trouble(self, event: Failed) -> Trouble:
        label = self.endpoint.label
        if event.error.startswith("421"):
            return Trouble("4.4.2", f"host {label} said: {event.error}")
        return Trouble("4.5.0", f"host {label} broke the protocol: {event.error}, while {event.stage.value}")

    def _place(self) -> str:
        return self.endpoint.relay

    def _is_connected(self) -> bool:
        try:
            self.socket.getpeername()
        except OSError:
            return False
        return True


_HANDLERS: Final[dict[type[ClientEvent], Callable[[Session, ClientEvent], None]]] = {
    Greeting: Session._on_greeting,  # noqa: SLF001 - the table of this class's own handlers
    HelloDone: Session._on_hello,  # noqa: SLF001
    Refused: Session._on_refused,  # noqa: SLF001
    SendContent: Session._on_send_content,  # noqa: SLF001
    RecipientDone: Session._on_recipient,  # noqa: SLF001
    Idle: Session._on_idle,  # noqa: SLF001
    Failed: Session._on_failed,  # noqa: SLF001
    Closed: Session._on_closed,  # noqa: SLF001
}


def connect(endpoint: Endpoint, bind: dict[int, str]) -> socket.socket:
    """Begin to connect. Raises BlockingIOError: a UNIX socket's queue is full; OSError: it cannot be done."""
    if endpoint.is_unix:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        return _connected(sock, endpoint.path)
    family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    source = bind.get(family)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            sock.bind((source, 0))
        return _connected(sock, (endpoint.address, endpoint.port))
    except OSError:
        sock.close()
        raise


def _connected(sock: socket.socket, address: tuple[str, int] | str) -> socket.socket:
    try:
        sock.connect(address)
    except BlockingIOError as error:
        if error.errno == errno.EINPROGRESS:
            return sock
        sock.close()
        raise
    except OSError:
        sock.close()
        raise
    return sock
