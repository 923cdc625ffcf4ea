"""The protocol of cleanup(8): smtpd, pickup, bounce, local → cleanup. Both ends.

A transaction is Open, any number of Content, maybe Amend, then End with the last content (or Abort), all with one
number; cleanup answers with one Done. Transactions of one connection interleave. The queue ID is chosen by the client
from a lease, so that it can be logged and shown before anything is committed; cleanup refuses one that is not from a
lease of that connection.

When the connection is lost after End, the client asks the next cleanup WasCommitted(queue ID) before it tells anybody
that the message was not accepted.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from posthouse.ipc.message import Envelope, Recipient
from posthouse.ipc.record import Request
from posthouse.ipc.stream import Channel, Client, Protocol, connect_to
from posthouse.protocol.queue_id import format_long_id, format_short_id
from posthouse.util.errors import TemporaryError

NAME: Final = "cleanup"
VERSION: Final = 3
CHUNK: Final = 64 * 1024  # bytes of content in one record at most
LEASE: Final = 64  # queue-ID numbers taken at once
LEASE_WAIT_S: Final = 30.0  # a session that gets no number by then answers 451


class Lease(Request, frozen=True, tag=1):
    """Ask for `count` numbers for queue IDs."""

    count: int


class Open(Request, frozen=True, tag=2):
    """Begin a transaction. envelope.size may be the client's SIZE= promise."""

    envelope: Envelope
    recipients: list[Recipient]


class Content(Request, frozen=True, tag=3):
    """More content, LF line ends; cut anywhere."""

    data: bytes


class End(Request, frozen=True, tag=4):
    """The message is complete with this last content: make it durable and answer Done."""

    data: bytes


class Abort(Request, frozen=True, tag=5):
    """Forget the transaction; no answer."""


class WasCommitted(Request, frozen=True, tag=6):
    """Ask whether a queue ID was committed (also when it was delivered since)."""

    queue_id: str


class Amend(Request, frozen=True, tag=7):
    """What was decided about an open transaction since its Open; fields as in Envelope, empty ones change nothing."""

    filter: str = ""
    redirect: str = ""
    bcc: tuple[str, ...] = ()
    hold: str = ""
    discard: str = ""


class Leased(Request, frozen=True, tag=11):
    """Numbers first … first+count-1 are this connection's. short: queue IDs of the short form are made of them."""

    first: int
    count: int
    short: bool = False


class Done(Request, frozen=True, tag=12):
    """What became of a transaction: the SMTP reply that says it (250 only after the durable commit)."""

    code: int
    dsn: str
    text: str
    queue_id: str


class Committed(Request, frozen=True, tag=13):
    """Answer to WasCommitted."""

    committed: bool


ToCleanup = Lease | Open | Content | End | Abort | WasCommitted | Amend
FromCleanup = Leased | Done | Committed

SERVER: Final[Protocol[ToCleanup]] = Protocol(NAME, VERSION, ToCleanup)
CLIENT: Final[Protocol[FromCleanup]] = Protocol(NAME, VERSION, FromCleanup)

UNAVAILABLE: Final = Done(0, 451, "4.3.0", "Error: queue file write error", "")


class Transaction:
    """One message on its way to cleanup. `done` gets the Done record; it never gets an exception."""

    __slots__ = ("_client", "_held", "done", "ended", "number", "queue_id")

    def __init__(self, client: "CleanupClient", number: int, queue_id: str, done: "asyncio.Future[Done]") -> None:
        self._client = client
        self.number = number
        self.queue_id = queue_id
        self.done = done
        self.ended = False
        self._held = b""  # the last content so far: that of most messages leaves with their end

    def content(self, data: bytes) -> None:
        """Send content; watch `congested`."""
        if self._held:
            self._client.send(Content(self.number, self._held))
        rest = len(data) % CHUNK or min(CHUNK, len(data))
        for start in range(0, len(data) - rest, CHUNK):
            self._client.send(Content(self.number, data[start : start + CHUNK]))
        self._held = data[len(data) - rest :]

    def amend(self, envelope: Envelope) -> None:
        """Say what was decided since the transaction was opened; of the envelope only what Amend has counts."""
        self._client.send(
            Amend(self.number, envelope.filter, envelope.redirect, envelope.bcc, envelope.hold, envelope.discard)
        )

    def end(self) -> "asyncio.Future[Done]":
        """Say that the message is complete."""
        self.ended = True
        self._client.send(End(self.number, self._held))
        self._held = b""
        return self.done

    def abort(self) -> None:
        """Forget the message."""
        self._client.forget(self)

    @property
    def congested(self) -> bool:
        """Whether cleanup takes content more slowly than it comes."""
        return self._client.congested


class CleanupClient:
    """A process's connection to cleanup. One per process; transactions of all its sessions share it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: str, *, timeout_s: float = 3600.0) -> None:
        self._loop = loop
        self._path = path
        self._timeout_s = timeout_s
        self._channel: Channel[FromCleanup] | None = None
        self._number = 0
        self._transactions: dict[int, Transaction] = {}
        self._numbers: list[int] = []  # leased, the next one last
        self._short = False  # what cleanup says of queue IDs
        self._lease_waits: list[asyncio.Future[None]] = []
        self._lease_asked = False
        self._lease_timer: asyncio.TimerHandle | None = None
        self._questions: Client[FromCleanup] = Client(loop, path, CLIENT, timeout_s=timeout_s)

    async def new_queue_id(self) -> str:
        """Take a queue ID. Raises TemporaryError when cleanup or the queue cannot be reached."""
        while not self._numbers:
            self._ask_lease()
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._lease_waits.append(waiter)
            await waiter
        number = self._numbers.pop()
        if len(self._numbers) == LEASE // 4:
            self._ask_lease()
        seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
        return format_short_id(microseconds, number) if self._short else format_long_id(seconds, microseconds, number)

    def begin(self, envelope: Envelope, recipients: Sequence[Recipient]) -> Transaction:
        """Open a transaction for envelope.queue_id (from new_queue_id). Raises TemporaryError: cleanup is away."""
        if self._channel is None:
            raise TemporaryError("cleanup service is away")
        self._number += 1
        transaction = Transaction(self, self._number, envelope.queue_id, self._loop.create_future())
        self._transactions[self._number] = transaction
        self._channel.send_with_next(Open(self._number, envelope, list(recipients)))  # content follows
        return transaction

    @property
    def congested(self) -> bool:
        """Whether bytes wait because cleanup is slow."""
        return self._channel is not None and self._channel.congested

    @property
    def idle(self) -> bool:
        """Whether no transaction is open."""
        return not self._transactions

    def send(self, record: Request) -> None:
        """Send a record of a transaction (for Transaction)."""
        if self._channel is not None and record.id in self._transactions:
            self._channel.send(record)

    def forget(self, transaction: Transaction) -> None:
        """Abort a transaction (for Transaction)."""
        if self._transactions.pop(transaction.number, None) is not None and self._channel is not None:
            self._channel.send(Abort(transaction.number))

    def close(self) -> None:
        """Close the connection; open transactions are lost, and say so."""
        if self._channel is not None:
            self._channel.close()
        self._questions.close()

    def _connect(self) -> bool:
        if self._channel is not None:
            return True
        try:
            sock = connect_to(self._path)
        except OSError:
            return False
        self._channel = Channel(self._loop, sock, CLIENT, self._on_record, self._on_close)
        return True

    def _ask_lease(self) -> None:
        if self._lease_asked:
            return
        self._lease_asked = True
        if self._connect():
            assert self._channel is not None
            self._channel.send(Lease(0, LEASE))
            self._lease_timer = self._loop.call_later(min(self._timeout_s, LEASE_WAIT_S), self._lease_failed)
        else:
            self._loop.call_soon(self._lease_failed)

    def _lease_failed(self) -> None:
        self._lease_ended()
        waits, self._lease_waits = self._lease_waits, []
        for waiter in waits:
            if not waiter.done():
                waiter.set_exception(TemporaryError("cleanup service does not answer"))

    def _lease_ended(self) -> None:
        self._lease_asked = False
        if self._lease_timer is not None:
            self._lease_timer.cancel()
            self._lease_timer = None

    def _on_record(self, channel: Channel[FromCleanup], record: FromCleanup) -> None:
        if isinstance(record, Done):
            transaction = self._transactions.pop(record.id, None)
            if transaction is not None and not transaction.done.done():
                transaction.done.set_result(record)
        elif isinstance(record, Leased):
            self._lease_ended()
            self._short = record.short
            self._numbers = [*range(record.first + record.count - 1, record.first - 1, -1), *self._numbers]
            waits, self._lease_waits = self._lease_waits, []
            for waiter in waits:
                if not waiter.done():
                    waiter.set_result(None)

    def _on_close(self, channel: Channel[FromCleanup]) -> None:
        if channel is not self._channel:
            return
        self._channel = None
        self._numbers.clear()  # a lease belongs to its connection
        if self._lease_asked:
            self._lease_failed()
        transactions, self._transactions = self._transactions, {}
        for transaction in transactions.values():
            if not transaction.ended:
                if not transaction.done.done():
                    transaction.done.set_result(UNAVAILABLE)
                continue
            question = WasCommitted(self._questions.next_id(), transaction.queue_id)
            self._questions.request(question).add_done_callback(partial(_settle, transaction))


def _settle(transaction: Transaction, answer: "asyncio.Future[FromCleanup]") -> None:
    if transaction.done.done():
        answer.exception()
        return
    record = None if answer.exception() is not None else answer.result()
    if isinstance(record, Committed) and record.committed:
        text = f"Ok: queued as {transaction.queue_id}"
        transaction.done.set_result(Done(transaction.number, 250, "2.0.0", text, transaction.queue_id))
    else:
        transaction.done.set_result(UNAVAILABLE)
