"""Conversation: what each SMTP command means to smtpd(8): restrictions, the transaction, and the reply.

Knows no socket. A handler returns its Reply at once where it can, and a coroutine where somebody may have to be asked;
the connection runs both. ServerSession has checked syntax and sequence before. Facts: B04.*.
"""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from posthouse.daemons.smtpd.access.check import Check
from posthouse.daemons.smtpd.access.policy import AccessPolicy, HeaderRewriting
from posthouse.daemons.smtpd.client import TEMPORARY, UNKNOWN, Client
from posthouse.daemons.smtpd.scarcity import Scarcity
from posthouse.daemons.smtpd.settings import Limits, SmtpdSettings
from posthouse.daemons.smtpd.transaction import Transaction, client_info
from posthouse.ipc.cleanup import CleanupClient
from posthouse.net.dns_client import DnsClient
from posthouse.protocol.address import split_address
from posthouse.protocol.message.date import format_date
from posthouse.protocol.message.received import Client as Origin
from posthouse.protocol.message.received import Server, format_received, with_protocol
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.events import (
    Bdat,
    Data,
    EndOfChunk,
    EndOfChunks,
    EndOfContent,
    Event,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Refused,
    Rset,
    Vrfy,
)
from posthouse.protocol.smtp.replies import Reply
from posthouse.protocol.smtp.server import ServerSettings
from posthouse.tables.maps import Maps
from posthouse.tables.matchlist import MatchList
from posthouse.util import log
from posthouse.util.clock import local_zone
from posthouse.util.connection import TurnWriter
from posthouse.util.errors import TemporaryError

TOO_MANY_RECIPIENTS: Final = Reply(452, "4.5.3", "Error: too many recipients")
NEEDS_SMTPUTF8: Final = Reply(553, "5.6.7", "Must declare SMTPUTF8 to send unicode address")
NO_QUEUE: Final = Reply(451, "4.3.0", "Error: queue file write error")
HELP: Final = Reply(214, "2.0.0", "Commands: BDAT DATA EHLO HELO HELP MAIL NOOP QUIT RCPT RSET VRFY")
_QUEUED: Final = "Ok: queued as"
# What of a HELO name could look like another part of our Received: header or of a log line.
_NEUTER: Final = str.maketrans(dict.fromkeys(' <>()\\";@', "?"))

Answer = Reply | Coroutine[object, None, Reply]


@dataclass(slots=True)
class Shared:
    """What all sessions of a process share."""

    settings: SmtpdSettings
    limits: Limits
    policy: AccessPolicy
    header_rewriting: HeaderRewriting
    bare_newline_exclusions: MatchList
    discarded: Maps  # EHLO keywords, by client address
    arrival_hosts: MatchList
    exclusions_are_mynetworks: bool
    cleanup: CleanupClient
    dns: DnsClient
    server: Server
    writer: TurnWriter
    scarcity: Scarcity
    ended: Callable[[], None]


class Conversation:
    """Of one client."""

    __slots__ = ("_chunk_refusal", "_limits", "_local_headers", "_offer", "_offer_failed", "_settings", "_shared",
                 "_tells_arrival", "bare_lf", "check", "client", "transaction", "trusted")  # fmt: skip

    def __init__(self, client: Client, shared: Shared, limits: Limits) -> None:
        self.client = client
        self.check = Check(client, soft_bounce=shared.settings.soft_bounce)
        self.transaction: Transaction | None = None
        self.trusted = False  # one of smtpd_forbid_bare_newline_exclusions
        self.bare_lf = False  # the client has sent a bare LF
        self._chunk_refusal: Reply | None = None  # of the chunk under way; said when its octets are read
        self._shared = shared
        self._settings = shared.settings
        self._limits = limits
        self._offer = shared.settings.offers.usual
        self._offer_failed = False  # a table does not answer: nobody knows what to offer
        self._local_headers: bool | None = None
        self._tells_arrival = False  # one of smtpd_authorized_arrival_hosts

    async def open(self) -> Reply:
        """Find out who the client is and greet it."""
        client, shared = self.client, self._shared
        if shared.settings.peername_lookup and client.name == UNKNOWN:
            await self._look_up_names()
        client.make_log_name(with_port=shared.settings.port_logging)
        log.info(f"connect from {client.log_name}", event="connect", client=client.log_name)
        if shared.bare_newline_exclusions:
            with suppress(TemporaryError):  # a table does not answer: the strict way of reading is the safe one
                self.trusted = await self._is_trusted()
        if shared.discarded:
            await self._choose_offer()
        if shared.arrival_hosts:
            with suppress(TemporaryError):
                self._tells_arrival = await shared.arrival_hosts.matches_client(client.known_name, client.address)
        return await shared.policy.connect(self.check) or shared.settings.greeting

    async def _choose_offer(self) -> None:
        """Find out what the client is offered when it says EHLO."""
        shared = self._shared
        try:
            words = await shared.discarded.find(self.client.address)
        except TemporaryError:
            self._offer_failed = True
        else:
            self._offer = self._offer if words is None else shared.settings.offers.without(words)

    @property
    def session_settings(self) -> ServerSettings:
        """How this client's commands and content are read; known when it is greeted."""
        return self._offer.trusted_session if self.trusted else self._offer.session

    async def _is_trusted(self) -> bool:
        """Whether the client is one of smtpd_forbid_bare_newline_exclusions, by default those of mynetworks."""
        client, shared = self.client, self._shared
        trusted = await shared.bare_newline_exclusions.matches_client(client.known_name, client.address)
        if shared.exclusions_are_mynetworks:
            client.in_mynetworks = trusted  # asked once for both
        return trusted

    async def _look_up_names(self) -> None:
        client = self.client
        try:
            found = await self._shared.dns.peer_name(client.address)
        except TemporaryError:
            client.set_names(UNKNOWN, TEMPORARY, UNKNOWN, TEMPORARY)
        else:
            client.set_names(found.name, found.name_status, found.reverse_name, found.reverse_status)

    @property
    def overshoots(self) -> bool:
        """Whether recipients beyond the limit have become errors (facts B04.07)."""
        return self.transaction is not None and self.transaction.overshoot > self._limits.overshoot

    # Commands.

    def helo(self, event: Helo) -> Answer:
        """HELO and EHLO; a transaction that was open is forgotten."""
        check = self.check
        before = check.helo
        name = event.name
        check.helo = name if name.isalnum() else name.translate(_NEUTER)
        if self._shared.policy.has_helo:
            return self._decide_helo(event, before)
        return self._helo_accepted(event)

    def _helo_accepted(self, event: Helo) -> Reply:
        self.end_transaction()
        if event.verb != "EHLO":
            return self._settings.helo
        self.check.protocol = "ESMTP"
        offer = self._offer
        if offer.note:
            log.info(offer.note)
        if self._offer_failed:
            return self._cannot_offer()
        return offer.ehlo_with_arrival if self._tells_arrival else offer.ehlo

    def _cannot_offer(self) -> Reply:
        """A client that used what it must not be offered could be read wrongly, so it has to come again."""
        name = self.client.log_name
        log.warning(f"don't know what EHLO features to announce to {name}")
        reply = Reply(421, "4.3.0", f"{self._settings.myhostname} Server local data error")
        log.info(f"NOQUEUE: reject: EHLO from {name}: {reply}", event="reject", queue_id="NOQUEUE", stage="EHLO",
                 client=name, reason=str(reply))  # fmt: skip
        return reply

    async def _decide_helo(self, event: Helo, before: str | None) -> Reply:
        refusal = await self._shared.policy.helo(self.check, event.verb)
        if refusal is not None:
            self.check.helo = before
            return refusal
        return self._helo_accepted(event)

    def mail(self, event: Mail) -> Answer:
        """MAIL FROM."""
        check, limit = self.check, self._limits.message_size
        check.sender, check.recipient, check.queue_id = event.sender, None, ""
        check.recipient_count, check.size, check.actions = 0, event.size or 0, []
        if not event.smtputf8 and not event.sender.isascii():
            refused = self._unannounced_utf8("MAIL", event.sender, event.argument)
            if refused is not None:
                check.sender = None
                return refused
        if event.arrival and not self._tells_arrival:
            check.sender = None
            return replies.unsupported(f"XARRIVAL={event.arrival}")
        if 0 < limit < check.size:
            check.begin("MAIL")
            refusal = check.refuse(552, "5.3.4", "Message size exceeds fixed limit")
            assert isinstance(refusal, Reply), "nothing softens this refusal"
            check.sender = None
            return refusal
        if self._shared.scarcity.at_mail and (scarce := self._scarce(check)) is not None:
            return scarce
        if self._shared.policy.has_mail or self._shared.header_rewriting.has_tables:
            return self._decide_mail(event)
        self._open_transaction(event)
        return replies.SENDER_OK

    def _scarce(self, check: Check) -> Reply | None:
        """Put a message off for want of room."""
        scarcity = self._shared.scarcity
        reply = scarcity.refusal(check.size)
        if reply is not None:
            if scarcity.may_log():
                check.begin("MAIL")
                check.log("reject", str(reply))
            check.sender = None
        return reply

    def _open_transaction(self, event: Mail) -> None:
        self.transaction = Transaction(event, self._limits.message_size, self._settings.origin, self.check.actions)
        if self._shared.scarcity.large:
            self.transaction.put_off_beyond(self._shared.scarcity.large)

    async def _decide_mail(self, event: Mail) -> Reply:
        if self._shared.header_rewriting.has_tables and (refusal := await self._find_context()) is not None:
            return refusal
        refusal = await self._shared.policy.mail(self.check)
        if refusal is not None:
            self.check.sender = None
            return refusal
        self._open_transaction(event)
        return replies.SENDER_OK

    async def _find_context(self) -> Reply | None:
        """Ask the tables of local_header_rewrite_clients; a refusal when they do not answer."""
        check = self.check
        try:
            self._local_headers = await self._shared.header_rewriting.is_local(check)
        except TemporaryError:
            check.begin("MAIL")
            check.sender = None
            refusal = check.refuse(451, "4.3.0", "Temporary lookup error")
            assert isinstance(refusal, Reply), "nothing softens this refusal"
            return refusal
        return None

    async def rcpt(self, event: Rcpt) -> Reply:
        """RCPT TO. The first recipient gets the message its queue ID (facts B04.04)."""
        check, transaction = self.check, self.transaction
        assert transaction is not None, "RCPT outside of a transaction"
        if not transaction.mail.smtputf8 and not event.recipient.isascii():
            refused = self._unannounced_utf8("RCPT", event.recipient, event.argument)
            if refused is not None:
                return refused
        if len(transaction.recipients) >= self._limits.recipients:
            transaction.overshoot += 1
            return TOO_MANY_RECIPIENTS
        check.recipient = event.recipient
        refusal = await self._shared.policy.rcpt(check)
        check.recipient = None
        if refusal is not None:
            return refusal
        if not transaction.queue_id:
            try:
                await self._take_queue_id(transaction)
            except TemporaryError:
                return NO_QUEUE
        transaction.add(event)
        check.recipient_count += 1
        return replies.RECIPIENT_OK

    async def _take_queue_id(self, transaction: Transaction) -> None:
        queue_id = await self._shared.cleanup.new_queue_id()
        transaction.queue_id = self.check.queue_id = queue_id
        client = self.client.log_name
        log.info(f"{queue_id}: client={client}", event="client", queue_id=queue_id, client=client)
        if self._local_headers is None:
            self._local_headers = await self._shared.header_rewriting.is_local(self.check)

    def data(self, event: Data) -> Answer:
        """DATA: ask the restrictions, open the message at cleanup."""
        check, transaction = self.check, self.transaction
        assert transaction is not None, "DATA outside of a transaction"
        check.recipient = transaction.recipients[0].address if len(transaction.recipients) == 1 else None
        return self._decide_data(transaction) if self._shared.policy.has_data else self._begin(transaction)

    async def _decide_data(self, transaction: Transaction) -> Reply:
        refusal = await self._shared.policy.data(self.check)
        return refusal or self._begin(transaction)

    def _begin(self, transaction: Transaction) -> Reply:
        check, client = self.check, self.client
        arrival = int(transaction.arrival)
        received = format_received(
            self._shared.server,
            None if self._settings.hide_client else Origin(check.helo or "", client.name, client.literal),
            with_protocol(check.protocol, smtputf8=transaction.mail.smtputf8),
            transaction.queue_id,
            (check.recipient or "", format_date(arrival, *local_zone(arrival))),
        )
        info = client_info(client, check.helo, check.protocol, local_headers=bool(self._local_headers))
        try:
            transaction.begin(self._shared.cleanup, info, received)
        except TemporaryError:
            return NO_QUEUE
        return replies.START_CONTENT

    # Chunks: the same with BDAT (RFC 3030). The session reads the octets of a refused one, too, before it is answered.

    def bdat(self, event: Bdat) -> Answer:
        """BDAT: the first one is what DATA is."""
        check, transaction = self.check, self.transaction
        assert transaction is not None, "BDAT outside of a transaction"
        if not event.first:
            return self._take_chunk(event, None)
        check.recipient = transaction.recipients[0].address if len(transaction.recipients) == 1 else None
        return self._decide_chunk(event) if self._shared.policy.has_data else self._begin_chunks(event, transaction)

    async def _decide_chunk(self, event: Bdat) -> Reply:
        assert self.transaction is not None
        refusal = await self._shared.policy.data(self.check, "BDAT")
        return self._begin_chunks(event, self.transaction) if refusal is None else self._take_chunk(event, refusal)

    def _begin_chunks(self, event: Bdat, transaction: Transaction) -> Reply:
        begun = self._begin(transaction)
        return self._take_chunk(event, begun if begun.code >= 400 else None)

    def _take_chunk(self, event: Bdat, refusal: Reply | None) -> Reply:
        limits = self._limits
        if refusal is None and 0 < limits.message_size < event.before + event.size:
            name = self.client.log_name
            log.warning(f"{self.check.queue_id}: BDAT request from {name} exceeds message size limit")
            refusal = replies.CHUNK_TOO_LARGE
        if refusal is not None:
            assert self.transaction is not None
            self.transaction.abort()
            if 0 < self._offer.session.skip_limit < event.size:
                return replies.closing(refusal)
        self._chunk_refusal = refusal
        return replies.START_CHUNK

    def end_of_chunk(self, event: EndOfChunk) -> Answer:
        """A chunk is complete, and more are to come."""
        refusal, self._chunk_refusal = self._chunk_refusal, None
        if refusal is None and event.bare_lf:
            refusal = self._bare_newline("BDAT content", self._settings.bare_newline_in_chunk)
            if refusal is not None and self.transaction is not None:
                self.transaction.abort()
        return replies.chunk_accepted(event.size) if refusal is None else refusal

    async def end_of_chunks(self, event: EndOfChunks) -> Reply:
        """The last chunk is complete: as the final dot."""
        refusal, self._chunk_refusal = self._chunk_refusal, None
        if refusal is None and event.bare_lf:
            refusal = self._bare_newline("END-OF-MESSAGE", self._settings.bare_newline_in_chunk)
        if refusal is not None:
            self.end_transaction()
            return refusal
        reply = await self.end_of_content(event)
        if reply.code == 250 and reply.text.startswith(_QUEUED):
            return Reply(250, reply.status, f"Ok: {event.size_bytes} bytes{reply.text[3:]}")
        return reply

    def chunk_refused(self, event: Refused, *, ended: bool) -> None:
        """The session has refused a chunk. ended: the transaction is over."""
        queue_id = self.check.queue_id or "NOQUEUE"
        name = self.client.log_name
        if event.reply is replies.BDAT_SYNTAX:
            log.warning(f"{queue_id}: malformed BDAT command syntax from {name}: {event.line[:100]}")
        elif event.reply is replies.NULL_CHUNK:
            log.warning(f"{queue_id}: null BDAT request from {name}")
        if ended:
            self.end_transaction()
        elif self.transaction is not None:
            self.transaction.abort()

    async def end_of_content(self, event: EndOfContent) -> Reply:
        """The final dot: the last restrictions, and then cleanup has the word."""
        check, transaction = self.check, self.transaction
        assert transaction is not None, "content outside of a transaction"
        reply = self._bare_newline("END-OF-MESSAGE", self._settings.bare_newline_reply) if event.bare_lf else None
        check.size = event.size_bytes
        if reply is None:
            reply = await self._shared.policy.end_of_data(check)
        if reply is not None:
            transaction.abort()
        else:
            done = await transaction.end()
            code, status = done.code, done.dsn
            if self._settings.soft_bounce and code >= 500:
                code, status = code - 100, "4" + status[1:]
            reply = Reply(code, status, done.text)
        self.end_transaction()
        return reply

    def _bare_newline(self, stage: str, refusal: Reply) -> Reply | None:
        self.bare_lf = True
        if self.trusted or not self._settings.rejects_bare_newline:
            return None
        self.check.stage = stage
        self.check.log("reject", str(refusal))
        return refusal

    async def vrfy(self, event: Vrfy) -> Reply:
        """VRFY: what RCPT would say (facts B04.39, B17.04)."""
        check = self.check
        if not event.smtputf8 and not event.address.isascii():
            refused = self._unannounced_utf8("VRFY", event.address, event.argument)
            if refused is not None:
                return refused
        before, check.recipient = (check.recipient, check.actions), event.address
        check.actions = []  # what tables ask for is meant for messages
        refusal = await self._shared.policy.rcpt(check, "VRFY")
        check.recipient, check.actions = before
        return refusal or Reply(252, "2.0.0", event.argument)

    def rset(self, event: Rset) -> Answer:
        """RSET."""
        self.end_transaction()
        return replies.OK

    def noop(self, event: Noop) -> Answer:
        """NOOP."""
        return replies.OK

    def help(self, event: Help) -> Answer:
        """HELP."""
        return HELP

    def quit(self, event: Quit) -> Answer:
        """QUIT."""
        return replies.BYE

    def end_transaction(self) -> None:
        """Forget the transaction; what was under way is dropped, what was handed over stays handed over."""
        if self.transaction is not None:
            self.transaction.abort()
            self.transaction = None
        check = self.check
        check.sender = check.recipient = None
        check.queue_id = ""
        check.recipient_count = check.size = 0

    def _unannounced_utf8(self, verb: str, address: str, argument: str) -> Reply | None:
        """Refuse an address that needs SMTPUTF8: a domain does (RFC 6531 3.4), a local part with strict_smtputf8."""
        if not (split_address(address).domain or "").isascii():
            log.warning(f"Illegal address syntax from {self.client.log_name} in {verb} command: {argument}")
            return replies.BAD_SENDER if verb == "MAIL" else replies.BAD_RECIPIENT
        return NEEDS_SMTPUTF8 if self._settings.strict_smtputf8 else None


END_OF_CONTENT: Final = "END-OF-MESSAGE"
Handler = Callable[[Conversation, Event], Reply | Awaitable[Reply]]
# By event: where the client is then, for the log; what has come to us, and what has gone well when the reply is a good
# one, as commands are counted (DATA and BDAT go well at their end); who decides.
HANDLERS: Final[dict[type, tuple[str, str, str, Handler]]] = {
    Helo: ("EHLO", "EHLO", "EHLO", Conversation.helo),  # type: ignore[dict-item]  # each handler gets its own kind of event
    Mail: ("MAIL", "MAIL", "MAIL", Conversation.mail),  # type: ignore[dict-item]
    Rcpt: ("RCPT", "RCPT", "RCPT", Conversation.rcpt),  # type: ignore[dict-item]
    Data: ("DATA", "DATA", "", Conversation.data),  # type: ignore[dict-item]
    EndOfContent: (END_OF_CONTENT, "", "DATA", Conversation.end_of_content),  # type: ignore[dict-item]
    Bdat: ("BDAT", "BDAT", "", Conversation.bdat),  # type: ignore[dict-item]
    EndOfChunk: ("BDAT", "", "BDAT", Conversation.end_of_chunk),  # type: ignore[dict-item]
    EndOfChunks: (END_OF_CONTENT, "", "BDAT", Conversation.end_of_chunks),  # type: ignore[dict-item]
    Rset: ("RSET", "RSET", "RSET", Conversation.rset),  # type: ignore[dict-item]
    Noop: ("NOOP", "NOOP", "NOOP", Conversation.noop),  # type: ignore[dict-item]
    Vrfy: ("VRFY", "VRFY", "VRFY", Conversation.vrfy),  # type: ignore[dict-item]
    Help: ("HELP", "HELP", "HELP", Conversation.help),  # type: ignore[dict-item]
    Quit: ("QUIT", "QUIT", "QUIT", Conversation.quit),  # type: ignore[dict-item]
}
