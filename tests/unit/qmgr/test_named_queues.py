"""postsuper with names of queues, -r, and listings: a real store, and an active queue that the test sets."""

import asyncio
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import TypeVar, cast

import pytest

from posthouse.commands import postsuper
from posthouse.daemons.qmgr import admin
from posthouse.daemons.qmgr.admin import Admin, Live
from posthouse.ipc.message import DEFERRED, Recipient, RecipientResult
from posthouse.ipc.showq import DELETE, HOLD, REQUEUE, ListedPage, ListPage, Steer, Steered, ToShowq
from posthouse.ipc.stream import MAX_FRAME, encode_frame
from posthouse.queue.sqlite import changes
from posthouse.queue.store import Store, open_store
from posthouse.queue.values import Change, NewMessage, StoredMessage
from tests.support.lookups import logged

T = TypeVar("T")
INCOMING_ID, DEFERRED_ID, HELD_ID, CORRUPT_ID = "3Incoming", "3Deferred", "3Held", "3Corrupt"


class Actives:
    """The active queue; deliveries of `busy` messages do not end."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.busy: set[str] = set()
        self.requeued: list[str] = []
        self.store: Store | None = None

    def is_active(self, queue_id: str) -> bool:
        """Whether it is."""
        return queue_id in self.ids

    def active_ids(self) -> list[str]:
        """All of them."""
        return list(self.ids)

    def withdraw(self, queue_id: str, *, gone: bool) -> None:
        """What nobody delivers leaves at once."""
        if queue_id in self.ids and (gone or queue_id not in self.busy):
            self.ids.remove(queue_id)

    def force_expire(self, queue_id: str) -> None:
        """Nothing."""

    def look(self, since: float) -> None:
        """Nothing."""

    def revive(self, site: str) -> None:
        """Nothing."""

    async def requeue(self, stored: StoredMessage) -> int:
        """Put a copy of it into the store and delete it, as the real one does."""
        assert self.store is not None
        assert not self.is_active(stored.queue_id), "somebody still delivers it"
        self.requeued.append(stored.queue_id)
        assert len(self.requeued) < 100, "the requeued mail is requeued"
        put(self.store, f"{stored.queue_id}x")
        await self.store.change(Change.DELETE, [stored.queue_id])
        return 1


class Case:
    """A queue with a message in each place."""

    def __init__(self, directory: Path) -> None:
        self.loop = asyncio.new_event_loop()
        (directory / "posthouse").mkdir()
        self.store = open_store(str(directory), self.loop, lambda _text: None)
        self.live = Actives()
        self.live.store = self.store
        self.admin = Admin(self.store, cast("Live", self.live))

    def wait(self, awaitable: Awaitable[T]) -> T:
        """Run until it is there."""

        async def awaited() -> T:
            return await awaitable

        return self.loop.run_until_complete(awaited())

    def ask(self, record: ToShowq) -> object:
        """Ask as postsuper does."""
        return self.wait(self.admin.answer(record))[0]

    def fill(self) -> None:
        """One message each."""
        keys = [put(self.store, queue_id) for queue_id in (INCOMING_ID, DEFERRED_ID, HELD_ID, CORRUPT_ID)]
        self.store.defer(keys[1], 2.0)
        self.wait(self.store.change(Change.HOLD, [HELD_ID]))
        self.wait(self.store.change(Change.CORRUPT, [CORRUPT_ID]))

    def ids(self) -> list[str]:
        """What is in the queue."""
        return [each.queue_id for each in self.wait(self.store.page()).messages]


def put(store: Store, queue_id: str, *recipients: str) -> int:
    """Store a message."""
    to = [Recipient(address) for address in recipients or ("r@x",)]
    return store.commit(NewMessage(queue_id, "s@x", 1.0, 1, b"", b"x\n", to), lambda _answer: None)


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """Make a queue."""
    monkeypatch.setattr(admin, "LEAVE_WAIT_S", 0.001)
    made = Case(tmp_path)
    yield made
    made.wait(made.store.close())
    made.loop.close()


@pytest.mark.parametrize("queue_id", [INCOMING_ID, DEFERRED_ID, CORRUPT_ID])
@pytest.mark.parametrize("operation", [DELETE, HOLD, REQUEUE])
def test_a_message_of_another_queue_than_the_named_one_is_left_alone(case: Case, queue_id: str, operation: str) -> None:
    """What "postsuper -d ID hold" does is about mail on hold, and about no other."""
    case.fill()
    before = {each.queue_id: each.queue_name for each in case.wait(case.store.page()).messages}
    assert case.ask(Steer(1, operation, queue_id, "hold")) == Steered(1, 0)
    assert {each.queue_id: each.queue_name for each in case.wait(case.store.page()).messages} == before


def test_deleting_active_mail_leaves_what_is_not_active(case: Case) -> None:
    """Or "postsuper -d ALL active" would take everything that waits."""
    case.fill()
    case.live.ids.append(DEFERRED_ID)
    assert case.ask(Steer(1, DELETE, "ALL", "active")) == Steered(1, 1)
    assert case.ids() == [INCOMING_ID, HELD_ID, CORRUPT_ID]
    assert case.ask(Steer(2, DELETE, INCOMING_ID, "active")) == Steered(2, 0)
    case.live.ids.append(INCOMING_ID)
    assert case.ask(Steer(3, DELETE, INCOMING_ID, "active")) == Steered(3, 1)
    assert case.ids() == [HELD_ID, CORRUPT_ID]


def test_without_a_name_what_is_corrupt_is_kept(case: Case) -> None:
    """It is there to be looked at; postsuper(1) takes it only when it is named."""
    case.fill()
    assert case.ask(Steer(1, DELETE, "ALL")) == Steered(1, 3)
    assert case.ids() == [CORRUPT_ID]
    assert case.ask(Steer(2, DELETE, "ALL", "corrupt")) == Steered(2, 1)
    assert case.ids() == []


def test_requeueing_all_ends(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it makes stands behind what was there; it is not requeued again, page after page."""
    monkeypatch.setattr(admin, "REQUEUE_PAGE", 2)
    for number in range(5):
        put(case.store, f"3M{number}")
    assert case.ask(Steer(1, REQUEUE, "ALL")) == Steered(1, 5)
    assert case.ids() == [f"3M{number}x" for number in range(5)]


@pytest.mark.parametrize(("operation", "pages"), [(REQUEUE, 3), (HOLD, 2), (DELETE, 2)])
def test_what_takes_long_is_answered_in_between(
    case: Case, monkeypatch: pytest.MonkeyPatch, operation: str, pages: int
) -> None:
    """Else postsuper gives up after a minute, or asks for all of it again; each message is taken once."""
    monkeypatch.setattr(admin, "STEER_S", 0.0)
    monkeypatch.setattr(admin, "REQUEUE_PAGE", 2)
    monkeypatch.setattr(changes, "PAGE", 3)
    for number in range(5):
        put(case.store, f"3M{number}")
    asked: list[Steer] = []

    class Client:
        def next_id(self) -> int:
            return len(asked) + 1

        async def ask(self, record: Steer) -> object:
            asked.append(record)
            return (await case.admin.answer(record))[0]

        async def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr(postsuper, "QueueClient", lambda *_given, **_named: Client())
    case.wait(postsuper.steer("", [(operation, "Done", "ALL")], []))
    assert len(asked) == pages
    assert len(case.live.requeued) == (5 if operation == REQUEUE else 0)
    assert len(case.ids()) == (0 if operation == DELETE else 5)
    # The answer of a page was lost, and it is asked for again: nothing is done twice.
    if operation == REQUEUE:
        assert case.ask(asked[1]) == Steered(2, 0)


def test_active_mail_is_requeued_when_nobody_delivers_it(case: Case) -> None:
    """Else its recipients get it twice."""
    case.fill()
    case.live.ids += [INCOMING_ID, DEFERRED_ID]
    case.live.busy.add(DEFERRED_ID)
    assert case.ask(Steer(1, REQUEUE, INCOMING_ID)) == Steered(1, 1)
    with logged() as lines:
        assert case.ask(Steer(2, REQUEUE, DEFERRED_ID)) == Steered(2, 0)
    assert lines == [f"warning: {DEFERRED_ID}: not requeued: it is being delivered just now"]
    assert case.live.requeued == [INCOMING_ID]


def test_a_listing_of_many_recipients_fits_into_its_record(case: Case) -> None:
    """A page that does not would end the queue manager, whenever somebody says "mailq"."""
    for number in range(60):
        key = put(case.store, f"3M{number}", *(f"r{rcpt}@x" for rcpt in range(1000)))
        text = "host mx.example[192.0.2.1] said: 450 4.2.0 " + "x" * 256
        case.store.record(key, [RecipientResult(rcpt, DEFERRED, "4.2.0", text) for rcpt in range(1, 1001)], 2.0)
    found: list[str] = []
    after = ""
    while True:
        page = case.ask(ListPage(1, after))
        assert isinstance(page, ListedPage)
        assert len(encode_frame(page)) < MAX_FRAME
        found += [each.queue_id for each in page.messages]
        after = page.next
        if not after:
            break
    assert found == [f"3M{number}" for number in range(60)]
