"""One client of smtpd(8): where the session, the socket, the restrictions and the transaction meet.

ServerSession knows the protocol and AccessPolicy the rules; this decides nothing but counts, limits, logs and passes
on. A command is decided eagerly: while a decision waits (a table, DNS, cleanup) what the client sends is kept, and
nothing else of this session happens. Replies of a pipelined group leave in one write.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from posthouse.daemons.smtpd.access.check import Check
from posthouse.daemons.smtpd.access.policy import AccessPolicy, HeaderRewriting
from posthouse.daemons.smtpd.client import TEMPORARY, UNKNOWN, Client
from posthouse.daemons.smtpd.counters import Counters
from posthouse.daemons.smtpd.settings import Limits, SmtpdSettings
from posthouse.daemons.smtpd.transaction import Transaction, client_info
from posthouse.ipc.cleanup import CleanupClient
from posthouse.net.dns_client import DnsClient
from posthouse.protocol.message.date import format_date
from posthouse.protocol.message.received import Client as Origin
from posthouse.protocol.message.received import Server, format_received, with_protocol
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.events import (
    Content,
    Data,
    EndOfContent,
    Event,
    Helo,
    Help,
    Mail,
    Noop,
    Notice,
    Quit,
    Rcpt,
    Reason,
    Refused,
    Rset,
    Vrfy,
)
from posthouse.protocol.smtp.replies import Reply
from posthouse.protocol.smtp.server import ServerSession, State
from posthouse.tables.matchlist import MatchList
from posthouse.util import log
from posthouse.util.clock import local_zone
from posthouse.util.connection import Connection
from posthouse.util.errors import TemporaryError

MAX_BUFFERED: Final = 256 * 1024  # bytes received while a decision waits, before reading stops
CONGESTION_POLL_S: Final = 0.005  # how often a stopped sender looks whether cleanup has caught up

TOO_MANY_RECIPIENTS: Final = Reply(452, "4.5.3", "Error: too many recipients")
NOT_IMPLEMENTED: Final = Reply(502, "5.5.1", "Error: command not implemented")
AUTH_DISABLED: Final = Reply(503, "5.5.1", "Error: authentication not enabled")
NO_QUEUE: Final = Reply(451, "4.3.0", "Error: queue file write error")
HELP: Final = Reply(214, "2.0.0", "Commands: DATA EHLO HELO HELP MAIL NOOP QUIT RCPT RSET VRFY")
# Commands of extensions that are not offered, and what Postfix says to them then.
NOT_OFFERED: Final = {"STARTTLS": NOT_IMPLEMENTED, "AUTH": AUTH_DISABLED}
JUNK: Final = frozenset({"HELO", "EHLO", "RSET", "NOOP", "VRFY"})
COUNTED_AS_SUCH: Final = frozenset({"MAIL", "RCPT", "DATA", "QUIT", *JUNK, *NOT_OFFERED})


# What of a HELO name could look like another part of our Received: header or of a log line.
_NEUTER: Final = str.maketrans(dict.fromkeys(' <>()\\";@', "?"))


@dataclass(slots=True)
class Shared:
    """What all sessions of a process share."""

    settings: SmtpdSettings
    limits: Limits
    policy: AccessPolicy
    header_rewriting: HeaderRewriting
    bare_newline_exclusions: MatchList
    cleanup: CleanupClient
    dns: DnsClient
    server: Server
    ended: Callable[[], None]


class SmtpConnection(Connection):
    """See the module's docstring."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, client: Client, shared: Shared, limits: Limits
    ) -> None:
        self._shared = shared
        self._limits = limits
        self._client = client
        self._session = ServerSession(shared.settings.session)
        self._check = Check(client, soft_bounce=shared.settings.soft_bounce)
        self._counters = Counters()
        self._transaction: Transaction | None = None
        self._where = "CONNECT"  # the last command, for the log
        self._reason = ""  # why the session ended, for the log; "" when we ended it in good order
        self._errors = 0
        self._junk = 0
        self._waiting = True  # for a decision, or to greet
        self._ended = False  # the client sends no more
        self._notes: list[str] = []
        super().__init__(loop, sock)
        self.run(self._open(), self._opened)

    # Connecting.

    async def _open(self) -> Reply:
        client, shared = self._client, self._shared
        if shared.settings.peername_lookup and client.name == UNKNOWN:
            await self._look_up_names()
        client.make_log_name(with_port=shared.settings.port_logging)
        log.info(f"connect from {client.log_name}", event="connect", client=client.log_name)
        if shared.bare_newline_exclusions:
            try:
                if await shared.bare_newline_exclusions.matches_client(client.known_name, client.address):
                    self._session.settings = shared.settings.trusted_session
            except TemporaryError:
                pass  # the table does not answer: the strict way of reading is the safe one
        return await shared.policy.connect(self._check) or shared.settings.greeting

    async def _look_up_names(self) -> None:
        client = self._client
        try:
            found = await self._shared.dns.peer_name(client.address)
        except TemporaryError:
            client.set_names(UNKNOWN, TEMPORARY, UNKNOWN, TEMPORARY)
        else:
            client.set_names(found.name, found.name_status, found.reverse_name, found.reverse_status)

    def _opened(self, reply: Reply) -> None:
        self._waiting = False
        if reply.code >= 400:
            self._errors += 1
            # RFC 5321 3.1 would let the client go on after 5xx; Postfix closes only on 421 and 521, so do we.
        event = self._session.greet(reply)
        if event is not None:
            self._improper(event)
        self._process()

    # Input.

    def data_received(self, data: memoryview) -> None:
        """Feed the session."""
        self._session.receive(data)
        if not self._waiting:
            self._process()
        elif self._session.buffered_bytes > MAX_BUFFERED:
            self.pause_reading()

    def eof_received(self) -> None:
        """The client sends no more; what it sent is answered first."""
        self._ended = True
        self._reason = "lost connection"
        if not self._waiting:
            self.close()

    def _process(self) -> None:
        """Handle what the session has, up to the first decision that waits."""
        session = self._session
        while not self.closed and (event := session.next_event()) is not None:
            kind = type(event)
            if kind is Content:
                assert self._transaction is not None, "content outside of a transaction"
                self._transaction.write(event.data)  # type: ignore[union-attr]
            elif kind is Notice:
                self._improper(event)  # type: ignore[arg-type]
            elif self.run(self._decide(event), self._answer) is not None:
                self._waiting = True
                self._flush()
                self.set_deadline(0)  # it is our turn, not the client's
                return
        self._after_processing()

    def _answer(self, reply: Reply) -> None:
        """A decision was made; it may have waited."""
        self._session.reply(reply)
        if self._errors >= self._limits.hard_errors and self._session.state is not State.CLOSED:
            self._reason = "too many errors"
            name = self._shared.settings.myhostname
            self._session.close(Reply(421, "4.7.0", f"{name} Error: too many errors"))
        if self._waiting:
            self._waiting = False
            if not self._ended:
                self.resume_reading()
            self._process()

    def _after_processing(self) -> None:
        if self.closed:
            return
        self._flush()
        self.set_deadline(self._limits.timeout_s)
        if self._session.state is State.CLOSED or self._ended:
            self.close()
            return
        if self._transaction is not None and self._transaction.congested:
            self.pause_reading()
            self.loop.call_later(CONGESTION_POLL_S, self._poll_congestion)

    def _poll_congestion(self) -> None:
        if self._transaction is not None and self._transaction.congested:
            self.loop.call_later(CONGESTION_POLL_S, self._poll_congestion)
        else:
            self.resume_reading()

    def _flush(self) -> None:
        data = self._session.bytes_to_send()
        if data:
            self.write(data)

    # Deciding.

    async def _decide(self, event: Event) -> Reply:
        """Answer a command, count it, and slow down who makes many mistakes (facts B04.05, B04.06)."""
        if isinstance(event, Refused):
            return await self._slowed(self._refused(event))
        verb, handler = _HANDLERS[type(event)]
        if isinstance(event, Helo):
            verb = event.verb
        name = verb.lower()
        if verb != END_OF_CONTENT:  # DATA is one command, up to its dot
            self._counters.count(name)
        self._where = verb
        reply = await handler(self, event)
        slow = self._errors >= self._limits.soft_errors
        if reply.code >= 400 and not (reply is TOO_MANY_RECIPIENTS and not self._overshoots()):
            self._errors += 1
        elif verb == END_OF_CONTENT:
            self._counters.succeeded("data")
            self._errors = self._junk = 0
        elif verb != "DATA":
            self._counters.succeeded(name)
        if verb in JUNK:
            self._junk += 1
            if self._junk > self._limits.junk_commands:
                self._errors += 1
        if slow:
            await self._sleep()
        return reply

    async def _slowed(self, reply: Reply) -> Reply:
        slow = self._errors >= self._limits.soft_errors
        self._errors += 1
        if slow:
            await self._sleep()
        return reply

    async def _sleep(self) -> None:
        over: asyncio.Future[None] = self.loop.create_future()
        self.loop.call_later(self._limits.error_sleep_s, over.set_result, None)
        await over

    def _overshoots(self) -> bool:
        """Whether recipients beyond the limit have become errors (facts B04.07)."""
        return self._transaction is not None and self._transaction.overshoot > self._limits.overshoot

    def _refused(self, event: Refused) -> Reply:
        """What the protocol itself refuses."""
        verb = event.verb
        if event.reason in (Reason.BAD_UTF8, Reason.TOO_LONG, Reason.BARE_LF) or not verb:
            return event.reply
        if event.reason is Reason.PIPELINING:
            self._improper(event)
            return event.reply
        self._where = verb if verb in COUNTED_AS_SUCH else "UNKNOWN"
        self._counters.count(self._where.lower())
        client = self._client.log_name
        if event.reason is Reason.FORBIDDEN:
            log.warning(f"non-SMTP command from {client}: {event.line[:100]}", event="non-smtp", client=client)
        elif event.reply in (replies.BAD_SENDER, replies.BAD_RECIPIENT):
            argument = event.line.partition(":")[2].strip() if verb != "VRFY" else event.line[4:].strip()
            log.warning(f"Illegal address syntax from {client} in {verb} command: {argument}")
        return NOT_OFFERED.get(verb, event.reply)

    def _improper(self, event: Refused | Notice) -> None:
        text = event.line.replace("\r", "\\r").replace("\n", "\\n")
        where = event.verb or self._where
        log.info(
            f"improper command pipelining after {where} from {self._client.log_name}: {text[:100]}",
            event="pipelining",
            client=self._client.log_name,
        )

    async def _helo(self, event: Helo) -> Reply:
        check = self._check
        name = event.name.translate(_NEUTER)
        before = check.helo
        check.helo = name
        check.protocol = "ESMTP" if event.verb == "EHLO" else "SMTP"
        refusal = await self._shared.policy.helo(check, event.verb)
        if refusal is not None:
            check.helo = before
            return refusal
        self._end_transaction()
        return self._shared.settings.ehlo if event.verb == "EHLO" else self._shared.settings.helo

    async def _mail(self, event: Mail) -> Reply:
        check = self._check
        check.sender, check.recipient, check.queue_id = event.sender, None, ""
        check.recipient_count, check.size = 0, event.size or 0
        check.actions.clear()
        limit = self._limits.message_size
        refusal: Reply | None = None
        if 0 < limit < check.size:
            check.begin("MAIL")
            refusal = _reply_of(check.refuse(552, "5.3.4", "Message size exceeds fixed limit"))
        if refusal is None:
            refusal = await self._shared.policy.mail(check)
        if refusal is not None:
            check.sender = None
            return refusal
        self._transaction = transaction = Transaction(event, limit)
        transaction.actions += check.actions
        return replies.SENDER_OK

    async def _rcpt(self, event: Rcpt) -> Reply:
        check, transaction = self._check, self._transaction
        assert transaction is not None, "RCPT outside of a transaction"
        if len(transaction.recipients) >= self._limits.recipients:
            transaction.overshoot += 1
            return TOO_MANY_RECIPIENTS
        check.recipient = event.recipient
        check.actions.clear()
        refusal = await self._shared.policy.rcpt(check)
        if refusal is not None:
            return refusal
        if not transaction.queue_id:
            try:
                queue_id = await self._shared.cleanup.new_queue_id()
            except TemporaryError:
                return NO_QUEUE
            transaction.queue_id = check.queue_id = queue_id
            client = self._client.log_name
            log.info(f"{queue_id}: client={client}", event="client", queue_id=queue_id, client=client)
        transaction.actions += check.actions
        transaction.add(event)
        check.recipient_count += 1
        return replies.RECIPIENT_OK

    async def _data(self, event: Data) -> Reply:
        check, transaction, settings = self._check, self._transaction, self._shared.settings
        assert transaction is not None, "DATA outside of a transaction"
        alone = transaction.recipients[0].address if len(transaction.recipients) == 1 else ""
        check.recipient = alone or None
        check.actions.clear()
        refusal = await self._shared.policy.data(check)
        if refusal is not None:
            return refusal
        transaction.actions += check.actions
        protocol = with_protocol(check.protocol, smtputf8=transaction.mail.smtputf8)
        arrival = int(transaction.arrival)
        received = format_received(
            self._shared.server,
            None if settings.hide_client else Origin(check.helo or "", self._client.name, self._client.literal),
            protocol,
            transaction.queue_id,
            (alone, format_date(arrival, *local_zone(arrival))),
        )
        local = await self._shared.header_rewriting.is_local(check)
        try:
            info = client_info(self._client, check.helo, check.protocol, local_headers=local)
            transaction.begin(self._shared.cleanup, info, received)
        except TemporaryError:
            return NO_QUEUE
        return replies.START_CONTENT

    async def _end_of_content(self, event: EndOfContent) -> Reply:
        check, transaction, settings = self._check, self._transaction, self._shared.settings
        assert transaction is not None, "content outside of a transaction"
        reply: Reply | None = None
        if event.bare_lf:
            reply = self._bare_newline(settings, transaction)
        check.size = event.size_bytes
        if reply is None:
            reply = await self._shared.policy.end_of_data(check)
        if reply is not None:
            transaction.abort()
        else:
            done = await transaction.end()
            reply = Reply(done.code, done.dsn, done.text)
            if settings.soft_bounce and done.code >= 500:
                reply = Reply(done.code - 100, "4" + done.dsn[1:], done.text)
        self._end_transaction()
        return reply

    def _bare_newline(self, settings: SmtpdSettings, transaction: Transaction) -> Reply | None:
        if "bare_lf" not in self._notes:
            self._notes.append("bare_lf")
        if not settings.rejects_bare_newline or self._session.settings is settings.trusted_session:
            return None
        self._check.stage = "END-OF-MESSAGE"
        self._check.log("reject", str(settings.bare_newline_reply))
        return settings.bare_newline_reply

    async def _vrfy(self, event: Vrfy) -> Reply:
        check = self._check
        before, check.recipient = check.recipient, event.address
        refusal = await self._shared.policy.rcpt(check, "VRFY")
        check.recipient = before
        return refusal or Reply(252, "2.0.0", event.argument)

    async def _rset(self, event: Rset) -> Reply:
        self._end_transaction()
        return replies.OK

    async def _noop(self, event: Noop) -> Reply:
        return replies.OK

    async def _help(self, event: Help) -> Reply:
        return HELP

    async def _quit(self, event: Quit) -> Reply:
        return replies.BYE

    def _end_transaction(self) -> None:
        """Forget the transaction; what was under way is dropped, what was handed over stays handed over."""
        if self._transaction is not None:
            self._transaction.abort()
            self._transaction = None
        check = self._check
        check.sender = check.recipient = None
        check.queue_id = ""
        check.recipient_count = check.size = 0

    # Ending.

    def timed_out(self) -> None:
        """The client was silent for too long."""
        self._reason = "timeout"
        name = self._shared.settings.myhostname
        self._session.close(Reply(421, "4.4.2", f"{name} Error: timeout exceeded"))
        self._flush()
        self.close()
        if not self.closed:  # a client that does not read either
            self.abort()

    def failed(self, error: BaseException) -> None:
        """A bug of ours: that is the end of this session, said politely."""
        self._session.close(Reply(421, "4.3.0", f"{self._shared.settings.myhostname} Error: internal error"))
        self._flush()
        super().failed(error)

    def connection_lost(self, error: OSError | None) -> None:
        """Log how it ended."""
        if error is not None and self._session.state is not State.CLOSED:
            self._reason = "lost connection"
        name = self._client.log_name or f"{self._client.name}[{self._client.address}]"
        if self._transaction is not None:
            self._transaction.abort()
        if self._reason:
            where = self._where
            if where == "DATA" and self._transaction is not None:
                where += f" ({self._transaction.size} bytes)"
            log.info(f"{self._reason} after {where} from {name}", event="lost", client=name, where=self._where)
        notes = f" notes={','.join(self._notes)}" if self._notes else ""
        log.info(f"disconnect from {name} {self._counters.text()}{notes}", event="disconnect", client=name)
        self._shared.ended()


def _reply_of(verdict: object) -> Reply | None:
    return verdict if isinstance(verdict, Reply) else None


END_OF_CONTENT: Final = "END-OF-MESSAGE"
_Handler = Callable[[SmtpConnection, Event], Awaitable[Reply]]
_HANDLERS: Final[dict[type, tuple[str, _Handler]]] = {
    Helo: ("EHLO", SmtpConnection._helo),  # type: ignore[dict-item]  # noqa: SLF001 - each gets its own kind of event
    Mail: ("MAIL", SmtpConnection._mail),  # type: ignore[dict-item]  # noqa: SLF001
    Rcpt: ("RCPT", SmtpConnection._rcpt),  # type: ignore[dict-item]  # noqa: SLF001
    Data: ("DATA", SmtpConnection._data),  # type: ignore[dict-item]  # noqa: SLF001
    EndOfContent: (END_OF_CONTENT, SmtpConnection._end_of_content),  # type: ignore[dict-item]  # noqa: SLF001
    Rset: ("RSET", SmtpConnection._rset),  # type: ignore[dict-item]  # noqa: SLF001
    Noop: ("NOOP", SmtpConnection._noop),  # type: ignore[dict-item]  # noqa: SLF001
    Vrfy: ("VRFY", SmtpConnection._vrfy),  # type: ignore[dict-item]  # noqa: SLF001
    Help: ("HELP", SmtpConnection._help),  # type: ignore[dict-item]  # noqa: SLF001
    Quit: ("QUIT", SmtpConnection._quit),  # type: ignore[dict-item]  # noqa: SLF001
}
