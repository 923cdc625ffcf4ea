"""Group commit, seen with an engine that only notes what it is given."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from posthouse.queue import committer as module
from posthouse.queue.committer import Committer
from posthouse.queue.engine import Batch, BatchEngine, Commit, Request
from posthouse.queue.values import Committed, Counts, NewMessage, StoreError, StoreFailedError, StoreFullError


class NotingEngine(BatchEngine):
    """Takes every batch; can be held up, and can fail."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.gate = threading.Event()
        self.gate.set()
        self.errors: list[StoreError | Exception | None] = []
        self.is_closed = False

    def execute(self, batch: Batch) -> None:
        """Note a batch; raise or report what is planned for it."""
        self.gate.wait(5)
        self.batches.append(batch)
        error = self.errors.pop(0) if self.errors else None
        if isinstance(error, StoreFullError):
            batch.error = error
        elif error is not None:
            raise error
        for commit in batch.commits:
            commit.answer = error if isinstance(error, StoreFullError) else Committed(commit.key, already=False)

    def read(self, batch: Batch) -> None:
        """Perform requests."""
        for request in batch.requests:
            if request.value == "bug":
                raise KeyError("bug")
            request.perform(self)  # type: ignore[arg-type]  # the requests of these tests ask nothing of an engine

    def tend(self, idle: bool) -> bool:
        """Nothing to tend."""
        return False

    def counts(self) -> Counts:
        """So many batches."""
        return Counts(incoming=len(self.batches))

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def new_message(queue_id: str) -> NewMessage:
    """A message."""
    return NewMessage(queue_id, "", 0.0, 0, b"", b"", ())


def commit(committer: Committer, loop: asyncio.AbstractEventLoop, key: int) -> "asyncio.Future[Committed | StoreError]":
    """Hand over a commit."""
    future: asyncio.Future[Committed | StoreError] = loop.create_future()
    committer.commit(Commit(key, new_message(f"ID{key}"), future.set_result))
    return future


def wait(loop: asyncio.AbstractEventLoop, *futures: "asyncio.Future[Committed | StoreError]") -> None:
    """Run until all are done."""
    loop.run_until_complete(asyncio.wait_for(asyncio.gather(*futures), 5))


def test_one_turn_of_the_loop_is_one_batch(loop: asyncio.AbstractEventLoop) -> None:
    """What a turn brings shares a sync."""
    engine = NotingEngine()
    committer = Committer(engine, loop)
    wait(loop, *[commit(committer, loop, key) for key in range(5)])
    assert [len(batch.commits) for batch in engine.batches] == [5]
    assert committer.counts == Counts(incoming=1)
    loop.run_until_complete(committer.close())
    assert engine.is_closed


def test_arrivals_during_a_sync_gather_for_the_next(loop: asyncio.AbstractEventLoop) -> None:
    """While one batch is under way, all that comes becomes the next one."""
    engine = NotingEngine()
    engine.gate.clear()
    committer = Committer(engine, loop)
    futures = [commit(committer, loop, 1)]
    loop.run_until_complete(asyncio.sleep(0.01))
    for key in range(2, 6):
        futures.append(commit(committer, loop, key))
        loop.run_until_complete(asyncio.sleep(0))
    engine.gate.set()
    wait(loop, *futures)
    assert [len(batch.commits) for batch in engine.batches] == [1, 4]
    loop.run_until_complete(committer.close())


def test_a_batch_waits_to_become_as_large_as_the_last(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several clients in step share syncs, and go on at once when all are there; a lone one waits for nobody."""
    monkeypatch.setattr(module, "LINGER_S", 60.0)
    engine = NotingEngine()
    committer = Committer(engine, loop)

    def one_by_one(*keys: int) -> None:
        futures = []
        for key in keys:
            futures.append(commit(committer, loop, key))
            loop.run_until_complete(asyncio.sleep(0.005))
        wait(loop, *futures)

    wait(loop, commit(committer, loop, 1), commit(committer, loop, 2), commit(committer, loop, 3))
    one_by_one(4, 5, 6)  # in less than the minute
    monkeypatch.setattr(module, "LINGER_S", 0.1)
    one_by_one(7, 8)  # the third does not come
    one_by_one(9)
    monkeypatch.setattr(module, "LINGER_S", 60.0)
    one_by_one(10)
    one_by_one(11)
    assert [len(batch.commits) for batch in engine.batches] == [3, 3, 2, 1, 1, 1]
    loop.run_until_complete(committer.close())


def test_the_end_does_not_wait_for_company(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has gathered is stored."""
    monkeypatch.setattr(module, "LINGER_S", 60.0)
    engine = NotingEngine()
    committer = Committer(engine, loop)
    wait(loop, commit(committer, loop, 1), commit(committer, loop, 2))
    late = commit(committer, loop, 3)
    loop.run_until_complete(asyncio.wait_for(committer.close(), 5))
    assert late.done()
    assert engine.is_closed


def test_lone_updates_wait_a_little_and_ride_along(loop: asyncio.AbstractEventLoop) -> None:
    """An update goes by itself after a while, or at once with a commit."""
    engine = NotingEngine()
    committer = Committer(engine, loop)
    told: list[StoreError | None] = []
    began = time.monotonic()
    committer.gathering.removals.append((1, "ID1"))
    committer.updated(1, told.append)
    while not told:
        loop.run_until_complete(asyncio.sleep(0.005))
    assert 0.04 < time.monotonic() - began < 1.0
    committer.gathering.removals.append((2, "ID2"))
    committer.updated(1, told.append)
    wait(loop, commit(committer, loop, 3))
    assert [(len(batch.commits), len(batch.removals)) for batch in engine.batches] == [(0, 1), (1, 1)]
    assert told == [None, None]
    loop.run_until_complete(committer.close())


def test_many_updates_do_not_wait(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """UPDATE_LIMIT of them are worth a sync."""
    monkeypatch.setattr(module, "UPDATE_WAIT_S", 60.0)
    engine = NotingEngine()
    committer = Committer(engine, loop)
    told: list[StoreError | None] = []
    for key in range(module.UPDATE_LIMIT):
        committer.gathering.removals.append((key, "ID"))
        committer.updated(1, told.append)
    loop.run_until_complete(asyncio.sleep(0.1))
    assert len(told) == module.UPDATE_LIMIT
    loop.run_until_complete(committer.close())


def test_updates_without_room_are_offered_again(loop: asyncio.AbstractEventLoop) -> None:
    """They are told nothing until they are durable, and keep their order before later ones."""
    engine = NotingEngine()
    engine.errors = [StoreFullError("full")]
    committer = Committer(engine, loop)
    told: list[StoreError | None] = []
    committer.gathering.removals.append((1, "ID1"))
    committer.updated(1, told.append)
    refused = commit(committer, loop, 1)
    wait(loop, refused)
    assert isinstance(refused.result(), StoreFullError)
    assert not told
    committer.gathering.removals.append((2, "ID2"))
    committer.updated(1, told.append)
    wait(loop, commit(committer, loop, 2))
    assert told == [None, None]
    assert [removal[0] for removal in engine.batches[1].removals] == [1, 2]
    loop.run_until_complete(committer.close())


def test_failure_answers_everything_and_everything_later(loop: asyncio.AbstractEventLoop) -> None:
    """Under way, gathering and to come: all get the error; on_failure is called once."""
    engine = NotingEngine()
    engine.errors = [StoreFailedError("sync failed")]
    engine.gate.clear()
    committer = Committer(engine, loop)
    failures: list[StoreFailedError] = []
    committer.on_failure(failures.append)
    under_way = commit(committer, loop, 1)
    loop.run_until_complete(asyncio.sleep(0.01))
    gathering = commit(committer, loop, 2)
    told: list[StoreError | None] = []
    committer.updated(1, told.append)
    answer: asyncio.Future[object] = loop.create_future()
    committer.request(Request(lambda _: 1, answer, writes=False))
    engine.gate.set()
    wait(loop, under_way, gathering)
    later = commit(committer, loop, 3)
    committer.gathering.removals.append((1, "ID1"))
    committer.updated(1, told.append)
    asked: asyncio.Future[object] = loop.create_future()
    committer.request(Request(lambda _: 1, asked, writes=False))
    wait(loop, later)
    for future in (under_way, gathering, later):
        assert isinstance(future.result(), StoreFailedError)
    for request in (answer, asked):
        with pytest.raises(StoreFailedError):
            loop.run_until_complete(request)
    assert [type(error) for error in told] == [StoreFailedError, StoreFailedError]
    assert [str(failure) for failure in failures] == ["sync failed"]
    assert not committer.gathering.has_updates()
    loop.run_until_complete(committer.close())
    assert engine.is_closed


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_bug_in_the_engine_fails_the_store(loop: asyncio.AbstractEventLoop) -> None:
    """An exception that nobody expects is told too, not only printed."""
    engine = NotingEngine()
    engine.errors = [KeyError("bug")]
    committer = Committer(engine, loop)
    answer = commit(committer, loop, 1)
    wait(loop, answer)
    assert "bug" in str(answer.result())
    loop.run_until_complete(committer.close())
    committer._worker.join()  # its traceback is this test's


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_bug_in_a_request_fails_the_store_too(loop: asyncio.AbstractEventLoop) -> None:
    """Who waits for that request is told, and so is everybody later."""
    committer = Committer(NotingEngine(), loop)
    request: Request[object] = Request(lambda _: 1, loop.create_future(), writes=False)
    request.value = "bug"
    committer.request(request)
    with pytest.raises(StoreFailedError):
        loop.run_until_complete(asyncio.wait_for(request.future, 5))
    answer = commit(committer, loop, 1)
    wait(loop, answer)
    assert isinstance(answer.result(), StoreFailedError)
    loop.run_until_complete(committer.close())
    committer._worker.join()


def test_cancelled_request_is_not_resolved_twice(loop: asyncio.AbstractEventLoop) -> None:
    """Somebody may have stopped waiting."""
    committer = Committer(NotingEngine(), loop)
    answer: asyncio.Future[object] = loop.create_future()
    committer.request(Request(lambda _: 1, answer, writes=False))
    answer.cancel()
    wait(loop, commit(committer, loop, 1))
    loop.run_until_complete(committer.close())
