"""Group commit: the event loop hands over what arrives, one thread stores it, one sync for all of it.

While a batch is being stored the next one gathers, so the number of messages per sync follows the load by itself: a
lone client waits for nobody, fifty share a sync, and a few in step with each other wait a little for each other. Only
the loop touches the gathering batch and only the thread the one under way; they pass by a queue and by
call_soon_threadsafe, once each per batch, and need no lock.

Updates that may be lost without losing mail (a recipient marked done, a message removed) ride along. When nothing else
comes they go by themselves after UPDATE_WAIT_S, or when UPDATE_LIMIT of them have gathered.

Knows nothing of messages or SQL; what a batch means is the engine's matter.
"""

import asyncio
import queue
import sys
import threading
from collections.abc import Callable
from typing import Final

from posthouse.queue.engine import Batch, BatchEngine, Commit, Done, Request
from posthouse.queue.values import Counts, StoreFailedError, StoreFullError

UPDATE_WAIT_S: Final = 0.05  # how long an agent waits for the acknowledgement of its result at most, alone
UPDATE_LIMIT: Final = 256  # updates that make a batch worth its sync
FULL_WAIT_S: Final = 1.0  # between attempts to store updates while the disk is full
LINGER_S: Final = 0.003  # how long a batch waits at most to become as large as the one before
IDLE_S: Final = 1.0  # of quiet before house-keeping
SWITCH_INTERVAL_S: Final = 0.0005  # with Python's 5 ms a busy loop keeps the thread waiting after every statement


class Committer:
    """The thread and what is on its way to it. Every public method is for the event loop's thread."""

    def __init__(self, engine: BatchEngine, loop: asyncio.AbstractEventLoop) -> None:
        self.gathering = Batch()
        self.counts: Counts = engine.counts()
        self.failure: StoreFailedError | None = None
        self._engine = engine
        self._loop = loop
        self._under_way: Batch | None = None
        self._is_scheduled = False  # _hand_over runs at the end of this turn of the loop
        self._timer: asyncio.TimerHandle | None = None
        self._updates = 0
        self._expected = 1  # messages of the last batch: so many may come again
        self._lingering: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] | None = None
        self._failed: Callable[[StoreFailedError], None] = lambda _: None
        self._handed: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        if sys.getswitchinterval() > SWITCH_INTERVAL_S:
            sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._worker = threading.Thread(target=self._run, name="store", daemon=True)
        self._worker.start()

    def on_failure(self, failed: Callable[[StoreFailedError], None]) -> None:
        """Have `failed` called once when the store fails for good."""
        self._failed = failed

    # -- the event loop's side

    def commit(self, commit: Commit) -> None:
        """Take a message to store."""
        if self.failure is not None:
            self._loop.call_soon(commit.done, self.failure)
            return
        self.gathering.commits.append(commit)
        if not self._is_scheduled:
            self._schedule()
        elif self._lingering is not None and len(self.gathering.commits) >= self._expected:
            self._lingering.cancel()
            self._lingering = None
            self._loop.call_soon(self._hand_over)

    def request(self, request: Request[object]) -> None:
        """Take an operation whose result is waited for."""
        if self.failure is not None:
            request.error = self.failure
            self._loop.call_soon(request.resolve)
            return
        self.gathering.requests.append(request)
        if not self._is_scheduled:
            self._schedule()

    def updated(self, count: int, done: Done | None) -> None:
        """Note that `count` updates were put into `gathering`; `done` is told when they are durable."""
        if self.failure is not None:
            self.gathering = Batch()
            if done is not None:
                self._loop.call_soon(done, self.failure)
            return
        if done is not None:
            self.gathering.notices.append(done)
        self._updates += count
        if self._updates >= UPDATE_LIMIT:
            if not self._is_scheduled:
                self._schedule()
        elif self._timer is None and self._under_way is None and not self._is_scheduled:
            self._timer = self._loop.call_later(UPDATE_WAIT_S, self._hand_over)

    def close(self) -> "asyncio.Future[None]":
        """Store what has gathered, end the thread, close the engine."""
        if self._closed is None:
            self._closed = self._loop.create_future()
            if self.failure is None:
                self._schedule()
            else:  # the thread has ended already
                self._closed.set_result(None)
        return self._closed

    def _schedule(self) -> None:
        """Hand over at the end of this turn, or once as many messages have come as last time."""
        self._is_scheduled = True
        if len(self.gathering.commits) < self._expected and self._expected > 1 and self._closed is None:
            self._lingering = self._loop.call_later(LINGER_S, self._hand_over)
        else:
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._is_scheduled = False
        self._lingering = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._under_way is not None:
            return
        batch = self.gathering
        if batch.is_urgent() or batch.has_updates() or batch.notices:
            self._under_way = batch
            self.gathering = Batch()
            self._updates = 0
            self._handed.put(batch)
        elif self._closed is not None:
            self._handed.put(None)

    def _stored(self, batch: Batch, counts: Counts) -> None:
        """A batch is durable, or refused: tell who waits for it, then start the next one.

        In this order, and at the end of the turn, because what the answers set off may still share the next sync.
        """
        self._under_way = None
        self._expected = len(batch.commits)
        self.counts = counts
        if isinstance(batch.error, StoreFullError):
            self._keep_for_later(batch)
        for commit in batch.commits:
            assert commit.answer is not None, "the engine left a commit without an answer"
            commit.done(commit.answer)
        for done in batch.notices:
            done(batch.error)
        if self.gathering.is_urgent() or self._updates >= UPDATE_LIMIT or self._closed is not None:
            self._schedule()
        elif self.gathering.has_updates() and self._timer is None:
            self._timer = self._loop.call_later(UPDATE_WAIT_S, self._hand_over)

    def _keep_for_later(self, batch: Batch) -> None:
        """Updates that found no room are tried again; at the latest when the process ends they are simply lost."""
        if self._closed is None:
            self.gathering.take_updates(batch)
            batch.notices = []
            if self._timer is None:
                self._timer = self._loop.call_later(FULL_WAIT_S, self._hand_over)

    def _answered(self, batch: Batch) -> None:
        for request in batch.requests:
            request.resolve()

    def _ended(self, failure: StoreFailedError | None) -> None:
        """The thread is gone: cleanly (None), or nothing will be acknowledged any more."""
        if failure is not None:
            self.failure = failure
            self._refuse(failure)
            self._failed(failure)
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    def _refuse(self, failure: StoreFailedError) -> None:
        batches = [batch for batch in (self._under_way, self.gathering) if batch is not None]
        self._under_way = None
        self.gathering = Batch()
        for batch in batches:
            for commit in batch.commits:
                commit.done(failure)
            for done in batch.notices:
                done(failure)
            for request in batch.requests:
                request.error = failure
                request.resolve()

    # -- the thread's side

    def _run(self) -> None:
        failure: StoreFailedError | None = StoreFailedError("the store's thread ended by a bug; see the traceback")
        try:
            failure = self._serve()
        finally:
            self._engine.close()
            self._post(self._ended, failure)

    def _serve(self) -> StoreFailedError | None:
        """Store batches until told to end (None) or until the store fails."""
        is_dirty = True
        try:
            while True:
                try:
                    batch = self._handed.get(timeout=IDLE_S if is_dirty else None)
                except queue.Empty:
                    is_dirty = self._engine.tend(idle=True)
                    continue
                if batch is None:
                    return None
                self._engine.execute(batch)
                self._post(self._stored, batch, self._engine.counts())
                if batch.requests:
                    self._read(batch)
                is_dirty = self._engine.tend(idle=False)
        except StoreFailedError as error:
            return error

    def _read(self, batch: Batch) -> None:
        try:
            self._engine.read(batch)
        finally:
            self._post(self._answered, batch)

    def _post(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:  # the loop was closed without waiting for us: nobody is there to be told
            return
