"""cleanup's side of qmgr: leases, commits that are replayed, and spool files for large content.

What fits a record goes through one Client, which sends a request again after a reconnect. Spool files belong to the
connection they were lent on, so they have a connection of their own and nothing of it is replayed: when it is lost
after a Commit, qmgr is asked whether that came through.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from posthouse.ipc.message import Envelope, Recipient
from posthouse.ipc.queue import (
    CLIENT,
    Commit,
    CommitResult,
    FromQueue,
    IsCommitted,
    IsCommittedResult,
    LeasedNumbers,
    LeaseNumbers,
    SpoolDrop,
    SpoolOpen,
    SpoolOpened,
)
from posthouse.ipc.record import Request
from posthouse.ipc.stream import Channel, Client, connect_to
from posthouse.util.errors import TemporaryError
from posthouse.util.files import close_done

PROTOCOL_BROKEN: Final = "qmgr answered with another record than asked for"


class QueueClient:
    """One process's way to the queue."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: str, *, timeout_s: float) -> None:
        self._requests: Client[FromQueue] = Client(loop, path, CLIENT, timeout_s=timeout_s)
        self._spools = _SpoolConnection(loop, path, timeout_s)

    async def lease(self, count: int) -> tuple[int, int]:
        """Lease queue-ID numbers: first and count."""
        answer = await self._requests.request(LeaseNumbers(self._requests.next_id(), count))
        if not isinstance(answer, LeasedNumbers):
            raise TemporaryError(PROTOCOL_BROKEN)
        return answer.first, answer.count

    async def commit(self, envelope: Envelope, recipients: list[Recipient], content: bytes) -> CommitResult:
        """Make a message durable."""
        answer = await self._requests.request(Commit(self._requests.next_id(), envelope, recipients, content))
        if not isinstance(answer, CommitResult):
            raise TemporaryError(PROTOCOL_BROKEN)
        return answer

    async def is_committed(self, queue_id: str) -> bool:
        """Ask whether a queue ID was ever committed."""
        answer = await self._requests.request(IsCommitted(self._requests.next_id(), queue_id))
        if not isinstance(answer, IsCommittedResult):
            raise TemporaryError(PROTOCOL_BROKEN)
        return answer.committed

    async def open_spool(self) -> "Spool":
        """Borrow a file for large content. Raises TemporaryError."""
        return await self._spools.open()

    async def commit_spool(self, envelope: Envelope, recipients: list[Recipient], spool: "Spool") -> CommitResult:
        """Make a message durable whose content is in a (synced) spool file."""
        answer = await self._spools.commit(envelope, recipients, spool)
        if answer is not None:
            return answer
        if await self.is_committed(envelope.queue_id):
            return CommitResult(0)
        return CommitResult(0, "the connection to qmgr was lost")

    def drop_spool(self, spool: "Spool") -> None:
        """Give a spool file back; the message is not wanted."""
        self._spools.drop(spool)

    def close(self) -> None:
        """Close the connections; what waits gets TemporaryError."""
        self._requests.close()
        self._spools.close()


@dataclass(frozen=True, slots=True)
class Spool:
    """A borrowed file. Who borrowed it writes to and closes `descriptor`."""

    number: int
    descriptor: int
    channel: Channel[FromQueue]


class _SpoolConnection:
    """One connection; all spool numbers are its own and die with it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: str, timeout_s: float) -> None:
        self._loop = loop
        self._path = path
        self._timeout_s = timeout_s
        self._channel: Channel[FromQueue] | None = None
        self._number = 0
        self._waiting: dict[int, asyncio.Future[CommitResult | Spool | str | None]] = {}

    async def open(self) -> Spool:
        if self._channel is None:
            self._channel = self._connect()
        answer = await self._ask(self._channel, SpoolOpen(self._next()))
        if isinstance(answer, Spool):
            return answer
        raise TemporaryError(answer if isinstance(answer, str) else "the connection to qmgr was lost")

    async def commit(self, envelope: Envelope, recipients: list[Recipient], spool: Spool) -> CommitResult | None:
        """None: the connection is lost; nobody knows yet what became of the commit."""
        if spool.channel is not self._channel:
            return None
        answer = await self._ask(self._channel, Commit(self._next(), envelope, recipients, b"", spool.number))
        return answer if isinstance(answer, CommitResult) else None

    def drop(self, spool: Spool) -> None:
        if self._channel is not None and spool.channel is self._channel:
            self._channel.send(SpoolDrop(self._next(), spool.number))

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _connect(self) -> Channel[FromQueue]:
        try:
            sock = connect_to(self._path)
        except OSError as error:
            raise TemporaryError(f"connect to {self._path}: {error.strerror}") from error
        return Channel(self._loop, sock, CLIENT, self._on_record, self._on_close)

    def _ask(
        self, channel: Channel[FromQueue], request: Request
    ) -> "asyncio.Future[CommitResult | Spool | str | None]":
        future: asyncio.Future[CommitResult | Spool | str | None] = self._loop.create_future()
        self._waiting[request.id] = future
        channel.send(request)
        channel.set_deadline(self._timeout_s)  # a qmgr that does not answer at all is given up
        return future

    def _on_record(self, channel: Channel[FromQueue], record: FromQueue) -> None:
        answer: CommitResult | Spool | str | None = None
        if isinstance(record, SpoolOpened):
            answer = record.error or Spool(record.spool, channel.take_descriptor(), channel)
        elif isinstance(record, CommitResult):
            answer = record
        waiting = self._waiting.pop(record.id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
        elif isinstance(answer, Spool):  # who asked is gone
            close_done(answer.descriptor)
            self.drop(answer)
        if not self._waiting:
            channel.set_deadline(0)

    def _on_close(self, channel: Channel[FromQueue]) -> None:
        if channel is not self._channel:
            return
        self._channel = None
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_result(None)
