"""A store under test with an event loop of its own, and short ways to say what is done to it."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from posthouse.ipc.message import BOUNCED, DEFERRED, SENT, Recipient, RecipientResult
from posthouse.queue.directory import StoreDirectory
from posthouse.queue.spool import SpoolContent, SpoolFile
from posthouse.queue.store import Store, open_store
from posthouse.queue.values import Committed, Filter, NewMessage, StoredMessage, StoreError

T = TypeVar("T")
LIMIT_S = 5.0
ARRIVAL = 1_700_000_000.5


def message(queue_id: str, *recipients: str, content: bytes | SpoolFile = b"body\n", **more: object) -> NewMessage:
    """Make a message with defaults for everything."""
    new = NewMessage(
        queue_id,
        "sender@example.com",
        ARRIVAL,
        len(content) if isinstance(content, bytes) else os.fstat(content.descriptor).st_size,
        b"attributes",
        content,
        [Recipient(address) for address in recipients or ("one@example.org",)],
    )
    return new._replace(**more)  # type: ignore[arg-type]  # fields by name, checked by the tuple


def sent(rcpt_id: int) -> RecipientResult:
    """A delivered recipient."""
    return RecipientResult(rcpt_id, SENT, "2.0.0", "delivered", "local")


def deferred(rcpt_id: int, text: str = "connection refused") -> RecipientResult:
    """A recipient to be tried again."""
    return RecipientResult(rcpt_id, DEFERRED, "4.4.1", text, "none")


def bounced(rcpt_id: int) -> RecipientResult:
    """A recipient that cannot be delivered to."""
    return RecipientResult(rcpt_id, BOUNCED, "5.1.1", "no such user", "mx.example.org[192.0.2.1]:25")


class Harness:
    """A store, opened and run from a test's plain code."""

    def __init__(self, directory: str, vfs: str | None = None) -> None:
        self.directory = directory
        self.vfs = vfs
        self.reports: list[str] = []
        self.loop = asyncio.new_event_loop()
        try:
            self.store = open_store(directory, self.loop, self.reports.append, vfs)
        except BaseException:
            self.loop.close()
            raise

    @property
    def files(self) -> StoreDirectory:
        """The store's directory (not locked by this object)."""
        return StoreDirectory(os.path.join(self.directory, "posthouse"))

    def wait(self, future: Awaitable[T]) -> T:
        """Run the loop until a future, or a coroutine, has its result."""
        return self.loop.run_until_complete(asyncio.wait_for(future, LIMIT_S))

    def commit(self, *messages: NewMessage) -> list[Committed | StoreError]:
        """Commit messages together and return the answers."""
        answers: list[asyncio.Future[Committed | StoreError]] = []
        for new in messages:
            answers.append(self.loop.create_future())
            self.store.commit(new, answers[-1].set_result)
        return [self.wait(answer) for answer in answers]

    def put(self, *messages: NewMessage) -> list[int]:
        """Commit new messages and return their keys."""
        keys = []
        for answer in self.commit(*messages):
            assert isinstance(answer, Committed), answer
            assert not answer.already
            keys.append(answer.key)
        return keys

    def update(self, *calls: Callable[[Callable[[StoreError | None], None]], None]) -> list[StoreError | None]:
        """Make calls that take `done`; wait for all of them."""
        answers: list[asyncio.Future[StoreError | None]] = []
        for call in calls:
            answers.append(self.loop.create_future())
            call(answers[-1].set_result)
        return [self.wait(answer) for answer in answers]

    def record(self, key: int, results: Sequence[RecipientResult], due: float = 0.0) -> None:
        """Record results durably."""
        assert self.update(lambda done: self.store.record(key, results, due, done)) == [None]

    def defer(self, key: int, due: float) -> None:
        """Defer durably."""
        assert self.update(lambda done: self.store.defer(key, due, done)) == [None]

    def remove(self, key: int, queue_id: str) -> None:
        """Remove durably."""
        assert self.update(lambda done: self.store.remove(key, queue_id, done)) == [None]

    def get(self, queue_id: str) -> StoredMessage:
        """Find a message that must be there."""
        found = self.wait(self.store.get(queue_id))
        assert found is not None, queue_id
        return found

    def content(self, key: int) -> bytes | None:
        """Read content, from a file if it is in one."""
        content = self.wait(self.store.content(key))
        if not isinstance(content, SpoolContent):
            return content
        try:
            return os.pread(content.descriptor, content.size, 0)
        finally:
            content.close()

    def due_ids(self, until: float | None = None) -> list[str]:
        """Queue IDs of what is due, in order."""
        page = self.wait(self.store.due(time.time() if until is None else until))
        return [found.queue_id for found in page.messages]

    def listed_ids(self, which: Filter | None = None) -> list[str]:
        """Queue IDs of a whole listing, in order."""
        ids: list[str] = []
        after = 0
        while True:
            page = self.wait(self.store.page(which or Filter(), after))
            ids += [found.queue_id for found in page.messages]
            after = page.next
            if after == 0:
                return ids

    def spool(self, data: bytes) -> SpoolFile:
        """Write a spool file as cleanup does."""
        file = self.store.create_spool_file()
        os.write(file.descriptor, data)
        return file

    def close(self) -> None:
        """Close the store and its loop."""
        self.loop.run_until_complete(asyncio.wait_for(self.store.close(), LIMIT_S))
        self.loop.close()

    def reopen(self) -> "Harness":
        """Close, and open again."""
        self.close()
        return Harness(self.directory, self.vfs)


def verified(store: Store, loop: asyncio.AbstractEventLoop) -> list[str]:
    """What `verify` finds wrong."""
    return loop.run_until_complete(asyncio.wait_for(store.verify(), LIMIT_S))
