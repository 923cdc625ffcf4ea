"""Client: one connection to cleanup(8), with any number of transactions: what each record of the protocol does."""

import socket
from functools import partial
from typing import Final, Protocol

from posthouse.daemons.cleanup.content_pass import ContentPass
from posthouse.daemons.cleanup.intake import Intake
from posthouse.daemons.cleanup.leases import BLOCK, LeasePool, LentNumbers
from posthouse.daemons.cleanup.outcome import BAD_TRANSACTION, QUEUE_FULL, Refusal
from posthouse.daemons.cleanup.queue_client import QueueClient
from posthouse.daemons.cleanup.transaction import Transaction
from posthouse.daemons.cleanup.write_out import WriteOut
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
from posthouse.ipc.record import Request
from posthouse.ipc.stream import Channel
from posthouse.skeleton.daemon import Context
from posthouse.util import log
from posthouse.util.errors import TemporaryError

MAX_BACKLOG: Final = 128 * 1024  # octets of one message that wait to be checked; then its client waits
MAX_TRANSACTIONS: Final = 10_000  # open at once on one connection; a client with more is out of its mind


class Cleanup(Protocol):
    """What all connections share."""

    context: Context
    intake: Intake
    queue: QueueClient
    leases: LeasePool
    write_out: WriteOut
    size_limit: int
    replace_cr: bool
    is_full: bool
    short_ids: bool
    finishing: int
    clients: "set[Client]"

    def checks_of(self, transaction: Transaction) -> ContentPass | None:
        """Begin to check the content of a message; None: nobody wants that."""


class Client:
    """One connection: any number of transactions."""

    def __init__(self, service: "Cleanup", sock: socket.socket) -> None:
        self._service = service
        self._numbers = LentNumbers(short=service.short_ids)
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
                self._service.intake.drop(transaction)
        starts = transaction is not None and transaction.add(record.data)
        if transaction is not None and transaction.checks is not None:
            if transaction.backlog > MAX_BACKLOG:
                self.pause(stop=True, why=transaction)
        elif transaction is not None and transaction.spool is not None:
            self._service.write_out.wrote(transaction, len(record.data))
        if transaction is not None and starts:
            transaction.spooling = self._channel.loop.create_future()
            resume = partial(self.pause, stop=False, why=transaction)
            self._channel.run(self._service.intake.spool(transaction, resume), _ignore)

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
            self._service.intake.drop(transaction)

    async def _lease(self, number: int) -> Leased | None:
        pool = self._service.leases
        try:
            first = await pool.take_block()
        except TemporaryError as error:
            log.warning(f"no queue ID numbers from qmgr: {error}")
            return None  # the client's own time limit speaks
        if self._numbers.is_full:
            log.warning("cleanup protocol: a client leases queue IDs and uses none; connection closed")
            self._channel.abort()
            return None
        self._numbers.lend(first)
        if pool.low:
            self._channel.run(pool.refill(), _ignore)
        return Leased(number, first, BLOCK, self._service.short_ids)

    async def _was_committed(self, record: WasCommitted) -> Committed | None:
        try:
            return Committed(record.id, await self._service.queue.is_committed(record.queue_id))
        except TemporaryError as error:
            log.warning(f"qmgr does not say whether {record.queue_id[:40]} was committed: {error}")
            return None

    async def _finish(self, number: int, transaction: Transaction) -> Done:
        try:
            await self._service.intake.complete(transaction)
        finally:
            self._service.finishing -= 1
        queue_id = transaction.envelope.queue_id
        if transaction.refusal is not None:
            return _done(number, transaction.refusal, queue_id)
        return Done(number, 250, "2.0.0", f"Ok: queued as {queue_id}", queue_id)

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


def _done(number: int, refusal: Refusal, queue_id: str = "") -> Done:
    return Done(number, refusal.code, refusal.dsn, refusal.text, queue_id)


def _ignore(_: None) -> None:
    """Nothing is to be done at the end."""
