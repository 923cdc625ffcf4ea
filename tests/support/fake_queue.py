"""FakeQueue: a qmgr that takes messages into a list, for tests of those who hand messages to it."""

import os
import socket
import tempfile
from collections.abc import Callable

from posthouse.ipc.message import Envelope, Recipient
from posthouse.ipc.queue import (
    SERVER,
    Commit,
    CommitResult,
    IsCommitted,
    IsCommittedResult,
    LeasedNumbers,
    LeaseNumbers,
    SpoolDrop,
    SpoolOpen,
    SpoolOpened,
    ToQueue,
)
from posthouse.ipc.stream import Channel
from posthouse.skeleton.daemon import Context, Service


class FakeQueue(Service):
    """Answers as qmgr does. `fail` decides about each commit; `silent` leaves commits unanswered."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.messages: list[tuple[Envelope, list[Recipient], bytes]] = []
        self.channels: list[Channel[ToQueue]] = []
        self.fail: Callable[[Commit], CommitResult | None] = lambda _commit: None
        self.silent = False
        self.dropped: list[int] = []
        self._next_number = 1_000_000
        self._spools: dict[int, int] = {}

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a cleanup."""
        self.channels.append(Channel(self._context.loop, sock, SERVER, self._on_record, self.channels.remove))

    def closing(self) -> None:
        """Close the connections and spool files."""
        for channel in list(self.channels):
            channel.abort()
        for descriptor in self._spools.values():
            os.close(descriptor)

    def _on_record(self, channel: Channel[ToQueue], record: ToQueue) -> None:
        if isinstance(record, LeaseNumbers):
            channel.send(LeasedNumbers(record.id, self._next_number, record.count))
            self._next_number += record.count
        elif isinstance(record, Commit):
            self._commit(channel, record)
        elif isinstance(record, IsCommitted):
            known = any(envelope.queue_id == record.queue_id for envelope, _, _ in self.messages)
            channel.send(IsCommittedResult(record.id, known))
        elif isinstance(record, SpoolOpen):
            with tempfile.TemporaryFile() as file:
                descriptor = self._spools[record.id] = os.dup(file.fileno())
            channel.send_with_descriptor(SpoolOpened(record.id, record.id), descriptor)
        elif isinstance(record, SpoolDrop):
            self.dropped.append(record.spool)

    def _commit(self, channel: Channel[ToQueue], record: Commit) -> None:
        failure = self.fail(record)
        if failure is not None:
            channel.send(CommitResult(record.id, failure.error, failure.full))
            return
        content = record.content
        if record.spool:
            descriptor = self._spools[record.spool]
            content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        if all(envelope.queue_id != record.envelope.queue_id for envelope, _, _ in self.messages):
            self.messages.append((record.envelope, record.recipients, content))
        if not self.silent:
            channel.send(CommitResult(record.id))
