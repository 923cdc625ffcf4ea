"""Store: the queue of one host as qmgr(8) sees it. qmgr is the only one to open it.

Every method is for the event loop's thread and returns at once. What happens often (commit, record, defer, settle,
remove) takes a callback; the rest returns a future. Nothing here waits for a disk; a thread does (committer).

Durable when told so: a commit, a lease, an operator's change. May be lost by a crash without losing mail, and is
therefore stored in company within 50 ms: record, defer, settle, remove. An agent that keeps its result until `done`
was called loses nothing. Order holds: whatever is asked for later sees what was asked for before.

A message that is being delivered is nothing special to the store; qmgr remembers which are active and leaves out those
that `due` shows again. What is deferred or removed while `due` reads is left out by `due` itself: it is active no more,
and must not begin anew with what it was before. After StoreFailedError (also told to `on_failure`) nothing is
acknowledged any more and the process must end; the next one copies what can be read.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar, cast

from posthouse.ipc.message import RecipientResult
from posthouse.queue.committer import Committer
from posthouse.queue.directory import StoreDirectory
from posthouse.queue.engine import Commit, CommitDone, Done, Engine, Request
from posthouse.queue.spool import Spool, SpoolContent, SpoolFile
from posthouse.queue.sqlite import open_engine
from posthouse.queue.values import (
    MAX_RECIPIENTS,
    Changed,
    ChangedPage,
    Counts,
    DueKey,
    DuePage,
    Filter,
    Listing,
    NewMessage,
    Page,
    StoredMessage,
    StoredRecipient,
    StoreFailedError,
)

T = TypeVar("T")
DUE_PAGE = 100  # messages
LIST_PAGE = 500  # messages
START = DueKey()
EVERYTHING = Filter()


class Store:
    """The queue store; see the module's text for what its promises are."""

    def __init__(self, engine: Engine, spool: Spool, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread that runs `engine`. Spool files are made in `spool`, which is closed with the store."""
        self._loop = loop
        self._spool = spool
        self._next_key = engine.next_key()
        self._committer = Committer(engine, loop)
        self._left: list[set[int]] = []  # for each call of `due` under way: messages deferred or removed since

    # -- what happens often

    def commit(self, message: NewMessage, done: CommitDone) -> int:
        """Store a message; `done` gets Committed when it is durable, or a StoreError. Returns its key if it is new.

        Idempotent: the same queue ID again, even after the message was delivered and removed, is Committed with
        already=True and no second copy. A spool file is the store's from now on, whatever becomes of it.
        """
        assert 0 < len(message.recipients) <= MAX_RECIPIENTS, "a message has recipients, a million at most"
        key = self._next_key
        self._next_key += 1
        self._committer.commit(Commit(key, message, done))
        return key

    def record(self, key: int, results: Sequence[RecipientResult], due: float = 0.0, done: Done | None = None) -> None:
        """Write down results of recipients; deferred ones will be tried at `due`. Replays change nothing."""
        self._committer.gathering.results.extend([(key, result, due) for result in results])
        self._committer.updated(len(results), done)

    def defer(self, key: int, due: float, done: Done | None = None) -> None:
        """End an attempt: what is left of the message is tried again at `due`. On hold it stays on hold."""
        self._leaves(key)
        self._committer.gathering.deferrals.append((key, due))
        self._committer.updated(1, done)

    def settle(self, key: int, done: Done | None = None) -> None:
        """Note that the sender was told of all recipients that are BOUNCED or UNTOLD: they are DONE."""
        self._committer.gathering.settled.append(key)
        self._committer.updated(1, done)

    def remove(self, key: int, queue_id: str, done: Done | None = None) -> None:
        """Delete a message that is done with. Its queue ID counts as committed for some ten thousand more removals."""
        self._leaves(key)
        self._committer.gathering.removals.append((key, queue_id))
        self._committer.updated(1, done)

    def _leaves(self, key: int) -> None:
        for left in self._left:
            left.add(key)

    @property
    def last_key(self) -> int:
        """The key of the newest message; whatever comes later has a larger one."""
        return self._next_key - 1

    @property
    def counts(self) -> Counts:
        """How many messages each queue holds, as of the last batch."""
        return self._committer.counts

    # -- receiving

    def lease(self, count: int) -> "asyncio.Future[int]":
        """Take numbers for queue IDs, never given again; the first of them."""
        return self._ask(lambda engine: engine.lease(count), writes=True)

    def is_committed(self, queue_id: str) -> "asyncio.Future[bool]":
        """Whether a message with this ID was ever committed; answered after every commit that is under way."""
        return self._ask(lambda engine: engine.is_committed(queue_id))

    def create_spool_file(self) -> SpoolFile:
        """Make a file for large content. Raises OSError. Give it to `commit`, or to `drop_spool_file`."""
        return self._spool.create()

    def drop_spool_file(self, file: SpoolFile) -> None:
        """Forget a file that was not given to `commit`."""
        self._spool.drop(file)

    # -- finding mail

    async def due(self, until: float, after: DueKey = START, limit: int = DUE_PAGE) -> DuePage:
        """Find the messages to be tried at `until`, earliest first, with the recipients that are not DONE.

        Begin at START and go on with DuePage.after; whatever becomes due later sorts behind it, as long as the clock
        does not go back (then begin again). until=FOREVER is a flush without writing anything.
        """
        left: set[int] = set()
        self._left.append(left)
        try:
            page = await self._ask(lambda engine: engine.due(until, after, limit))
        finally:
            self._left = [each for each in self._left if each is not left]
        left |= self._committer.gathering.leaving()  # from before, when the disk was too full for it
        return page._replace(messages=[each for each in page.messages if each.key not in left]) if left else page

    def due_domain(self, domain: str, after: int = 0, limit: int = DUE_PAGE) -> "asyncio.Future[Page]":
        """Find deferred messages for a domain, whenever they are due: a flush for one site."""
        return self._ask(lambda engine: engine.due_domain(domain, after, limit))

    def get(self, queue_id: str) -> "asyncio.Future[StoredMessage | None]":
        """Find a message by its ID, with all its recipients (RECIPIENT_PAGE)."""
        return self._ask(lambda engine: engine.get(queue_id))

    def load(self, key: int) -> "asyncio.Future[StoredMessage | None]":
        """Find a message by its key, with all its recipients (RECIPIENT_PAGE)."""
        return self._ask(lambda engine: engine.load(key))

    def recipients(self, key: int, after: int = 0, limit: int = 1000) -> "asyncio.Future[list[StoredRecipient]]":
        """Read a message's recipients with rcpt_ids after `after`, whatever their state."""
        return self._ask(lambda engine: engine.recipients(key, after, limit))

    def content(self, key: int) -> "asyncio.Future[bytes | SpoolContent | None]":
        """Read a message's content: bytes, or a descriptor of its own for each call. None: there is none."""
        return self._ask(lambda engine: engine.content(key))

    def page(self, which: Filter = EVERYTHING, after: int = 0, limit: int = LIST_PAGE) -> "asyncio.Future[Listing]":
        """List messages in the order they came, with the recipients that are not DONE and why (RECIPIENT_PAGE).

        They come as showq's records; to the store, mail that is being delivered is incoming or deferred.
        """
        return self._ask(lambda engine: engine.page(which, after, limit))

    async def tally(self, by: str, limit: int = 20) -> list[tuple[str, int]]:
        """Count messages by "sender", or recipients by "recipient" or "domain"; the `limit` largest."""
        counts: dict[str, int] = {}
        after = 0
        while True:
            found, after = await self._ask(partial(_tally, by, after))
            for value, count in found:
                counts[value] = counts.get(value, 0) + count
            if after == 0:
                return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit]

    # -- steering

    def set_flags(self, key: int, flags: int) -> "asyncio.Future[None]":
        """Add bits to a message's flags."""
        return self._ask(lambda engine: engine.set_flags(key, flags), writes=True)

    def change(self, change: str, queue_ids: Sequence[str]) -> "asyncio.Future[list[Changed]]":
        """Do one of Change to these messages; returns those it applied to."""
        now = time.time()
        return self._ask(lambda engine: engine.change(change, queue_ids, now), writes=True)

    def change_page(self, change: str, which: Filter = EVERYTHING, after: int = 0) -> "asyncio.Future[ChangedPage]":
        """Do one of Change to all messages the filter names: call again with ChangedPage.next until that is 0."""
        now = time.time()
        return self._ask(lambda engine: engine.change_page(change, which, after, now), writes=True)

    # -- the store itself

    def verify(self) -> "asyncio.Future[list[str]]":
        """Check the whole store; what is wrong with it. Holds up everything else for as long as that takes."""
        return self._ask(lambda engine: engine.verify())

    @property
    def failure(self) -> StoreFailedError | None:
        """Why nothing is acknowledged any more; None: all is well."""
        return self._committer.failure

    def on_failure(self, failed: Callable[[StoreFailedError], None]) -> None:
        """Have `failed` called once when the store fails for good."""
        self._committer.on_failure(failed)

    async def close(self) -> None:
        """Store what has gathered, then give everything back. Nothing may be asked for after this."""
        await self._committer.close()
        self._spool.close()

    def _ask(self, run: Callable[[Engine], T], *, writes: bool = False) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = self._loop.create_future()
        self._committer.request(cast("Request[object]", Request(run, future, writes)))
        return future


def _tally(by: str, after: int, engine: Engine) -> tuple[list[tuple[str, int]], int]:
    return engine.tally(by, after)


class Reporter:
    """Brings what the engine has to say to `report` in the event loop's thread, wherever it is said."""

    def __init__(self, report: Callable[[str], None], loop: asyncio.AbstractEventLoop) -> None:
        self._report = report
        self._loop = loop
        self._worker = threading.get_ident()

    def __call__(self, text: str) -> None:
        """Report a sentence."""
        if threading.get_ident() == self._worker:
            self._report(text)
            return
        with suppress(RuntimeError):  # the loop was closed: nobody is there to be told
            self._loop.call_soon_threadsafe(self._report, text)


def open_store(
    queue_directory: str, loop: asyncio.AbstractEventLoop, report: Callable[[str], None], vfs: str | None = None
) -> Store:
    """Open the queue in $queue_directory/posthouse; make it when there is none, copy it first when it had failed.

    Blocks while it does so (a healthy store: milliseconds, whatever its size). report: told in a sentence what had to
    be done, for the log. vfs: SQLite's file layer, for tests. Raises StoreLockedError, StoreError, OSError.
    """
    directory = StoreDirectory(queue_directory.rstrip("/") + "/posthouse")
    directory.open(report)
    try:
        engine = open_engine(directory, Reporter(report, loop), vfs)
        return Store(engine, Spool(directory.spool_path), loop)
    except BaseException:
        directory.close()
        raise
