"""What a storage engine does: the interface between the committer's thread and sqlite (postgres later). No SQL here.

An engine lives in one thread. `execute` is the hot path: a batch of everything that has arrived, as one transaction.
The rest are single operations; those that change something (`Request.writes`) run inside the batch's transaction,
before its commit, the others after it, so that every read sees what was asked for before it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from posthouse.ipc.message import RecipientResult
from posthouse.queue.spool import SpoolContent
from posthouse.queue.values import (
    Changed,
    ChangedPage,
    Committed,
    Counts,
    DueKey,
    DuePage,
    Filter,
    Listing,
    NewMessage,
    Page,
    StoredMessage,
    StoredRecipient,
    StoreError,
    StoreFailedError,
)

T = TypeVar("T")
CommitDone = Callable[[Committed | StoreError], None]
Done = Callable[[StoreError | None], None]


class Commit:
    """A message to store and what becomes of it: the engine puts `answer`, the loop tells `done`."""

    __slots__ = ("answer", "done", "key", "message")

    def __init__(self, key: int, message: NewMessage, done: CommitDone) -> None:
        self.key = key
        self.message = message
        self.done = done
        self.answer: Committed | StoreError | None = None


class Request(Generic[T]):
    """One call of an engine's method, and the future of its result."""

    __slots__ = ("error", "future", "is_performed", "run", "value", "writes")

    def __init__(self, run: "Callable[[Engine], T]", future: "asyncio.Future[T]", writes: bool) -> None:
        self.run = run
        self.future = future
        self.writes = writes
        self.value: T | None = None
        self.error: StoreError | None = None
        self.is_performed = False

    def perform(self, engine: "Engine") -> None:
        """Run it (store's thread)."""
        try:
            self.value = self.run(engine)
        except StoreError as error:
            self.error = error
        self.is_performed = True

    def resolve(self) -> None:
        """Tell who waits (event loop)."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        elif not self.is_performed:
            self.future.set_exception(StoreFailedError("the store's thread ended by a bug; see the traceback"))
        else:
            self.future.set_result(self.value)  # type: ignore[arg-type]  # set whenever error is None


class Batch:
    """What arrived since the last batch was handed over, by kind. Filled by the loop, then the engine's alone."""

    __slots__ = ("commits", "deferrals", "error", "notices", "removals", "requests", "results", "settled")

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self.results: list[tuple[int, RecipientResult, float]] = []  # message key, result, due when deferred
        self.deferrals: list[tuple[int, float]] = []  # message key, due
        self.settled: list[int] = []  # message keys whose bounces were told to the sender
        self.removals: list[tuple[int, str]] = []  # message key, queue ID
        self.requests: list[Request[object]] = []
        self.notices: list[Done] = []  # told when results, deferrals, settled and removals are durable
        self.error: StoreError | None = None  # why those were not, this time

    def has_updates(self) -> bool:
        """Whether there is something that may wait for company."""
        return bool(self.results or self.deferrals or self.settled or self.removals)

    def is_urgent(self) -> bool:
        """Whether somebody waits for an answer now."""
        return bool(self.commits or self.requests)

    def leaving(self) -> set[int]:
        """Give the keys of the messages that are deferred or removed."""
        return {key for key, _ in self.deferrals} | {key for key, _ in self.removals}

    def take_updates(self, other: "Batch") -> None:
        """Put the other batch's updates, which could not be stored yet, before ours."""
        self.results[:0] = other.results
        self.deferrals[:0] = other.deferrals
        self.settled[:0] = other.settled
        self.removals[:0] = other.removals
        self.notices[:0] = other.notices


class BatchEngine(Protocol):
    """What the committer asks of an engine. Every method may raise StoreError; StoreFailedError is for good."""

    def execute(self, batch: Batch) -> None:
        """Store a batch with one sync: fill in every commit's answer, perform the requests that write.

        A batch whose updates found no room has `error` set to StoreFullError; they are offered again later.
        """

    def read(self, batch: Batch) -> None:
        """Perform the batch's requests that only read."""

    def tend(self, idle: bool) -> bool:
        """Do house-keeping between batches. Returns whether there is more to do when idle."""

    def close(self) -> None:
        """Give the files back."""

    def counts(self) -> Counts:
        """How many messages each queue holds, as of the last batch."""


class Engine(BatchEngine, Protocol):
    """A store, seen from its thread."""

    def next_key(self) -> int:
        """The first message key that is free."""

    def lease(self, count: int) -> int:
        """Take `count` numbers for queue IDs for good; returns the first. Writes."""

    def set_flags(self, key: int, flags: int) -> None:
        """Add bits to a message's flags. Writes."""

    def change(self, change: str, queue_ids: Sequence[str], now: float) -> list[Changed]:
        """Carry out an operator's command on these messages, where it applies. Writes."""

    def change_page(self, change: str, which: Filter, after: int, now: float) -> ChangedPage:
        """Carry it out on a page of all messages. Writes."""

    def is_committed(self, queue_id: str) -> bool:
        """Whether the message is here, or was and has been removed not long ago."""

    def due(self, until: float, after: DueKey, limit: int) -> DuePage:
        """The next messages that are due, with the recipients that are not DONE."""

    def due_domain(self, domain: str, after: int, limit: int) -> Page:
        """Deferred messages with a recipient to be delivered in this domain, due or not."""

    def get(self, queue_id: str) -> StoredMessage | None:
        """A message with all its recipients."""

    def load(self, key: int) -> StoredMessage | None:
        """A message by key, with all its recipients."""

    def recipients(self, key: int, after: int, limit: int) -> list[StoredRecipient]:
        """A message's recipients with rcpt_ids after `after`, done or not."""

    def content(self, key: int) -> bytes | SpoolContent | None:
        """A message's content; None: there is none (any more)."""

    def page(self, which: Filter, after: int, limit: int) -> Listing:
        """A piece of a listing, with the recipients that are not DONE."""

    def tally(self, by: str, after: int) -> tuple[list[tuple[str, int]], int]:
        """Count by "sender", "recipient" or "domain" over some messages; returns the counts and where to go on."""

    def verify(self) -> list[str]:
        """Check the store; returns what is wrong with it."""
