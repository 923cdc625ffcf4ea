"""The client's half of SMTP and LMTP, without any I/O: what to send, and what the replies mean.

The delivery agent starts a step (`hello`, `start_tls`, `send_envelope`, `send_content`, `reset`, `quit`), writes what
`bytes_to_send` gives, and feeds what comes back; events tell the rest. Of a transaction each recipient gets exactly
one RecipientDone, whatever the server does; then comes Idle, or the session has failed.
What the session never does: send content before 354, take a reply for a command that is not its own, go on after the
server broke the protocol. Sources: RFC 5321 3 and 4, RFC 2033 (LMTP), RFC 2920. Elsewhere: replies in
client_replies.py, commands in envelope.py, content in stuffing.py; times and policy in the delivery agent.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final

from posthouse.protocol.smtp.client_replies import ReplyReader, ServerReply
from posthouse.protocol.smtp.envelope import Envelope, format_mail, format_rcpt, is_sendable
from posthouse.protocol.smtp.features import Features, parse_features
from posthouse.protocol.smtp.stuffing import END_OF_CONTENT


class Stage(Enum):
    """What the client is waiting for or sending; the texts are those of Postfix's log."""

    GREETING = "receiving the initial server greeting"
    EHLO = "performing the EHLO handshake"
    HELO = "performing the HELO handshake"
    LHLO = "performing the LHLO handshake"
    STARTTLS = "performing the STARTTLS handshake"
    MAIL = "sending MAIL FROM"
    RCPT = "sending RCPT TO"
    DATA = "sending DATA command"
    CONTENT = "sending message body"
    END = "sending end of data -- message may be sent more than once"
    RSET = "sending RSET command"
    QUIT = "sending QUIT command"
    IDLE = "waiting between transactions"


# "(in reply to ... command)" behind the text of a reply that refuses
COMMAND_OF: Final[dict[Stage, str]] = {
    Stage.GREETING: "initial server greeting",
    Stage.EHLO: "EHLO command",
    Stage.HELO: "HELO command",
    Stage.LHLO: "LHLO command",
    Stage.STARTTLS: "STARTTLS command",
    Stage.MAIL: "MAIL FROM command",
    Stage.RCPT: "RCPT TO command",
    Stage.DATA: "DATA command",
    Stage.CONTENT: "end of DATA command",
    Stage.END: "end of DATA command",
}


@dataclass(frozen=True, slots=True)
class Greeting:
    """The server is ready to talk; say `hello`."""

    reply: ServerReply


@dataclass(frozen=True, slots=True)
class HelloDone:
    """The server took EHLO, LHLO or HELO; the session is ready for a transaction."""

    reply: ServerReply
    features: Features


@dataclass(frozen=True, slots=True)
class Refused:
    """The server will not talk to us (greeting, EHLO or STARTTLS refused). Only `quit` makes sense now."""

    stage: Stage
    reply: ServerReply


@dataclass(frozen=True, slots=True)
class TlsReady:
    """The server awaits the TLS handshake; make a new session for what follows, without a greeting."""


@dataclass(frozen=True, slots=True)
class SendContent:
    """354 has come and somebody is there to receive: `send_content` now."""


@dataclass(frozen=True, slots=True)
class RecipientDone:
    """The fate of one recipient of the envelope: delivered exactly if stage is END and the code is 2xx."""

    index: int
    stage: Stage
    reply: ServerReply | None  # None: no reply came; `error` says why
    error: str = ""

    @property
    def sent(self) -> bool:
        """Whether the server took responsibility."""
        return self.reply is not None and self.stage is Stage.END and self.reply.code // 100 == 2


@dataclass(frozen=True, slots=True)
class Idle:
    """The transaction (or RSET) is over; the session can be used for the next one."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The session is useless: the server broke the protocol, or the connection is lost. Close it."""

    stage: Stage
    error: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The server answered QUIT."""


ClientEvent = Greeting | HelloDone | Refused | TlsReady | SendContent | RecipientDone | Idle | Failed | Closed


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What a session must know; one object serves all sessions of a transport."""

    helo_name: str  # postconf(5): smtp_helo_name, lmtp_lhlo_name
    lmtp: bool = False
    discard_keywords: frozenset[str] = frozenset()  # upper case; postconf(5): smtp_discard_ehlo_keywords
    send_ehlo: bool = True  # postconf(5): smtp_always_send_ehlo, smtp_never_send_ehlo


class ClientSession:
    """The protocol of one connection, greeting to QUIT."""

    __slots__ = (
        "_accepted",
        "_dirty",
        "_early",
        "_envelope",
        "_events",
        "_expected",
        "_leaving",
        "_may_send",
        "_next_recipient",
        "_open",
        "_out",
        "_reader",
        "_void_content",
        "failed",
        "features",
        "is_sending",
        "replies",
        "settings",
    )

    def __init__(self, settings: ClientSettings, *, greeted: bool = False) -> None:
        """greeted: there will be no greeting, since TLS has just been started."""
        self.settings = settings
        self.features = Features()
        self.failed = False
        self.is_sending = False  # as the agent says: octets wait for the socket
        self.replies = 0  # whole ones taken: it moves with each reply, however that trickles in
        self._reader = ReplyReader()
        self._events: deque[ClientEvent] = deque()
        # What the server owes us, in order: stage and, for RCPT and (LMTP) END, the recipient.
        self._expected: deque[tuple[Stage, int]] = deque() if greeted else deque([(Stage.GREETING, 0)])
        self._out: list[bytes] = []
        self._envelope: Envelope | None = None
        self._open: set[int] = set()  # recipients without a result
        self._accepted: list[int] = []
        self._next_recipient = 0  # of a transaction without pipelining
        self._dirty = False  # the server may still hold a transaction that we gave up
        self._leaving = False  # 421 has come, or what does not belong there: nothing is begun any more
        self._may_send = False
        self._early = False  # what came behind 354 was there before the dot was said
        self._void_content = False  # 354 came though no recipient was accepted

    # What the delivery agent calls.

    @property
    def stage(self) -> Stage:
        """What is waited for or sent now: the time limit goes by it."""
        if self._expected:
            return self._expected[0][0]
        return Stage.CONTENT if self._may_send else Stage.IDLE

    @property
    def owed(self) -> int:
        """How many replies the server owes us."""
        return len(self._expected)

    @property
    def usable(self) -> bool:
        """Whether a new transaction can be started: nothing owed, nothing said unasked."""
        return not (self.failed or self._expected or self._envelope or self._reader.pending)

    def hello(self) -> None:
        """Say EHLO (LMTP: LHLO); HELO follows by itself where the server knows no EHLO."""
        if self.settings.lmtp:
            self._command(Stage.LHLO, f"LHLO {self.settings.helo_name}\r\n")
        elif self.settings.send_ehlo:
            self._command(Stage.EHLO, f"EHLO {self.settings.helo_name}\r\n")
        else:
            self._command(Stage.HELO, f"HELO {self.settings.helo_name}\r\n")

    def start_tls(self) -> None:
        """Ask for TLS; the answer is TlsReady or Refused."""
        self._command(Stage.STARTTLS, "STARTTLS\r\n")

    def send_envelope(self, envelope: Envelope) -> None:
        """Start a transaction: MAIL, RCPT and DATA, in one group where the server allows it."""
        assert self._envelope is None, "send_envelope() in a transaction: caller's bug"
        assert not self._expected, "send_envelope() before a reply: caller's bug"
        self._envelope = envelope
        self._open = set(range(len(envelope.recipients)))
        self._accepted = []
        self._next_recipient = 0
        if self.failed or not is_sendable(envelope.sender):
            error = "session has ended" if self.failed else "sender address with control characters"
            self._end_all(Stage.MAIL, None, error)
            self._finish()
            return
        if self._dirty:
            self._dirty = False
            self._command(Stage.RSET, "RSET\r\n")
            if not self.features.pipelining:
                return  # MAIL goes out with the reply
        self._command(Stage.MAIL, format_mail(envelope, self.features))
        if self.features.pipelining and not self.failed:
            while self._send_next_recipient():
                pass
            self._send_data()

    def send_content(self, wire: bytes, *, last: bool = True) -> None:
        """Send content that stuff_content or Stuffer made; `last`: the final dot goes with it."""
        assert self._may_send, "send_content() before SendContent: caller's bug"
        self._out.append(wire)
        if last:
            self._may_send = False
            self._end_content()

    def reset(self) -> None:
        """Ask whether the server is still there, before a transaction on a connection that was kept."""
        self._dirty = False
        self._command(Stage.RSET, "RSET\r\n")

    def quit(self) -> None:
        """Take leave; what comes after is of no consequence for any recipient."""
        self._command(Stage.QUIT, "QUIT\r\n")

    def receive(self, data: bytes | memoryview) -> None:
        """Take bytes from the server."""
        self._reader.feed(data)

    def lost(self, error: str) -> None:
        """Tell that the connection is gone or a time limit is over; recipients without result get `error`."""
        self._fail(error)

    def bytes_to_send(self) -> bytes:
        """Hand over, once, the bytes that should go to the server now."""
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)

    def next_event(self) -> ClientEvent | None:
        """Return what happened next; None: feed more bytes, or start a step."""
        while not self._events and not self.failed:
            if not self._expected:
                if not self._reader.pending:
                    return None
                if self._may_send:
                    if not self._early_reply():
                        return None
                else:
                    self._unsolicited()
                continue
            reply = self._reader.take()
            if reply is not None:
                self._take(reply)
            elif self._reader.error:
                self._fail(self._reader.error)
            else:
                return None
        return self._events.popleft() if self._events else None

    # Sending.

    def _command(self, stage: Stage, line: str | bytes, index: int = 0) -> None:
        """Send a command, and expect its reply."""
        if self.failed:
            return
        if not self._expected and self._reader.pending:
            self._unsolicited()  # a reply to a command that was not even sent cannot be trusted
            return
        self._out.append(line if isinstance(line, bytes) else line.encode("utf-8", "surrogateescape"))
        self._expected.append((stage, index))

    def _early_reply(self) -> bool:
        """Take a refusal that comes while content is being sent; False: it is not complete yet."""
        reply = self._reader.take()
        if reply is None and not self._reader.error:
            return False
        if reply is not None and reply.code >= 400:
            self._end_all(Stage.CONTENT, reply)
        self._fail(f"server spoke while the message was sent: {reply}" if reply else self._reader.error)
        return True

    def _unsolicited(self) -> None:
        reply = self._reader.take()
        self._fail(f"server spoke unasked: {reply}" if reply else self._reader.error or "server spoke unasked")

    def _send_next_recipient(self) -> bool:
        """Send the next RCPT; False: there is none left."""
        assert self._envelope is not None
        while self._next_recipient < len(self._envelope.recipients):
            index = self._next_recipient
            self._next_recipient += 1
            recipient = self._envelope.recipients[index]
            if is_sendable(recipient.address):
                self._command(Stage.RCPT, format_rcpt(recipient, self.features), index)
                return True
            self._done(index, Stage.RCPT, None, "recipient address with control characters")
        return False

    def _send_data(self) -> None:
        self._command(Stage.DATA, b"DATA\r\n")

    def _end_content(self) -> None:
        self._early = self._reader.pending
        self._out.append(END_OF_CONTENT)
        if self.settings.lmtp:  # RFC 2033 4.2: one reply for each recipient that was accepted
            self._expected.extend((Stage.END, index) for index in self._accepted)
        else:
            self._expected.append((Stage.END, 0))

    # Replies.

    def _take(self, reply: ServerReply) -> None:
        stage, index = self._expected.popleft()
        self.replies += 1
        good = reply.code < 300
        odd = reply.code < 400 and self._envelope is not None and (reply.code >= 300) is not (stage is Stage.DATA)
        if odd or reply.code == 421:
            self._leaving = True
        if stage is Stage.RCPT:
            self._rcpt_reply(index, reply, good=good)
        elif stage is Stage.MAIL:
            self._mail_reply(reply, good=good)
        elif stage is Stage.DATA:
            self._data_reply(reply)
        elif stage is Stage.END:
            self._end_reply(index, reply)
        elif stage is Stage.RSET:
            self._rset_reply(reply, good=good)
        elif stage is Stage.QUIT:
            self._events.append(Closed())
            self.failed = True
        else:
            self._handshake_reply(stage, reply, good=good)
        concerns_all = self._envelope is None or stage is Stage.MAIL or (odd and stage is Stage.END)
        if self._leaving and concerns_all and not self.failed:
            # 421: the server closes, whatever it was asked (RFC 5321 3.8); but some mean one recipient, and go on.
            self._fail(str(reply))

    def _handshake_reply(self, stage: Stage, reply: ServerReply, *, good: bool) -> None:
        if not good:
            if stage is Stage.EHLO and reply.code != 421 and self._envelope is None:
                self._command(Stage.HELO, f"HELO {self.settings.helo_name}\r\n")
            else:
                self._events.append(Refused(stage, reply))
        elif stage is Stage.GREETING:
            self._events.append(Greeting(reply))
        elif stage is Stage.STARTTLS:
            if self._reader.pending:  # injected before TLS, to be believed after it
                self._fail("server spoke behind its reply to STARTTLS")
            else:
                self._events.append(TlsReady())
        else:
            hostname = reply.lines[0].partition(" ")[0]
            esmtp = stage is not Stage.HELO
            self.features = parse_features(reply, self.settings.discard_keywords) if esmtp else Features(hostname)
            self._events.append(HelloDone(reply, self.features))

    def _mail_reply(self, reply: ServerReply, *, good: bool) -> None:
        if not good:
            self._end_all(Stage.MAIL, reply)
        if self.features.pipelining:
            return
        if not good:
            self._finish()
        elif not self._send_next_recipient():
            self._dirty = True
            self._finish()

    def _rcpt_reply(self, index: int, reply: ServerReply, *, good: bool) -> None:
        if good and index in self._open:
            self._accepted.append(index)
        else:
            self._done(index, Stage.RCPT, reply)
        if self.features.pipelining or self._send_next_recipient():
            return
        if self._accepted:
            self._send_data()
        else:
            self._dirty = True
            self._finish()

    def _data_reply(self, reply: ServerReply) -> None:
        """Go on only with 354; and with 354 for nobody, end at once (RFC 2920 3.1)."""
        if reply.code // 100 != 3:
            self._end_all(Stage.DATA, reply)
            self._dirty = True
            self._finish()
        elif self._accepted:
            self._may_send = True
            self._events.append(SendContent())
        else:
            self._void_content = not self.settings.lmtp
            self._end_content()
            if self.settings.lmtp:  # nobody, so no reply
                self._finish()

    def _end_reply(self, index: int, reply: ServerReply) -> None:
        if reply.code < 400 and (self.is_sending or self._early):  # nobody can have the message yet
            self._expected.appendleft((Stage.END, index))
            self._fail(f"server spoke while the message was sent: {reply}")
            return
        if self._void_content:
            self._void_content = False
        elif self.settings.lmtp:
            self._done(index, Stage.END, reply)
            if self._expected:
                return
        else:
            self._end_all(Stage.END, reply)
        self._finish()

    def _rset_reply(self, reply: ServerReply, *, good: bool) -> None:
        if not good:
            self._fail(f"RSET refused: {reply}")
        elif self._envelope is None:
            self._events.append(Idle())
        elif not self.features.pipelining:
            self._command(Stage.MAIL, format_mail(self._envelope, self.features))

    # Results.

    def _done(self, index: int, stage: Stage, reply: ServerReply | None, error: str = "") -> None:
        """Give a recipient its result, unless it has one."""
        if index in self._open:
            self._open.remove(index)
            self._events.append(RecipientDone(index, stage, reply, error))

    def _end_all(self, stage: Stage, reply: ServerReply | None, error: str = "") -> None:
        for index in sorted(self._open):
            self._done(index, stage, reply, error)

    def _finish(self) -> None:
        """End the transaction."""
        self._envelope = None
        self._accepted = []
        if not self.failed and not self._leaving:
            self._events.append(Idle())

    def _fail(self, error: str) -> None:
        if self.failed:
            return
        stage = self.stage
        self._end_all(stage, None, error)
        self.failed = True
        self._may_send = False
        self._envelope = None
        self._expected.clear()
        self._events.append(Failed(stage, error))
