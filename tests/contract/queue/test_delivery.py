"""What a queue store promises of delivery: results, next attempts, what is due, removal."""

import asyncio

import pytest

from posthouse.queue.values import BOUNCED, DONE, FOREVER, WAITING, Change, DueKey
from tests.contract.queue.harness import ARRIVAL, Harness, bounced, deferred, message, sent


def test_results_are_kept_by_recipient(queue: Harness) -> None:
    """Each recipient has its state, its last status, and the number of attempts."""
    [key] = queue.put(message("ID1", "a@x", "b@x", "c@x"))
    queue.record(key, [sent(1), deferred(2), bounced(3)], due=ARRIVAL + 300)
    first, second, third = queue.get("ID1").recipients
    assert (first.state, first.dsn, first.text, first.relay, first.attempts) == (DONE, "2.0.0", "delivered", "local", 1)
    assert (second.state, second.text, second.due) == (WAITING, "connection refused", ARRIVAL + 300)
    assert (third.state, third.relay) == (BOUNCED, "mx.example.org[192.0.2.1]:25")
    queue.record(key, [deferred(2, "time-out")], due=ARRIVAL + 900)
    second = queue.get("ID1").recipients[1]
    assert (second.attempts, second.text, second.due) == (2, "time-out", ARRIVAL + 900)


def test_replayed_result_does_not_undo_a_delivery(queue: Harness) -> None:
    """What is done stays done, whatever a late or repeated result says."""
    [key] = queue.put(message("ID1", "a@x", "b@x"))
    queue.record(key, [sent(1), bounced(2)])
    queue.record(key, [deferred(1), deferred(2)])
    queue.record(key, [sent(2)])
    first, second = queue.get("ID1").recipients
    assert (first.state, second.state) == (DONE, BOUNCED)


def test_last_of_several_results_in_one_batch_counts(queue: Harness) -> None:
    """Two results of one recipient that share a sync leave the later one."""
    [key] = queue.put(message("ID1"))
    queue.store.record(key, [deferred(1, "first")], 1.0)
    queue.record(key, [deferred(1, "second")], 2.0)
    assert queue.get("ID1").recipients[0].text == "second"


def test_settled_bounces_are_done(queue: Harness) -> None:
    """When the sender was told, bounced recipients need nothing more; others are left alone."""
    [key] = queue.put(message("ID1", "a@x", "b@x"))
    queue.record(key, [bounced(1), deferred(2)])
    assert queue.update(lambda done: queue.store.settle(key, done)) == [None]
    assert [r.state for r in queue.get("ID1").recipients] == [DONE, WAITING]


def test_deferred_message_is_due_at_its_time(queue: Harness) -> None:
    """It is not shown before, and it is in the deferred queue."""
    keys = queue.put(message("ID1"), message("ID2"))
    queue.defer(keys[0], ARRIVAL + 300)
    assert queue.store.counts == (1, 1, 0, 0)
    assert queue.due_ids(ARRIVAL + 299) == ["ID2"]
    assert queue.due_ids(ARRIVAL + 300) == ["ID2", "ID1"]
    assert queue.get("ID1").queue_name == "deferred"


def test_due_shows_only_recipients_that_are_not_done(queue: Harness) -> None:
    """Waiting and bounced ones need work; the others do not travel."""
    [key] = queue.put(message("ID1", "a@x", "b@x", "c@x"))
    queue.record(key, [sent(1), bounced(2)])
    page = queue.wait(queue.store.due(FOREVER))
    assert [r.address for r in page.messages[0].recipients] == ["b@x", "c@x"]


def test_due_goes_on_where_the_last_page_ended(queue: Harness) -> None:
    """Pages neither repeat nor leave out a message, also among equal times."""
    keys = queue.put(*[message(f"ID{number}") for number in range(10)])
    for key in keys[:5]:
        queue.store.defer(key, ARRIVAL + 10)
    seen: list[str] = []
    after = DueKey()
    for _ in range(10):
        page = queue.wait(queue.store.due(ARRIVAL + 20, after, 3))
        seen += [found.queue_id for found in page.messages]
        after = page.after
        if page.complete:
            break
    assert seen == [f"ID{number}" for number in (5, 6, 7, 8, 9, 0, 1, 2, 3, 4)]


def test_next_due_is_the_earliest_later_one(queue: Harness) -> None:
    """A complete page tells when to look again."""
    keys = queue.put(message("ID1"), message("ID2"), message("ID3", hold=True))
    assert queue.wait(queue.store.due(ARRIVAL - 1)).next_due == ARRIVAL
    queue.defer(keys[0], ARRIVAL + 50)
    queue.defer(keys[1], ARRIVAL + 40)
    page = queue.wait(queue.store.due(ARRIVAL + 10))
    assert (page.messages, page.complete, page.next_due) == ([], True, ARRIVAL + 40)
    assert queue.wait(queue.store.due(FOREVER)).next_due is None


def test_what_leaves_while_a_page_is_read_is_not_on_it(queue: Harness) -> None:
    """The page would show it as it was: tried again, it would be delivered twice."""
    keys = queue.put(*[message(f"ID{number}") for number in range(4)])
    page = queue.loop.create_task(queue.store.due(FOREVER))
    for _ in range(3):  # now the store's thread has been asked
        queue.loop.run_until_complete(asyncio.sleep(0))
    queue.store.remove(keys[1], "ID1")
    queue.store.defer(keys[2], ARRIVAL + 300)
    assert [found.queue_id for found in queue.wait(page).messages] == ["ID0", "ID3"]
    assert queue.due_ids(ARRIVAL + 300) == ["ID0", "ID3", "ID2"]


def test_removed_message_is_gone_entirely(queue: Harness) -> None:
    """Neither row nor content nor recipients stay; a second removal changes nothing."""
    keys = queue.put(message("ID1", "a@x", "b@x"), message("ID2"))
    queue.remove(keys[0], "ID1")
    queue.remove(keys[0], "ID1")
    assert queue.wait(queue.store.get("ID1")) is None
    assert queue.content(keys[0]) is None
    assert queue.listed_ids() == ["ID2"]
    assert queue.store.counts == (1, 0, 0, 0)


def test_updates_of_a_removed_message_change_nothing(queue: Harness) -> None:
    """A late result or deferral for a deleted message is taken and means nothing."""
    [key] = queue.put(message("ID1"))
    queue.remove(key, "ID1")
    queue.record(key, [deferred(1)])
    queue.defer(key, ARRIVAL)
    assert queue.due_ids() == []
    assert queue.store.counts == (0, 0, 0, 0)


def test_deferral_leaves_a_held_message_on_hold(queue: Harness) -> None:
    """Holding a message that is being delivered holds what is left of it."""
    [key] = queue.put(message("ID1", "a@x", "b@x"))
    queue.wait(queue.store.change(Change.HOLD, ["ID1"]))
    queue.record(key, [sent(1), deferred(2)])
    queue.defer(key, ARRIVAL)
    assert queue.get("ID1").queue_name == "hold"
    assert queue.due_ids() == []
    assert queue.store.counts == (0, 0, 1, 0)


def test_replayed_result_does_not_undo_a_delivery_of_the_same_moment(queue: Harness) -> None:
    """Results that reach the disk together are no exception: the first that is final holds."""
    [key] = queue.put(message("ID1", "a@x", "b@x", "c@x"))
    queue.store.record(key, [sent(1), bounced(2), deferred(3)], ARRIVAL + 300)
    queue.record(key, [deferred(1), deferred(2), sent(3)], due=ARRIVAL + 900)
    assert [each.state for each in queue.get("ID1").recipients] == [DONE, BOUNCED, DONE]


def test_site_shows_its_deferred_messages_only(queue: Harness) -> None:
    """due_domain finds tried recipients of a domain, in whatever letters, quoted local parts included."""
    keys = queue.put(
        message("ID1", "a@Example.ORG"), message("ID2", '"x@y"@example.org'), message("ID3", "a@other"), message("ID4")
    )
    for key in keys[:3]:
        queue.store.record(key, [deferred(1)], ARRIVAL + 100)
        queue.defer(key, ARRIVAL + 100)
    page = queue.wait(queue.store.due_domain("example.org"))
    assert [found.queue_id for found in page.messages] == ["ID1", "ID2"]
    assert queue.wait(queue.store.due_domain("example.org", after=keys[0])).messages[0].queue_id == "ID2"
    first = queue.wait(queue.store.due_domain("example.org", limit=1))
    assert ([found.queue_id for found in first.messages], first.next) == (["ID1"], keys[0])
    assert queue.wait(queue.store.due_domain("example.org", after=keys[1])) == ([], 0)


@pytest.mark.parametrize("count", [1, 17, 100])
def test_one_batch_may_do_everything_at_once(queue: Harness, count: int) -> None:
    """Commits, results, deferrals and removals that arrive together all take effect."""
    old = queue.put(*[message(f"OLD{number}") for number in range(2 * count)])
    for number, key in enumerate(old[:count]):
        queue.store.remove(key, f"OLD{number}")
    for key in old[count:]:
        queue.store.record(key, [deferred(1)], ARRIVAL + 5)
        queue.store.defer(key, ARRIVAL + 5)
    queue.put(*[message(f"NEW{number}") for number in range(count)])
    assert queue.store.counts == (count, count, 0, 0)


def test_flags_are_added(queue: Harness) -> None:
    """set_flags keeps the bits that are there."""
    [key] = queue.put(message("ID1", flags=4))
    queue.wait(queue.store.set_flags(key, 2))
    assert queue.get("ID1").flags == 6


def test_due_domain_goes_on_behind_messages_on_hold(queue: Harness) -> None:
    """Held mail for a domain fills no page in such a way that what comes after it is not found."""
    keys = queue.put(*(message(f"ID{number}", "user@example.org") for number in range(6)))
    for key in keys:
        queue.record(key, [deferred(1)], ARRIVAL)
        queue.defer(key, ARRIVAL)
    queue.wait(queue.store.change(Change.HOLD, [f"ID{number}" for number in range(4)]))
    found: list[str] = []
    after = 0
    while True:
        page = queue.wait(queue.store.due_domain("example.org", after, limit=2))
        found += [each.queue_id for each in page.messages]
        after = page.next
        if not after:
            break
    assert found == ["ID4", "ID5"]
