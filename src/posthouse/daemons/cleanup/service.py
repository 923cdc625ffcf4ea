"""CleanupService: the clients of cleanup(8), their transactions, and the way of each message to qmgr.

A message is answered 250 only after qmgr has said that it is durable. What cannot be done now (a table, qmgr, no room)
is answered 4xx, and the client still has the message.
"""

import asyncio
import os
import socket
from typing import Final

from posthouse.config.parameters import (
    IN_FLOW_DELAY,
    IPC_TIMEOUT,
    MESSAGE_SIZE_LIMIT,
    PROXYMAP_SERVICE_NAME,
    QUEUE_SERVICE_NAME,
)
from posthouse.daemons.cleanup.addresses import ENVELOPE_RECIPIENT, ENVELOPE_SENDER, AddressMappings
from posthouse.daemons.cleanup.content_pass import ContentPass
from posthouse.daemons.cleanup.content_rules import ContentRules
from posthouse.daemons.cleanup.envelope import EnvelopeEditor, header_is_utf8
from posthouse.daemons.cleanup.header import Edited, HeaderEditor
from posthouse.daemons.cleanup.leases import BLOCK, LeasePool, LentNumbers
from posthouse.daemons.cleanup.origin import Origin
from posthouse.daemons.cleanup.outcome import (
    ALIAS_ERROR,
    BAD_TRANSACTION,
    QUEUE_FULL,
    TOO_MANY_RECIPIENTS,
    WRITE_ERROR,
    Refusal,
    RefusedError,
)
from posthouse.daemons.cleanup.parameters import CLEANUP_REPLACE_STRAY_CR_LF
from posthouse.daemons.cleanup.queue_client import QueueClient
from posthouse.daemons.cleanup.transaction import Transaction
from posthouse.daemons.cleanup.write_out import BUDGET, SMALL_BUDGET, WriteOut
from posthouse.ipc.cleanup import (
    SERVER,
    Abort,
    Amend,
    Committed,
    Content,
    Done,
    End,
    Lease,
    Leased,
    Open,
    ToCleanup,
    WasCommitted,
)
from posthouse.ipc.message import NO_COPIES, Envelope, Recipient
from posthouse.ipc.own_users import Door
from posthouse.ipc.queue import CommitResult
from posthouse.ipc.stream import MAX_FRAME, Channel, Request, refuse_descriptors, replace
from posthouse.rewriting.classes import LocalDomains, search_rules
from posthouse.rewriting.local import Rewriter
from posthouse.rewriting.mapping import ExpansionError
from posthouse.skeleton.daemon import Context, Service
from posthouse.tables.open import Opener
from posthouse.tables.proxy import ProxyClient
from posthouse.util import log
from posthouse.util.errors import TemporaryError
from posthouse.util.files import close_done

MANY: Final = 1000  # recipients; fewer fit a record, however long they are
MAX_RECIPIENTS_SIZE: Final = MAX_FRAME - 1024 * 1024  # octets of all recipients in the record for qmgr
MAX_BACKLOG: Final = 128 * 1024  # octets of one message that wait to be checked; then its client waits
MAX_TRANSACTIONS: Final = 10_000  # open at once on one connection; a client with more is out of its mind


class CleanupService(Service):
    """Raises ConfigError from its constructor: a table that cannot be opened."""

    def __init__(self, context: Context) -> None:
        self.context = context
        settings, loop = context.settings, context.loop
        self._proxy = ProxyClient(loop, context.private(settings[PROXYMAP_SERVICE_NAME]))
        self._opener = opener = Opener(settings, proxy=self._proxy)
        rewriter = Rewriter(settings)
        rules = search_rules(settings, LocalDomains(settings, opener))
        mappings = AddressMappings(settings, opener, rules, rewriter)
        self.envelopes = EnvelopeEditor(settings, opener, rules, rewriter, mappings)
        self.headers = HeaderEditor(settings, mappings, self.envelopes.sender)
        self._content_rules = ContentRules(settings, opener)
        self._logged = mappings.mapping(ENVELOPE_SENDER), mappings.mapping(ENVELOPE_RECIPIENT)
        queue = context.public(settings[QUEUE_SERVICE_NAME])
        self.queue = QueueClient(loop, queue, timeout_s=settings[IPC_TIMEOUT])
        self.leases = LeasePool(loop, self.queue.lease)
        self.size_limit = settings[MESSAGE_SIZE_LIMIT]
        self.replace_cr = settings[CLEANUP_REPLACE_STRAY_CR_LF]
        self._in_flow_delay = settings[IN_FLOW_DELAY]
        self.pause_s = 0.0  # before each new message, while mail comes in faster than it goes out
        self.is_full = False  # what room is left is for our own notices
        self.clients: set[_Client] = set()
        self.write_out = WriteOut(loop, self._pause_clients)
        context.resources.watch(self._review_resources)
        self._door = Door(settings, "cleanup")
        refuse_descriptors(context.listeners)
        self.finishing = 0  # messages on their way to qmgr; their client may be gone

    def _review_resources(self) -> None:
        state = self.context.resources.state
        self.pause_s = self._in_flow_delay if state.slow_intake else 0.0
        self.is_full = state.deliveries_only
        self.write_out.budget = SMALL_BUDGET if state.content_share < 1.0 else BUDGET

    def _pause_clients(self, stop: bool) -> None:
        for client in self.clients:
            client.pause(stop=stop)

    def checks_of(self, transaction: Transaction) -> ContentPass | None:
        """Begin to check the content of a message; None: nobody wants that."""
        envelope, rules = transaction.envelope, self._content_rules
        if not rules.applies(envelope):
            return None
        return ContentPass(rules, self.headers, transaction, Origin(envelope, transaction.recipients, *self._logged))

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a client: one of our daemons. Anybody can connect, and could say that a message came from anywhere."""
        if self._door.admits(sock):
            self.context.session_started()
            self.clients.add(_Client(self, sock))

    @property
    def busy(self) -> bool:
        """Whether messages are on their way to qmgr."""
        return self.finishing > 0

    def closing(self) -> None:
        """Close what was opened."""
        self.queue.close()
        self._proxy.close()
        self._opener.close()


class _Client:
    """One connection: any number of transactions."""

    def __init__(self, service: CleanupService, sock: socket.socket) -> None:
        self._service = service
        self._numbers = LentNumbers()
        self._open: dict[int, Transaction] = {}
        self._pauses: set[object] = set()  # why nothing is read
        self._channel: Channel[ToCleanup] = Channel(service.context.loop, sock, SERVER, self._on_record, self._on_close)

    def _on_record(self, channel: Channel[ToCleanup], record: ToCleanup) -> None:
        kind = type(record)
        if kind is Content:
            self._content(record)  # type: ignore[arg-type]
        elif kind is Open:
            self._begin(record)  # type: ignore[arg-type]
        elif kind is End:
            self._content(record)  # type: ignore[arg-type]
            self._end(record.id)
        elif kind is Abort:
            self._abort(record.id)
        elif kind is Amend:
            self._amend(record)  # type: ignore[arg-type]
        elif kind is Lease:
            channel.run(self._lease(record.id), self._send)
        elif kind is WasCommitted:
            channel.run(self._was_committed(record), self._send)  # type: ignore[arg-type]

    def _send(self, record: Request | None) -> None:
        if record is not None:
            self._channel.send(record)

    def _begin(self, record: Open) -> None:
        transaction = Transaction(
            record.envelope,
            record.recipients,
            size_limit=self._service.size_limit,
            replace_cr=self._service.replace_cr,
        )
        if record.id in self._open or len(self._open) >= MAX_TRANSACTIONS:
            log.warning("cleanup protocol: a transaction number twice, or too many transactions; connection closed")
            self._channel.abort()
            return
        self._open[record.id] = transaction
        transaction.checks = self._service.checks_of(transaction)
        if not self._numbers.use(record.envelope.queue_id):
            log.warning(f"cleanup protocol: queue ID {record.envelope.queue_id[:40]} is not from this client's lease")
            transaction.refuse(BAD_TRANSACTION)

    def _content(self, record: Content | End) -> None:
        transaction = self._open.get(record.id)
        if self._service.is_full and transaction is not None and not transaction.envelope.internal:
            transaction.refuse(QUEUE_FULL)
            if transaction.spooling is None or transaction.spooling.done():
                self._drop_spool(transaction)
        starts = transaction is not None and transaction.add(record.data)
        if transaction is not None and transaction.checks is not None:
            if transaction.backlog > MAX_BACKLOG:
                self.pause(stop=True, why=transaction)
        elif transaction is not None and transaction.spool is not None:
            self._service.write_out.wrote(transaction, len(record.data))
        if transaction is not None and starts:
            transaction.spooling = self._channel.loop.create_future()
            self._channel.run(self._service_spool(transaction), _ignore)

    def _amend(self, record: Amend) -> None:
        transaction = self._open.get(record.id)
        if transaction is not None:
            transaction.amend(record)

    def _end(self, number: int) -> None:
        transaction = self._open.pop(number, None)
        if transaction is None:
            self._channel.send(_done(number, BAD_TRANSACTION))
            return
        self._service.finishing += 1
        self._channel.run(self._finish(number, transaction), self._send)

    def _abort(self, number: int) -> None:
        transaction = self._open.pop(number, None)
        if transaction is not None:
            transaction.refuse(BAD_TRANSACTION)
            self._drop_spool(transaction)

    async def _lease(self, number: int) -> Leased | None:
        pool = self._service.leases
        try:
            first = await pool.take_block()
        except TemporaryError as error:
            log.warning(f"no queue ID numbers from qmgr: {error}")
            return None  # the client's own time limit speaks
        self._numbers.lend(first)
        if pool.low:
            self._channel.run(pool.refill(), _ignore)
        return Leased(number, first, BLOCK)

    async def _was_committed(self, record: WasCommitted) -> Committed | None:
        try:
            return Committed(record.id, await self._service.queue.is_committed(record.queue_id))
        except TemporaryError as error:
            log.warning(f"qmgr does not say whether {record.queue_id[:40]} was committed: {error}")
            return None

    async def _service_spool(self, transaction: Transaction) -> None:
        """Borrow a spool file, and write content into it as it is to be: what has come, and what is still to come."""
        spooling, checks = transaction.spooling, transaction.checks
        assert spooling is not None
        try:
            if checks is None:
                await self._edit_header(transaction)
            transaction.spool = await self._service.queue.open_spool()
            if checks is None:
                self._write(transaction, transaction.take())
            else:
                await self._check_all(transaction, checks)
        except RefusedError as refused:
            transaction.refuse(refused.refusal)
        except ExpansionError:
            transaction.refuse(ALIAS_ERROR)
        except TemporaryError as error:
            log.warning(f"{transaction.envelope.queue_id}: no spool file: {error}")
            transaction.refuse(WRITE_ERROR)
        self.pause(stop=False, why=transaction)
        if transaction.refusal is not None:  # or given up meanwhile
            self._drop_spool(transaction)
        spooling.set_result(None)

    def _write(self, transaction: Transaction, content: bytes) -> None:
        if transaction.spool is not None and transaction.refusal is None:
            transaction.write(content)
            self._service.write_out.wrote(transaction, len(content))

    async def _check_all(self, transaction: Transaction, checks: ContentPass) -> None:
        """Check content as it comes, and write what becomes of it. Raises RefusedError, TemporaryError."""
        while transaction.refusal is None:
            is_complete, content = transaction.complete, transaction.take()
            self.pause(stop=False, why=transaction)
            if content:
                if not transaction.original:
                    transaction.remember(content)
                await checks.feed(content)
            elif is_complete:
                await checks.close()
                envelope = replace(transaction.envelope, encoding=checks.encoding)
                transaction.message_id, transaction.envelope = checks.message_id, _find_utf8(envelope, checks.header)
            else:
                await transaction.more()
            self._write(transaction, checks.take())
            if is_complete and not content:
                return

    async def _edit_header(self, transaction: Transaction) -> None:
        content = transaction.take()
        transaction.remember(content)
        edited = await self._service.headers.edit(content, transaction.envelope)
        transaction.message_id = edited.message_id
        transaction.envelope = _find_utf8(replace(transaction.envelope, encoding=edited.encoding), edited.content)
        transaction.put_back(edited.content)

    async def _finish(self, number: int, transaction: Transaction) -> Done:
        try:
            await self._complete(transaction)
            if transaction.is_returned:
                await self._return(transaction)
        finally:
            self._service.finishing -= 1
            self._drop_spool(transaction)
        queue_id = transaction.envelope.queue_id
        if transaction.refusal is not None:
            return _done(number, transaction.refusal, queue_id)
        return Done(number, 250, "2.0.0", f"Ok: queued as {queue_id}", queue_id)

    async def _complete(self, transaction: Transaction) -> None:
        """Make the message durable, or note why it is refused."""
        try:
            transaction.end()
            if transaction.spooling is not None:
                await transaction.spooling
            if self._service.pause_s and not transaction.envelope.internal:
                await self._pause(self._service.pause_s)
            if transaction.refusal is None:
                await self._commit(transaction)
        except RefusedError as refused:
            transaction.refuse(refused.refusal)
        except ExpansionError:
            transaction.refuse(ALIAS_ERROR)
        except TemporaryError as error:
            log.warning(f"{transaction.envelope.queue_id}: {error}")
            transaction.refuse(WRITE_ERROR)

    async def _return(self, transaction: Transaction) -> None:
        """Store a refused message after all, for qmgr to return: its sender is not there to be told (facts B07.24)."""
        refusal, content = transaction.refusal, transaction.original
        assert refusal is not None, "nothing was refused"
        envelope = replace(
            transaction.envelope,
            refusal=f"{refusal.dsn} {refusal.text.removeprefix('Error: ')}",
            overrides=transaction.envelope.overrides | NO_COPIES,
            size=len(content),
            dsn_ret="HDRS",
            hold="",
            bcc=(),
            redirect="",
        )
        transaction.refusal = None
        try:
            sender = await self._service.envelopes.sender(envelope.sender, envelope.overrides)
            final = await self._service.envelopes.complete(replace(envelope, sender=sender), transaction.recipients)
            _check_room(*final)
            _check(await self._service.queue.commit(*final, content), envelope.queue_id)
        except RefusedError as refused:
            transaction.refusal = refused.refusal
        except TemporaryError as error:
            log.warning(f"{envelope.queue_id}: {error}")
            transaction.refusal = WRITE_ERROR

    async def _pause(self, seconds: float) -> None:
        """Let the queue catch up (in_flow_delay): each client waits for itself."""
        over: asyncio.Future[None] = self._channel.loop.create_future()
        self._channel.loop.call_later(seconds, over.set_result, None)
        await over

    async def _commit(self, transaction: Transaction) -> None:
        """Make the message durable. Raises RefusedError, TemporaryError."""
        service = self._service
        content, size = b"", 0
        if transaction.spool is None:
            edited = await self._edit(transaction)
            content, size = edited.content, len(edited.content)
            message_id, encoding = edited.message_id, edited.encoding
            envelope = _find_utf8(transaction.envelope, content)
        else:
            envelope = transaction.envelope
            message_id, encoding = transaction.message_id, envelope.encoding
            service.write_out.forget(transaction)  # from now on nothing else opens its file
            await service.write_out.settled(transaction)
            size = await self._sync(transaction.spool.descriptor)
            if transaction.refusal is not None:  # its early sync failed
                return
        if envelope.discard:
            return
        sender = await service.envelopes.sender(envelope.sender, envelope.overrides)
        envelope = replace(envelope, sender=sender, size=size, message_id=message_id, encoding=encoding)
        envelope, recipients = await service.envelopes.complete(envelope, transaction.recipients)
        _check_room(envelope, recipients)
        if transaction.spool is None:
            result = await service.queue.commit(envelope, recipients, content)
        else:
            spool, transaction.spool = transaction.spool, None
            close_done(spool.descriptor)
            result = await service.queue.commit_spool(envelope, recipients, spool)
        _check(result, envelope.queue_id)

    async def _edit(self, transaction: Transaction) -> Edited:
        """Make content that is complete what goes into the queue. Raises RefusedError, TemporaryError."""
        content, checks = transaction.take(), transaction.checks
        transaction.remember(content)
        if checks is None:
            return await self._service.headers.edit(content, transaction.envelope)
        await checks.feed(content)
        await checks.close()
        return Edited(checks.take(), checks.message_id, checks.encoding)

    async def _sync(self, descriptor: int) -> int:
        """Sync the spool file, in a thread: that waits for the disk. Raises TemporaryError; it is not tried again."""
        try:
            await self._channel.loop.run_in_executor(None, os.fdatasync, descriptor)
            return os.fstat(descriptor).st_size
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread could be started
            raise TemporaryError(f"sync spool file: {error}") from error

    def _drop_spool(self, transaction: Transaction) -> None:
        if transaction.spool is not None:
            self._service.write_out.forget(transaction)
            spool, transaction.spool = transaction.spool, None
            close_done(spool.descriptor)
            self._service.queue.drop_spool(spool)

    def pause(self, *, stop: bool, why: object = None) -> None:
        """Read nothing more for now, or go on when no other reason is left."""
        if stop:
            self._pauses.add(why)
            self._channel.pause_reading()
        elif self._pauses:
            self._pauses.discard(why)
            if not self._pauses:
                self._channel.resume_reading()

    def _on_close(self, channel: Channel[ToCleanup]) -> None:
        self._service.clients.discard(self)
        for number in list(self._open):
            self._abort(number)
        self._service.context.session_ended()


def _check(result: CommitResult, queue_id: str) -> None:
    if result.error:
        log.warning(f"{queue_id}: queue file write error: {result.error}")
        raise RefusedError(QUEUE_FULL if result.full else WRITE_ERROR)


def _done(number: int, refusal: Refusal, queue_id: str = "") -> Done:
    return Done(number, refusal.code, refusal.dsn, refusal.text, queue_id)


def _find_utf8(envelope: Envelope, content: bytes) -> Envelope:
    """See whether the header needs SMTPUTF8 where nobody has said so (smtputf8_autodetect_classes)."""
    if envelope.finds_smtputf8 and not envelope.smtputf8 and header_is_utf8(content):
        return replace(envelope, smtputf8=True)
    return envelope


def _ignore(_: None) -> None:
    """Nothing is to be done at the end."""


def _check_room(envelope: Envelope, recipients: list[Recipient]) -> None:
    """See whether all recipients fit a record. Raises RefusedError."""
    if len(recipients) > MANY and sum(map(_room, (*recipients, *envelope.expanded))) > MAX_RECIPIENTS_SIZE:
        raise RefusedError(TOO_MANY_RECIPIENTS)


def _room(recipient: Recipient) -> int:
    """How many octets a recipient takes in a record, at most."""
    texts = (recipient.address, recipient.original, recipient.dsn_orcpt)
    return sum(len(text.encode("utf-8", "surrogateescape")) for text in texts) + 32
