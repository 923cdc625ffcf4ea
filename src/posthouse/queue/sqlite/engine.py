"""SqliteEngine: the queue store on one SQLite file, in one thread.

What SQLite reports decides: no room (SQLITE_FULL) refuses a batch's mail and keeps the store; anything that speaks of
reading, writing or syncing ends it for good. Then the mark is written, and every call raises StoreFailedError: after
a failed sync the kernel may hold pages that are not on the disk, and does not say so again.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, cast

import apsw

from posthouse.queue.directory import StoreDirectory
from posthouse.queue.engine import Batch, Commit, Request
from posthouse.queue.hold import HoldFile
from posthouse.queue.spool import Spool, SpoolContent, SpoolFile
from posthouse.queue.sqlite import changes, check, maintenance, reads
from posthouse.queue.sqlite.log import PAGE_SIZE
from posthouse.queue.sqlite.removed import Removed
from posthouse.queue.sqlite.schema import CHECKPOINT_BYTES, HELD_BYTES, reason_of, roll_back
from posthouse.queue.sqlite.writes import Transaction
from posthouse.queue.values import (
    Change,
    Changed,
    ChangedPage,
    Committed,
    Counts,
    DueKey,
    DuePage,
    Filter,
    Listing,
    NotStoredError,
    Page,
    StoredMessage,
    StoredRecipient,
    StoreFailedError,
    StoreFullError,
)

_CHECKPOINT_PAGES: Final = CHECKPOINT_BYTES // PAGE_SIZE
_HELD_PAGES: Final = HELD_BYTES // PAGE_SIZE
# What says that the file, the disk or our knowledge of them is broken. Anything else from apsw is a bug of ours.
_FATAL: Final = (
    apsw.IOError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.PermissionsError,
    apsw.BusyError,
    OSError,  # of the spool's directory
)


class SqliteEngine:
    """See posthouse.queue.engine.Engine."""

    def __init__(
        self,
        connection: apsw.Connection,
        directory: StoreDirectory,
        generation: int,
        spool: Spool,
        report: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._directory = directory
        self._generation = generation
        self._spool = spool
        self._failure: StoreFailedError | None = None
        self._transaction: Transaction | None = None  # while one is open
        self._wal_pages = 0  # not yet copied into the store file
        self._report = report
        self._sweep = maintenance.Sweep(connection, spool)
        self._removed = Removed()
        with self._failing_for_good():
            self._batch, self._counts, self._next_number = maintenance.read_ledger(connection, self._removed)
            self._next_key = 1 + int(cast("int", connection.execute("SELECT ifnull(max(key), 0) FROM message").get))
        connection.set_wal_hook(self._note_wal)
        self._hold = HoldFile(directory.path)

    def close(self) -> None:
        """Give the files back; a healthy store is left without a WAL, unless somebody reads it just now."""
        with self._hold.unless_held() as is_free:
            try:
                with self._failing_for_good():
                    if is_free:
                        self._copy_log()
                leaves_log = not is_free
            except StoreFailedError:
                leaves_log = True
            if leaves_log:
                self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            with suppress(apsw.Error):  # everything acknowledged is in the file or in its log, synced
                self._connection.close(True)
        self._hold.close()
        self._spool.close()
        self._directory.close()

    def next_key(self) -> int:
        """The first message key that is free."""
        return self._next_key

    def counts(self) -> Counts:
        """How many messages each queue holds."""
        return self._counts

    # -- batches

    def execute(self, batch: Batch) -> None:
        """Store a batch with one sync."""
        if not (batch.commits or batch.has_updates() or any(request.writes for request in batch.requests)):
            self._check()
            return
        with self._failing_for_good():
            self._publish(batch.commits)
            self._store_somehow(batch)
        self._check()  # a request may have met a failure

    def read(self, batch: Batch) -> None:
        """Perform the batch's requests that only read."""
        for request in batch.requests:
            if not request.writes:
                self._perform(request)

    def _store_somehow(self, batch: Batch) -> None:
        """Store a batch, going round what can be gone round: replayed commits, strange text, a full disk."""
        storable = check = is_full = False
        while True:
            try:
                return self._store(batch, storable, check)
            except apsw.ConstraintError:
                if check:
                    raise
                check = True  # a replayed commit: find out which
            except UnicodeEncodeError:
                if storable:
                    raise
                storable = True
            except (apsw.FullError, apsw.NoMemError) as error:
                roll_back(self._connection)
                if is_full and not self._refuse(batch, error):
                    return None
                is_full = True
                self._checkpoint(
                    overrule=True
                )  # after it the log is written from its beginning again: room for a little
            finally:
                self._transaction = None
                roll_back(self._connection)

    def _store(self, batch: Batch, storable: bool, check: bool) -> None:
        """Run one transaction and, when it is durable, draw the consequences."""
        fresh, known = self._sort_out(batch.commits, check)
        transaction = self._transaction = Transaction(self._connection, self._counts, self._next_number, storable)
        transaction.begin()
        transaction.insert(fresh)
        if batch.results:
            transaction.record(batch.results)
        if batch.settled:
            transaction.settle(batch.settled)
        if batch.deferrals:
            transaction.defer(batch.deferrals)
        replaced = [(commit.message.replaces, "") for commit in fresh if commit.message.replaces]
        transaction.remove([*batch.removals, *replaced])
        for request in batch.requests:
            if request.writes and request.error is None:
                self._perform(request)
        self._check()
        transaction.commit(self._batch + 1)
        self._conclude(transaction)
        for commit in fresh:
            commit.answer = Committed(commit.key, False)
        for commit, key in known:
            commit.answer = Committed(key, True)
            self._drop_spool(commit)

    def _sort_out(self, commits: list[Commit], check: bool) -> tuple[list[Commit], list[tuple[Commit, int]]]:
        """Part new messages from those that are there already (with their keys); refused ones are in neither."""
        keys: dict[str, int] = {}
        waiting = [commit for commit in commits if commit.answer is None]
        if check and waiting:
            rows = self._connection.execute(
                "SELECT queue_id, key FROM message WHERE queue_id IN (SELECT value FROM carray(?))",
                (apsw.carray(tuple(commit.message.queue_id for commit in waiting)),),
            )
            keys = dict(cast("Iterator[tuple[str, int]]", rows))
        fresh: list[Commit] = []
        known: list[tuple[Commit, int]] = []
        for commit in waiting:
            queue_id = commit.message.queue_id
            if queue_id in self._removed:
                known.append((commit, 0))
            elif queue_id in keys:
                known.append((commit, keys[queue_id]))
            else:
                keys[queue_id] = commit.key
                fresh.append(commit)
        return fresh, known

    def _conclude(self, transaction: Transaction) -> None:
        """What is durable becomes true in memory."""
        self._batch += 1
        self._counts = Counts(*transaction.counts)
        self._next_number = transaction.next_number
        if transaction.removed and self._removed.add(transaction.removed, self._batch):
            self._sweep.forget_ledger_before(self._removed.oldest_batch)
        if transaction.unlink:
            with self._hold.unless_held() as is_free:
                if is_free:
                    self._spool.remove(transaction.unlink)
                else:
                    self._sweep.later(transaction.unlink)

    def _refuse(self, batch: Batch, error: apsw.Error) -> bool:
        """There is no room. Refuse what brings more; returns whether the rest is worth an attempt."""
        refusal = (
            NotStoredError("out of memory")
            if isinstance(error, apsw.NoMemError)
            else StoreFullError("no space left for the queue")
        )
        waiting = [commit for commit in batch.commits if commit.answer is None]
        for commit in waiting:
            commit.answer = refusal
            self._drop_spool(commit)
        writing = [request for request in batch.requests if request.writes and request.error is None]
        for request in writing:
            request.error = refusal
        if waiting or writing:
            return batch.has_updates()
        batch.error = StoreFullError("no space left for the queue")
        return False

    def _perform(self, request: Request[object]) -> None:
        try:
            with self._failing_for_good():
                request.perform(self)
        except StoreFailedError as error:
            request.error = error

    # -- spool files

    def _publish(self, commits: list[Commit]) -> None:
        files: dict[SpoolFile, Commit] = {}
        for commit in commits:
            content = commit.message.content
            if isinstance(content, SpoolFile):
                files[content] = commit
        if files:
            for file, reason in self._spool.publish(files).items():
                files[file].answer = NotStoredError(reason)

    def _drop_spool(self, commit: Commit) -> None:
        content = commit.message.content
        if isinstance(content, SpoolFile):
            self._spool.remove([content.name])

    # -- house-keeping and failure

    def tend(self, idle: bool) -> bool:
        """Copy the log into the store file when it is long, or when nothing else is to be done; sweep when idle."""
        with self._failing_for_good():
            if self._wal_pages >= _CHECKPOINT_PAGES or (idle and self._wal_pages):
                self._checkpoint(overrule=self._wal_pages >= _HELD_PAGES)
            if idle:
                self._check_spool()
                with self._hold.unless_held() as is_free:
                    if is_free:
                        self._sweep.step()
        return not self._sweep.is_done or self._wal_pages > 0

    def _checkpoint(self, *, overrule: bool = False) -> None:
        """Copy the log, unless somebody reads the store. overrule: he has to begin again."""
        with self._hold.unless_held(overrule=overrule) as is_free:
            if is_free:
                self._copy_log()

    def _copy_log(self) -> None:
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.FullError:  # the store file cannot grow: all stays in the log until there is room
            return
        self._wal_pages = 0

    def _check_spool(self) -> None:
        """Put messages whose spool file is missing or too short into the corrupt queue, some at a time."""
        found = self._sweep.damaged()
        if not found:
            return
        transaction = Transaction(self._connection, self._counts, self._next_number, storable=True)
        try:
            transaction.begin()
            changes.change(transaction, Change.CORRUPT, [lost.queue_id for lost in found], time.time())
            transaction.commit(self._batch + 1)
        except apsw.FullError:
            self._sweep.check_again()
            return
        finally:
            roll_back(self._connection)
        self._conclude(transaction)
        for lost in found:
            self._report(str(lost))

    def _note_wal(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    @contextmanager
    def _failing_for_good(self) -> Iterator[None]:
        """Turn what SQLite says of a broken file into the end of this store."""
        self._check()
        try:
            yield
        except _FATAL as error:
            reason = reason_of(error, self._connection.system_errno)
            unmarked = self._directory.mark_failed(self._generation, reason)
            if unmarked:
                reason += f" (and the mark could not be written: {unmarked})"
            self._failure = StoreFailedError(f"{self._directory.store_path(self._generation)}: {reason}")
            raise self._failure from error

    # -- single operations

    def lease(self, count: int) -> int:
        """Take `count` numbers for queue IDs for good."""
        transaction = self._open_transaction
        first = transaction.next_number
        transaction.next_number += count
        return first

    def set_flags(self, key: int, flags: int) -> None:
        """Add bits to a message's flags."""
        self._connection.execute("UPDATE message SET flags = flags | ? WHERE key = ?", (flags, key))

    def change(self, change: str, queue_ids: Sequence[str], now: float) -> list[Changed]:
        """Carry out an operator's command on these messages."""
        return changes.change(self._open_transaction, change, queue_ids, now)

    def change_page(self, change: str, which: Filter, after: int, now: float) -> ChangedPage:
        """Carry it out on a page of all messages."""
        return changes.change_page(self._open_transaction, change, which, after, now)

    def is_committed(self, queue_id: str) -> bool:
        """Whether the message is here, or was."""
        if queue_id in self._removed:
            return True
        return self._connection.execute("SELECT 1 FROM message WHERE queue_id = ?", (queue_id,)).get is not None

    def due(self, until: float, after: DueKey, limit: int) -> DuePage:
        """The next messages that are due."""
        return reads.due(self._connection, until, after, limit)

    def due_domain(self, domain: str, after: int, limit: int) -> Page:
        """Deferred messages with a recipient in this domain."""
        return reads.due_domain(self._connection, domain, after, limit)

    def get(self, queue_id: str) -> StoredMessage | None:
        """A message with all its recipients."""
        return reads.get(self._connection, "queue_id", queue_id)

    def load(self, key: int) -> StoredMessage | None:
        """A message by key."""
        return reads.get(self._connection, "key", key)

    def recipients(self, key: int, after: int, limit: int) -> list[StoredRecipient]:
        """More of a message's recipients."""
        return reads.recipients(self._connection, key, after, limit)

    def content(self, key: int) -> bytes | SpoolContent | None:
        """A message's content."""
        data = self._connection.execute("SELECT data FROM content WHERE key = ?", (key,)).get
        if data is not None:
            return cast("bytes", data)
        row = self._connection.execute("SELECT spool, size FROM message WHERE key = ?", (key,)).fetchone()
        name, size = cast("tuple[str | None, int]", row or (None, 0))
        if name is None:
            return None
        try:
            content = self._spool.open(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise NotStoredError(f"spool file {name}: {error.strerror}") from error
        if content.size != size:
            content.close()
            raise NotStoredError(f"spool file {name} has {content.size} octets and should have {size}")
        return content

    def page(self, which: Filter, after: int, limit: int) -> Listing:
        """A piece of a listing."""
        return reads.page(self._connection, which, after, limit)

    def tally(self, by: str, after: int) -> tuple[list[tuple[str, int]], int]:
        """Count senders, recipients or domains over the next messages."""
        return reads.tally(self._connection, by, after)

    def verify(self) -> list[str]:
        """Check the store. It holds up everything else meanwhile."""
        names = self._spool.names()
        found = list(check.check_rows(self._connection, time.time()))
        found += check.check_spool(self._connection, self._directory, names, is_online=True)
        return [str(finding) for finding in found]

    @property
    def _open_transaction(self) -> Transaction:
        assert self._transaction is not None, "an operation that writes was run outside a batch"
        return self._transaction
