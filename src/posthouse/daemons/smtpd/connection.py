"""One client of smtpd(8): where the session, the socket and the conversation meet.

ServerSession knows the protocol, Conversation what the commands mean; this feeds, counts, limits and logs. While a
decision waits (a table, DNS, cleanup), what the client sends is kept, and nothing else of this session happens.
Replies of a pipelined group leave in one write, at the end of the loop's turn.
"""

import asyncio
import socket
from typing import ClassVar, Final, cast

from posthouse.daemons.smtpd.client import Client
from posthouse.daemons.smtpd.conversation import (
    END_OF_CONTENT,
    HANDLERS,
    TOO_MANY_RECIPIENTS,
    Conversation,
    Shared,
)
from posthouse.daemons.smtpd.counters import Counters
from posthouse.daemons.smtpd.settings import Limits
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.events import Content, Event, Helo, Notice, Reason, Refused
from posthouse.protocol.smtp.replies import Reply
from posthouse.protocol.smtp.server import ServerSession, escaped
from posthouse.protocol.smtp.states import State
from posthouse.util import log
from posthouse.util.connection import Connection

MAX_BUFFERED: Final = 256 * 1024  # bytes received while a decision waits, before reading stops
CHUNKS_IN_A_TURN: Final = 250  # of one client, before all others have their turn; a few milliseconds
CONGESTION_POLL_S: Final = 0.005  # how often a stopped sender looks whether cleanup has caught up

NOT_IMPLEMENTED: Final = Reply(502, "5.5.1", "Error: command not implemented")
AUTH_DISABLED: Final = Reply(503, "5.5.1", "Error: authentication not enabled")
NOT_AUTHORIZED: Final = Reply(550, "5.7.0", "Error: insufficient authorization")
# Commands of extensions that are not offered, and what Postfix says to them then, and if arguments are missing or too
# many.
NOT_OFFERED: Final = {
    "STARTTLS": NOT_IMPLEMENTED, "AUTH": AUTH_DISABLED, "XCLIENT": NOT_AUTHORIZED, "XFORWARD": NOT_AUTHORIZED,
}  # fmt: skip
NOT_OFFERED_SYNTAX: Final = {
    ("STARTTLS", True): Reply(501, "5.5.4", "Syntax: STARTTLS"),
    ("XCLIENT", False): Reply(501, "5.5.4", "Syntax: XCLIENT attribute=value..."),
    ("XFORWARD", False): Reply(501, "5.5.4", "Syntax: XFORWARD attribute=value..."),
}
LOST: Final = "lost connection"
JUNK: Final = frozenset({"HELO", "EHLO", "RSET", "NOOP", "VRFY"})
COUNTED_AS_SUCH: Final = frozenset({"MAIL", "RCPT", "DATA", "BDAT", "QUIT", "HELP", *JUNK, *NOT_OFFERED})
_SPECIAL: Final = JUNK | {"BDAT"}
_UNREADABLE: Final = frozenset({Reason.BAD_UTF8, Reason.TOO_LONG, Reason.BARE_LF})


def shown(event: Refused) -> str:
    """Write a refused line as it stands in the log."""
    return escaped(event.line.encode("utf-8", "surrogateescape"))


class SmtpConnection(Connection):
    """See the module's docstring."""

    high_water: ClassVar[int] = 64 * 1024  # bytes of replies that a client leaves unread before it is read no further

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, client: Client, shared: Shared, limits: Limits
    ) -> None:
        self._shared = shared
        self._limits = limits
        self._session = ServerSession(shared.settings.offers.usual.session)
        self._conversation = Conversation(client, shared, limits)
        self._counters = Counters()
        self._where = "CONNECT"  # the last command, for the log
        self._well = ""  # what is counted when the reply is a good one
        self._chunks = 0  # accepted that were not the last of their message
        self._unread: Reply | None = None  # waits until the client has read those before it
        self._reason = ""  # why the session ended, for the log; "" when we ended it in good order
        self._errors = 0
        self._junk = 0
        self._slow = False  # the command being answered came after too many errors
        self._waiting = True  # for a decision, or to greet
        self._ended = False  # the client sends no more
        self._due = 0.0  # with smtpd_per_request_deadline: when the request must be complete
        self._received = 0  # bytes since the deadline was set
        super().__init__(loop, sock)
        self.run(self._conversation.open(), self._opened)

    def _opened(self, reply: Reply) -> None:
        """Greet. A client that is refused with 421 or 521 is gone; another one can say QUIT."""
        self._waiting = False
        if reply.code >= 400:
            self._errors += 1
        self._session.settings = self._conversation.session_settings
        event = self._session.greet(reply)
        if event is not None:
            self._log_improper(event)
            if isinstance(event, Refused):
                soft = self._shared.settings.soft_bounce and event.reply.code >= 500
                self._session.reply(event.reply.softened() if soft else event.reply)
        self._process(answered=True)

    # Input.

    def _on_readable(self) -> None:
        """Read nothing while cleanup is behind: with many sessions one read of each would be a lot of memory."""
        transaction = self._conversation.transaction
        if transaction is not None and transaction.congested:
            self._heed_congestion()
        else:
            super()._on_readable()

    def data_received(self, data: memoryview) -> None:
        """Feed the session."""
        session = self._session
        session.receive(data)
        self._received += len(data)
        if not self._waiting:
            self._process()
            return
        if session.state is State.CONNECTED:
            self._conversation.check.pipelined = True
        if session.buffered_bytes > MAX_BUFFERED:
            self.pause_reading()

    def eof_received(self) -> None:
        """The client sends no more; what it sent is answered first."""
        self._ended = True
        self._reason = LOST
        if not self._waiting:
            self.close()

    def _process(self, *, answered: bool = False) -> None:
        """Handle what the session has, up to the first decision that waits. answered: a reply is ready to be sent."""
        session = self._session
        while (event := session.next_event()) is not None:
            kind = type(event)
            if kind is Content:
                transaction = self._conversation.transaction
                assert transaction is not None, "content outside of a transaction"
                transaction.write(cast("Content", event).data)
            elif kind is Notice:
                self._log_improper(cast("Notice", event))
            elif not self._command(event):
                self._waiting = True
                self._flush()
                self.set_deadline(0)  # it is our turn, not the client's
                return
            elif self.closed:
                return
            else:
                answered = True
        self._flush()
        if not self.closed:
            self._wait_for_client(session.state, answered=answered)

    def _wait_for_client(self, state: State, *, answered: bool) -> None:
        """All that came is answered. answered: by words of ours."""
        if answered or not self._limits.whole_requests:
            self.set_deadline(self._limits.timeout_s)
            if self._limits.whole_requests:
                self._received = 0
                self._due = self.loop.time() + self._limits.timeout_s
        elif state is State.DATA or state is State.CHUNK:
            self._extend_deadline()
        if state is State.CLOSED or self._ended:
            self.close()
        elif state is State.DATA or state is State.CHUNK:
            self._heed_congestion()
            self.heed_error()
        elif not answered:
            self.heed_error()

    def _extend_deadline(self) -> None:
        """Content may take longer than a command, as long as it comes at smtpd_min_data_rate."""
        now, limits = self.loop.time(), self._limits
        self._due = min(self._due + self._received / limits.data_rate, now + limits.timeout_s)
        self._received = 0
        self.set_deadline(max(self._due - now, 0.001))

    def _heed_congestion(self) -> None:
        """Take nothing more of the content while cleanup is behind."""
        transaction = self._conversation.transaction
        if transaction is not None and transaction.congested:
            self.pause_reading()
            self.loop.call_later(CONGESTION_POLL_S, self._heed_congestion)
        else:
            self.resume_reading()

    def _flush(self) -> None:
        data = self._session.bytes_to_send()
        if data:
            self._shared.writer.add(self, data)

    def close(self) -> None:
        """Close after the last reply."""
        self._shared.writer.write_last(self)
        super().close()

    def abort(self) -> None:
        """Close at once; what the kernel takes of the last reply leaves."""
        self._shared.writer.write_last(self)
        super().abort()

    # Commands.

    def _command(self, event: Event) -> bool:
        """Answer a command, count it; False: that takes time."""
        self._slow = self._errors >= self._limits.soft_errors
        if type(event) is Refused:
            return self._answer(self._refused(event))
        self._where, verb, self._well, handler = HANDLERS[type(event)]
        if type(event) is Helo:
            self._where = self._well = verb = event.verb
        if verb:
            total = self._counters.total
            total[verb] = total.get(verb, 0) + 1
        answer = handler(self._conversation, event)
        if type(answer) is Reply:
            return self._decided(answer)
        return self.run(answer, self._decided) is None and not self._waiting  # type: ignore[arg-type]

    def _decided(self, reply: Reply) -> bool:
        """Count how the command went; facts B04.05 to B04.07."""
        verb = self._well
        if reply.code >= 400 and not (reply is TOO_MANY_RECIPIENTS and not self._conversation.overshoots):
            self._errors += 1
            if verb in JUNK:
                self._count_junk()
        elif verb:
            good = self._counters.good
            good[verb] = good.get(verb, 0) + 1
            if self._where is END_OF_CONTENT:
                self._errors = self._junk = 0
            elif verb in _SPECIAL:
                if verb == "BDAT":
                    return self._chunk_accepted(reply)
                self._count_junk()
        elif reply is replies.START_CHUNK:
            self._slow = False  # nobody hears it
        return self._answer(reply)

    def _count_junk(self) -> None:
        """Count a command that does not bring mail forward."""
        if self._junk > self._limits.junk_commands:
            self._errors += 1
        self._junk += 1

    def _chunk_accepted(self, reply: Reply) -> bool:
        """Answer a chunk. A client may send thousands at once: others have their turn after so many of them."""
        self._chunks += 1
        if self._chunks % CHUNKS_IN_A_TURN or self._slow:
            return self._answer(reply)
        self._waiting = True
        self.loop.call_soon(self._go_on, reply)
        return False

    def _go_on(self, reply: Reply) -> None:
        """Answer a chunk in its turn, and when the client has read the answers to most of those before it."""
        if self.congested:
            self._unread = reply
            self.set_deadline(self._limits.timeout_s)
        elif not self.closed:
            self._take(self._answer, reply)

    def drained(self) -> None:
        """The client has read its replies."""
        if self._unread is not None:
            reply, self._unread = self._unread, None
            self._take(self._answer, reply)

    def _answer(self, reply: Reply) -> bool:
        """Give the reply to the session, later when the client has made many errors; False: later."""
        if self._slow:
            self._waiting, self._slow = True, False
            self.loop.call_later(self._limits.error_sleep_s, self._answer, reply)
            return False
        if self.closed:
            return True
        if reply.code >= 500 and self._shared.settings.soft_bounce:
            reply = reply.softened()
        self._session.reply(reply)
        if self._errors >= self._limits.hard_errors and self._session.state is not State.CLOSED:
            self._reason = "too many errors"
            name = self._shared.settings.myhostname
            self._session.close(Reply(421, "4.7.0", f"{name} Error: too many errors"))
        if self._waiting:
            self._waiting = False
            much = self._session.buffered_bytes > MAX_BUFFERED
            if not much and not self._ended:
                self.resume_reading()
            self._process(answered=True)
            if much and not self._waiting and not self._ended:
                self._heed_congestion()
        return True

    def _refused(self, event: Refused) -> Reply:
        """What the protocol itself refuses."""
        verb, reason = event.verb, event.reason
        if reason is Reason.IGNORED:
            self._count_junk()
            return event.reply
        self._errors += 1
        if reason in _UNREADABLE or not verb:
            if reason is Reason.TOO_LONG:
                limit, start = self._session.settings.line_limit, shown(event)[:30]
                log.warning(f"{self._conversation.client.log_name}: request longer than {limit}: {start}...")
            return event.reply
        where = verb if verb in COUNTED_AS_SUCH else "UNKNOWN"
        total = self._counters.total
        total[where] = total.get(where, 0) + 1
        if reason is not Reason.DENIED or where == "UNKNOWN":
            self._where = where
        if reason is Reason.PIPELINING:
            self._log_improper(event)
            return event.reply
        if verb in JUNK and reason is not Reason.DENIED:
            self._count_junk()
        return self._refused_command(event)

    def _refused_command(self, event: Refused) -> Reply:
        """Say what one is told, and log it."""
        verb, reason, client = event.verb, event.reason, self._conversation.client.log_name
        if reason is Reason.DENIED:
            return Reply(503, "5.7.0", f"Error: access denied for {client}")
        if verb == "BDAT":
            self._conversation.chunk_refused(event, ended=not self._session.in_transaction)
        elif reason is Reason.FORBIDDEN:
            log.warning(f"non-SMTP command from {client}: {shown(event)[:100]}", event="non-smtp", client=client)
        elif event.reply in (replies.BAD_SENDER, replies.BAD_RECIPIENT):
            argument = event.line[4:].strip() if verb == "VRFY" else event.line.partition(":")[2].strip()
            log.warning(f"Illegal address syntax from {client} in {verb} command: {argument}")
        elif verb in NOT_OFFERED:
            has_argument = len(event.line.split(maxsplit=1)) > 1
            return NOT_OFFERED_SYNTAX.get((verb, has_argument)) or NOT_OFFERED[verb]
        return event.reply

    def _log_improper(self, event: Refused | Notice) -> None:
        client = self._conversation.client.log_name
        self._conversation.check.pipelined = True
        log.info(f"improper command pipelining after {event.verb} from {client}: {event.line}", event="pipelining",
                 client=client)  # fmt: skip

    # Ending.

    def timed_out(self) -> None:
        """The client was silent for too long."""
        if self._session.state is not State.CLOSED:
            self._reason = "timeout"
            name = self._shared.settings.myhostname
            self._session.close(Reply(421, "4.4.2", f"{name} Error: timeout exceeded"))
            self._flush()
            self.close()
        if not self.closed:  # it does not read either
            self.abort()

    def failed(self, error: BaseException) -> None:
        """A bug of ours: that is the end of this session, said politely."""
        self._session.close(Reply(421, "4.3.0", f"{self._shared.settings.myhostname} Error: internal error"))
        self._flush()
        super().failed(error)

    def connection_lost(self, error: OSError | None) -> None:
        """Log how it ended."""
        conversation, where = self._conversation, self._where
        client = conversation.client
        name = client.log_name or f"{client.name}[{client.address}]"
        if error is not None and self._session.state is not State.CLOSED:
            self._reason = LOST
        if self._session.skips_chunk:
            where = "BDAT"
            self._counters.total[where] = self._counters.total.get(where, 0) + 1
        if self._reason and not (where is END_OF_CONTENT and self._reason == LOST):  # it heard what it came for
            if where == "DATA" and (size := self._session.content_bytes) is not None:
                where += f" ({size} bytes)"
            elif where == "BDAT" and self._session.chunked_bytes:
                where += f" ({self._session.chunked_bytes} bytes)"
            log.info(f"{self._reason} after {where} from {name}", event="lost", client=name, where=where)
        if conversation.transaction is not None:
            conversation.transaction.abort()
        notes = " notes=bare_lf" if conversation.bare_lf else ""
        log.info(f"disconnect from {name} {self._counters.text()}{notes}", event="disconnect", client=name)
        self._shared.ended()
