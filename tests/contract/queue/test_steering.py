"""What a queue store promises of listings and of what operators do to messages."""

import pytest

from posthouse.queue.values import ALL_CHANGES, CORRUPT, DEFERRED, FORCED_EXPIRE, HOLD, INCOMING, Change, Filter
from tests.contract.queue.harness import ARRIVAL, Harness, deferred, message, sent


def fill(queue: Harness) -> None:
    """Put one message into each queue, named after it."""
    keys = queue.put(message("incoming"), message("deferred"), message("hold", hold=True), message("corrupt"))
    queue.record(keys[1], [deferred(1)], ARRIVAL + 500)
    queue.defer(keys[1], ARRIVAL + 500)
    queue.wait(queue.store.change(Change.CORRUPT, ["corrupt"]))


def names(queue: Harness) -> dict[str, str]:
    """The queue each message is in."""
    page = queue.wait(queue.store.page())
    return {found.queue_id: found.queue_name for found in page.messages}


def test_listing_tells_what_mailq_shows(queue: Harness) -> None:
    """Arrival, size, sender, and each recipient that is not done with the reason."""
    [key] = queue.put(message("ID1", "a@x", "b@x", "c@x"))
    queue.record(key, [sent(1), deferred(2, "refused")], ARRIVAL + 60)
    queue.defer(key, ARRIVAL + 60)
    [found] = queue.wait(queue.store.page()).messages
    assert (found.queue_name, found.queue_id, found.arrival, found.size) == ("deferred", "ID1", ARRIVAL, 5)
    assert (found.sender, found.forced_expire) == ("sender@example.com", False)
    assert [(r.address, r.reason, r.dsn, r.attempts, r.next_attempt) for r in found.recipients] == [
        ("b@x", "refused", "4.4.1", 1, ARRIVAL + 60),
        ("c@x", "", "", 0, 0.0),
    ]


def test_listing_comes_in_pages(queue: Harness) -> None:
    """Every message is on one page, whatever the size of pages."""
    queue.put(*[message(f"ID{number}") for number in range(25)])
    ids: list[str] = []
    after = 0
    while True:
        page = queue.wait(queue.store.page(after=after, limit=10))
        ids += [found.queue_id for found in page.messages]
        after = page.next
        if after == 0:
            break
    assert ids == [f"ID{number}" for number in range(25)]


def test_listing_can_be_restricted(queue: Harness) -> None:
    """By queue, sender, recipient, domain and age, and by several of them."""
    queue.put(
        message("ID1", "a@x", sender="", arrival=100.0),
        message("ID2", "b@X", "a@y", arrival=200.0),
        message("ID3", "b@y", hold=True, arrival=300.0),
    )
    for which, expected in (
        (Filter(), ["ID1", "ID2", "ID3"]),
        (Filter(queue_names=("hold", "deferred")), ["ID3"]),
        (Filter(sender=""), ["ID1"]),
        (Filter(domain="x"), ["ID1", "ID2"]),
        (Filter(recipient="b@y"), ["ID3"]),
        (Filter(arrived_before=250.0), ["ID1", "ID2"]),
        (Filter(arrived_before=250.0, domain="y"), ["ID2"]),
        (Filter(sender="nobody"), []),
    ):
        assert queue.listed_ids(which) == expected, which


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        (Change.HOLD, {"incoming": HOLD, "deferred": HOLD}),
        (Change.RELEASE, {"hold": DEFERRED}),
        (Change.EXPIRE, {"incoming": INCOMING, "deferred": DEFERRED}),
        (Change.EXPIRE_RELEASE, {"incoming": DEFERRED, "deferred": DEFERRED, "hold": DEFERRED}),
        (Change.FLUSH, {"deferred": DEFERRED}),
        (Change.WAKE, {"incoming": INCOMING, "deferred": DEFERRED}),
        (Change.CORRUPT, {"incoming": CORRUPT, "deferred": CORRUPT, "hold": CORRUPT}),
        (Change.DELETE, {"incoming": None, "deferred": None, "hold": None, "corrupt": None}),
    ],
)
def test_change_applies_where_it_should(queue: Harness, change: str, moved: dict[str, str | None]) -> None:
    """Each command moves the messages it is for, says which, and leaves the others; counts follow."""
    fill(queue)
    expected = {name: moved.get(name, name) for name in ("incoming", "deferred", "hold", "corrupt")}
    changed = queue.wait(queue.store.change(change, ["incoming", "deferred", "hold", "corrupt", "unknown"]))
    assert {(entry.queue_id, entry.queue_name) for entry in changed} == {(name, name) for name in moved}
    assert names(queue) == {name: where for name, where in expected.items() if where is not None}
    counts = dict.fromkeys(("incoming", "deferred", "hold", "corrupt"), 0)
    for where in expected.values():
        if where is not None:
            counts[where] += 1
    assert queue.store.counts._asdict() == counts


def test_every_change_is_tested() -> None:
    """A new command needs a row in the table above."""
    assert len(ALL_CHANGES) == 8


def test_released_flushed_and_expired_mail_is_due_now(queue: Harness) -> None:
    """It is found by the next look at due mail; expired mail is marked."""
    fill(queue)
    for change, name in ((Change.RELEASE, "hold"), (Change.FLUSH, "deferred"), (Change.EXPIRE, "deferred")):
        queue.wait(queue.store.change(change, [name]))
        assert name in queue.due_ids()
    assert queue.get("deferred").flags & FORCED_EXPIRE


def test_change_page_goes_through_everything(queue: Harness) -> None:
    """A command on ALL reaches each message once, in pages."""
    queue.put(*[message(f"ID{number}") for number in range(1200)])
    done: list[str] = []
    after = 0
    pages = 0
    while True:
        page = queue.wait(queue.store.change_page(Change.HOLD, Filter(), after))
        done += [entry.queue_id for entry in page.messages]
        pages += 1
        after = page.next
        if after == 0:
            break
    assert done == [f"ID{number}" for number in range(1200)]
    assert pages > 2
    assert queue.store.counts == (0, 0, 1200, 0)


def test_delete_all_of_one_queue(queue: Harness) -> None:
    """The filter restricts a command as it restricts a listing."""
    fill(queue)
    page = queue.wait(queue.store.change_page(Change.DELETE, Filter(queue_names=("hold", "corrupt"))))
    assert [entry.queue_id for entry in page.messages] == ["hold", "corrupt"]
    assert sorted(names(queue)) == ["deferred", "incoming"]


def test_tally_counts_the_largest(queue: Harness) -> None:
    """By sender, recipient and domain, largest first."""
    queue.put(message("ID1", "a@x", "b@x"), message("ID2", "a@x", "c@y"), message("ID3", sender="z@z"))
    tally = queue.store.tally
    assert queue.loop.run_until_complete(tally("domain", 2)) == [("x", 3), ("example.org", 1)]
    assert queue.loop.run_until_complete(tally("recipient", 1)) == [("a@x", 2)]
    assert queue.loop.run_until_complete(tally("sender")) == [("sender@example.com", 2), ("z@z", 1)]
