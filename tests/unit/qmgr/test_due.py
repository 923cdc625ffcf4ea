"""DueReader: what is due comes in pages, while there is room, at its time."""

import asyncio
from collections.abc import Iterator

import pytest

from posthouse.daemons.qmgr import due as module
from posthouse.daemons.qmgr.due import PAGE, DueReader
from posthouse.queue.values import DueKey, DuePage, NotStoredError, StoredMessage
from tests.support.fake_loop import START, FakeLoop
from tests.support.lookups import logged


def stored(key: int, due: float) -> StoredMessage:
    """Make a message that is due then."""
    return StoredMessage(key, f"3M{key}", "deferred", due, 0.0, 1, 0, 1, "s@x", b"", False, [])


class Case:
    """A reader, a store of messages by due time, and an active queue with room. Its clock is the loop's."""

    def __init__(self, loop: FakeLoop) -> None:
        self.loop = loop
        self.messages: list[StoredMessage] = []
        self.admitted: list[str] = []
        self.room = 1000
        self.reads = 0
        self.fail = False
        self.slow: asyncio.Future[None] | None = None
        self.reader = DueReader(loop, self._read, lambda: self.room, self._admit)

    def put(self, *dues: float) -> None:
        """Store messages."""
        start = len(self.messages) + 1
        self.messages += [stored(start + number, due) for number, due in enumerate(dues)]

    def _admit(self, message: StoredMessage) -> None:
        self.admitted.append(message.queue_id)
        self.room -= 1

    def _read(self, until: float, after: DueKey, limit: int) -> "asyncio.Future[DuePage]":
        self.reads += 1
        future: asyncio.Future[DuePage] = self.loop.create_future()
        if self.fail:
            future.set_exception(NotStoredError("busy"))
            return future
        found = sorted(
            (each for each in self.messages if (each.due, each.key) > after), key=lambda each: (each.due, each.key)
        )
        page = [each for each in found if each.due <= until][:limit]
        rest = found[len(page) :]
        complete = not rest or rest[0].due > until
        key = DueKey(page[-1].due, page[-1].key) if page else after
        answer = DuePage(page, key, complete, rest[0].due if complete and rest else None)
        if self.slow is not None:
            self.slow.add_done_callback(lambda _future: future.set_result(answer))
        else:
            future.set_result(answer)
        return future


@pytest.fixture
def case(loop: FakeLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """Make a reader."""
    monkeypatch.setattr(module.time, "time", loop.time)  # type: ignore[attr-defined]
    made = Case(loop)
    yield made
    made.reader.stop()


def test_an_attempt_that_no_wait_explains_shows_that_the_clock_went_back(case: Case) -> None:
    """While no queue manager ran; what is done about it is not the reader's."""
    told: list[float] = []
    case.reader.farthest_s = 4400.0
    case.reader.on_too_far = lambda: told.append(case.loop.time())
    case.put(START + 4300)
    case.reader.scan()
    case.loop.run_ready()
    assert not told
    case.messages.clear()
    case.put(START + 10 * 365 * 86400)
    case.reader.scan()
    case.loop.run_ready()
    assert told == [START]


def test_what_is_due_is_admitted_in_order(case: Case) -> None:
    """What is not due yet comes at its time, without being asked for."""
    case.put(START - 5, START - 9, START + 100)
    case.reader.scan()
    case.loop.run_ready()
    assert case.admitted == ["3M2", "3M1"]
    case.loop.advance(99)
    assert case.admitted == ["3M2", "3M1"]
    case.loop.advance(2)
    assert case.admitted == ["3M2", "3M1", "3M3"]


def test_much_mail_comes_in_pages(case: Case) -> None:
    """So that the loop turns between them."""
    case.put(*[START - 1] * (2 * PAGE + 10))
    case.reader.scan()
    assert len(case.admitted) == PAGE
    case.loop.run_ready()
    assert len(case.admitted) == 2 * PAGE + 10
    assert case.reads == 3


def test_only_so_much_as_there_is_room_for(case: Case) -> None:
    """The rest comes when the active queue has room again."""
    case.put(*[START - 1] * 30)
    case.room = 20
    case.reader.scan()
    case.loop.run_ready()
    assert len(case.admitted) == 20
    case.loop.advance(1000)
    assert len(case.admitted) == 20
    case.room = 50
    case.reader.scan()
    case.loop.run_ready()
    assert len(case.admitted) == 30


def test_nothing_is_met_twice(case: Case) -> None:
    """The cursor goes on; a message in the active queue is not read again."""
    case.put(START - 1)
    for _ in range(3):
        case.reader.scan()
        case.loop.run_ready()
    assert case.admitted == ["3M1"]


def test_a_message_that_found_no_room_is_met_again(case: Case) -> None:
    """The cursor is set back to it."""
    case.put(START - 1)
    case.reader.scan()
    case.reader.set_back(START - 1)
    case.reader.set_back(START + 50)  # not read yet anyway
    case.reader.scan()
    case.loop.run_ready()
    assert case.admitted == ["3M1", "3M1"]


def test_what_finds_no_room_while_a_page_is_read_is_met_again(case: Case) -> None:
    """The page was asked for before that message was there, and ends behind it."""
    case.put(START - 1)
    case.slow = case.loop.create_future()
    case.reader.scan()
    slow, case.slow = case.slow, None
    case.put(START - 2)
    case.reader.set_back(START - 2)
    slow.set_result(None)
    case.loop.run_ready()
    case.reader.scan()
    case.loop.run_ready()
    assert case.admitted == ["3M1", "3M2", "3M1"]  # the service knows which ones are active


def test_a_message_that_will_be_due_is_expected(case: Case) -> None:
    """Fresh deferrals are not in any page that was read; an earlier one counts."""
    case.reader.scan()
    case.loop.run_ready()
    case.put(START + 50, START + 20)
    case.reader.expect(START + 50)
    case.reader.expect(START + 20)
    case.loop.advance(21)
    assert case.admitted == ["3M2"]
    case.loop.advance(30)
    assert case.admitted == ["3M2", "3M1"]


def test_a_scan_during_a_scan_is_done_after_it(case: Case) -> None:
    """What became due meanwhile is not overlooked."""
    case.slow = case.loop.create_future()
    case.reader.scan()
    case.put(START - 1)
    case.reader.scan()
    assert case.reads == 1
    slow, case.slow = case.slow, None
    slow.set_result(None)
    case.loop.run_ready()
    assert case.reads == 2
    assert case.admitted == ["3M1"]


def test_what_is_expected_during_a_scan_is_not_forgotten(case: Case) -> None:
    """The page knows only of what was stored when it was asked for."""
    case.put(START + 100)
    case.slow = case.loop.create_future()
    case.reader.scan()
    case.put(START + 10)
    case.reader.expect(START + 10)
    slow, case.slow = case.slow, None
    slow.set_result(None)
    case.loop.advance(11)
    assert case.admitted == ["3M2"]


def test_a_store_that_does_not_answer_is_asked_again(case: Case) -> None:
    """After a while, and it is said."""
    case.put(START - 1)
    case.fail = True
    with logged() as lines:
        case.reader.scan()
    assert lines == ["warning: reading the queue: busy"]
    case.fail = False
    case.loop.advance(11)
    assert case.admitted == ["3M1"]


def test_a_stopped_reader_reads_no_more(case: Case) -> None:
    """Also when a page is under way or a timer was armed."""
    case.put(START - 1, START + 5)
    case.slow = case.loop.create_future()
    case.reader.scan()
    case.reader.stop()
    case.slow.set_result(None)
    case.reader.scan()
    case.reader.expect(START + 1)
    case.loop.advance(100)
    assert not case.admitted


def test_an_attempt_before_what_was_read_already_is_met(case: Case) -> None:
    """The clock was set back by less than what counts as a jump, and then the message was deferred."""
    case.put(START)
    case.reader.scan()
    case.loop.run_ready()
    case.loop.now -= 30
    case.put(START - 20)
    case.reader.expect(START - 20)
    case.loop.advance(11)
    assert case.admitted[-1] == "3M2"
