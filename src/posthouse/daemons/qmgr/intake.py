"""Messages in: cleanup's requests. A commit is answered when the store says it is durable, never before.

Requests come again after a reconnect; the store knows a queue ID that it has (or had not long ago), and answers
"committed" without a second copy. Spool files belong to the connection that asked for them.
"""

from collections.abc import Callable
from functools import partial

from posthouse.daemons.qmgr.ledger import Ledger
from posthouse.daemons.qmgr.message import ActiveMessage
from posthouse.ipc.queue import (
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
from posthouse.queue.spool import SpoolFile
from posthouse.skeleton.resources import Resources
from posthouse.util import eager, log
from posthouse.util.errors import TemporaryError


class Intake:
    """One connection of a cleanup process. `stored` is called for each new message that is durable."""

    def __init__(self, ledger: Ledger, stored: Callable[[ActiveMessage], None], resources: Resources) -> None:
        self._ledger = ledger
        self._stored = stored
        self._resources = resources
        self._spool: dict[int, SpoolFile] = {}
        self._spool_number = 0

    def on_record(self, channel: Channel[ToQueue], record: ToQueue) -> None:
        """Take a request."""
        if isinstance(record, Commit):
            self._commit(channel, record)
        elif isinstance(record, LeaseNumbers):
            eager.start(self._ledger.lease(record.count), partial(self._leased, channel, record))
        elif isinstance(record, IsCommitted):
            eager.start(self._ledger.is_committed(record.queue_id), partial(self._is_committed, channel, record))
        elif isinstance(record, SpoolOpen):
            self._open_spool(channel, record)
        else:
            self._drop_spool(record)

    def on_close(self, _channel: Channel[ToQueue]) -> None:
        """Drop spool files that were not committed."""
        for file in self._spool.values():
            self._ledger.drop_spool(file)
        self._spool.clear()

    def _commit(self, channel: Channel[ToQueue], record: Commit) -> None:
        file = self._spool.pop(record.spool, None) if record.spool else None
        if record.spool and file is None:
            channel.send(CommitResult(record.id, "no such spool file"))
            return
        if self._resources.state.deliveries_only and not record.envelope.internal:
            if file is not None:
                self._ledger.drop_spool(file)
            channel.send(CommitResult(record.id, "what room is left is for deliveries", full=True))
            return

        def done(error: str, full: bool, now: ActiveMessage | None) -> None:
            if error:
                log.warning(f"{record.envelope.queue_id}: not stored: {error}")
            channel.send(CommitResult(record.id, error, full))
            if now is not None:
                self._stored(now)

        self._ledger.commit(record.envelope, record.recipients, record.content if file is None else file, done)

    def _leased(self, channel: Channel[ToQueue], record: LeaseNumbers, outcome: eager.Outcome[int]) -> None:
        try:
            first = outcome.result()
        except TemporaryError as error:
            log.warning(f"lease of queue-ID numbers: {error}")
            channel.close()  # cleanup asks again, and mail waits with its client
            return
        channel.send(LeasedNumbers(record.id, first, record.count))

    def _is_committed(self, channel: Channel[ToQueue], record: IsCommitted, outcome: eager.Outcome[bool]) -> None:
        channel.send(IsCommittedResult(record.id, outcome.result()))

    def _open_spool(self, channel: Channel[ToQueue], record: SpoolOpen) -> None:
        try:
            file = self._ledger.create_spool()
        except OSError as error:
            channel.send(SpoolOpened(record.id, 0, f"spool file: {error.strerror}"))
            return
        self._spool_number += 1
        self._spool[self._spool_number] = file
        channel.send_with_descriptor(SpoolOpened(record.id, self._spool_number), file.descriptor)

    def _drop_spool(self, record: SpoolDrop) -> None:
        file = self._spool.pop(record.spool, None)
        if file is not None:
            self._ledger.drop_spool(file)
