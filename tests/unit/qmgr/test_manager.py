"""QueueManager: what becomes of a message in one round, with store, agents, resolver and bounce faked."""

import time

import pytest

from posthouse.ipc.message import NOTIFY_SUCCESS
from posthouse.ipc.rewrite import CLASS_LOCAL, Resolved
from posthouse.util.errors import TemporaryError
from tests.unit.qmgr.conftest import YEAR, Case
from tests.unit.qmgr.make import ARRIVAL, bounced, deferred, message, sent


def test_a_message_is_resolved_and_submitted(case: Case) -> None:
    """Each place once; the log says that it is active."""
    case.admit("a@x", "b@y", "c@x")
    assert case.scheduler.submitted == [("smtp", "x", "", [1, 3]), ("smtp", "y", "", [2])]
    assert case.lines == ["3TEST: from=<s@x>, size=2, nrcpt=3 (queue active)"]
    assert case.manager.is_active("3TEST")


def test_delivered_to_all_is_removed_in_one_step(case: Case) -> None:
    """The agent is acknowledged when that is durable, not before."""
    active = case.admit("a@x", "b@x")
    case.took(active, sent(1), sent(2))
    assert case.ledger.log == ["remove"]
    assert case.acknowledged == 0
    case.ledger.commit()
    assert case.acknowledged == 1
    assert case.lines[-1] == "3TEST: removed"
    assert not case.manager.is_active("3TEST")


def test_the_first_of_two_is_written_down_when_it_is_known(case: Case) -> None:
    """A crash between the two does not send it again."""
    active = case.admit("a@x", "b@y")
    case.took(active, sent(1))
    assert case.ledger.log == ["record {1: 0}"]
    case.took(active, sent(2))
    assert case.ledger.log == ["record {1: 0}", "remove"]
    case.ledger.commit()
    assert case.acknowledged == 2


def test_deferred_mail_waits_for_its_next_attempt(case: Case) -> None:
    """No sooner than minimal_backoff_time; the agent need not wait for the disk."""
    active = case.admit()
    case.took(active, deferred(1))
    assert case.acknowledged == 1
    assert case.ledger.log == ["defer"]
    assert case.ledger.deferred[0][0] == [1]
    assert case.dues == [case.ledger.deferred[0][1]]
    assert case.now + 300 <= case.dues[0] <= case.now + 330
    assert not case.manager.is_active("3TEST")


def test_bounced_mail_is_removed_when_its_sender_was_told(case: Case) -> None:
    """Not before: the notice must be durable."""
    active = case.admit()
    case.took(active, bounced(1))
    assert case.notices.asked == [("failed", [1])]
    assert case.ledger.log == ["record {1: 2}"]
    assert case.manager.is_active("3TEST")
    case.notices.end()
    assert case.ledger.log == ["record {1: 2}", "remove"]
    assert case.lines[-1] == "3TEST: removed"


def test_a_notice_that_cannot_be_made_keeps_the_message(case: Case) -> None:
    """Nothing is lost silently; it is asked for again in the next round."""
    active = case.admit()
    case.took(active, bounced(1))
    case.notices.end("cleanup is away")
    assert case.ledger.log == ["record {1: 2}", "defer"]
    assert case.ledger.deferred[0][0] == []
    assert "warning: 3TEST: non-delivery notice: cleanup is away; will try again" in case.lines
    assert not case.manager.is_active("3TEST")


def test_recipients_that_bounced_in_an_earlier_round_are_told_about_in_this_one(case: Case) -> None:
    """The notice failed then."""
    active = message("a@x", "b@x")
    active.take(bounced(1))
    case.manager.admit(active)
    assert case.scheduler.submitted == [("smtp", "x", "", [2])]
    case.took(active, sent(2))
    assert case.notices.asked == [("failed", [1])]


def test_a_message_with_nothing_but_old_bounces_needs_no_delivery(case: Case) -> None:
    """Only its notice is missing."""
    active = message("a@x")
    active.take(bounced(1))
    case.manager.admit(active)
    assert not case.scheduler.submitted
    assert case.notices.asked == [("failed", [1])]


def test_bounced_and_deferred_together(case: Case) -> None:
    """The sender hears of the first, the second is tried again, and the first is settled."""
    active = case.admit("a@x", "b@x")
    case.took(active, bounced(1), deferred(2))
    case.notices.end()
    assert case.ledger.log == ["record {1: 2}", "settle", "defer"]
    assert case.ledger.deferred[0][0] == [2]


@pytest.mark.parametrize("error", ["", "cleanup is away"])
def test_a_sender_who_asked_hears_of_success(case: Case, error: str) -> None:
    """A notice that cannot be made holds up nothing."""
    active = case.admit(notify=NOTIFY_SUCCESS)
    case.took(active, sent(1))
    assert case.notices.asked == [("delivered", [])]
    case.notices.end(error)
    assert case.ledger.log == ["record {1: 0}", "remove"]


def test_success_and_failure_are_both_told(case: Case) -> None:
    """RFC 3461: each recipient has its own wishes."""
    active = case.admit("a@x", "b@x", notify=NOTIFY_SUCCESS | 4)
    case.took(active, sent(1), bounced(2))
    case.notices.end()
    case.notices.end()
    assert case.notices.asked == [("delivered", []), ("failed", [2])]
    assert case.ledger.log[-1] == "remove"


def test_success_of_one_and_deferral_of_another(case: Case) -> None:
    """Told now, tried later."""
    active = case.admit("a@x", "b@x", notify=NOTIFY_SUCCESS)
    case.took(active, sent(1), deferred(2))
    case.notices.end()
    assert case.ledger.log[-2:] == ["settle", "defer"]


def test_success_that_could_not_be_told_is_told_in_the_next_round(case: Case) -> None:
    """Where there is one: it is not settled."""
    active = case.admit("a@x", "b@x", notify=NOTIFY_SUCCESS)
    case.took(active, sent(1), deferred(2))
    case.notices.end("cleanup is away")
    assert "settle" not in case.ledger.log
    again = message("a@x", "b@x", notify=NOTIFY_SUCCESS)
    again.take(sent(1))
    case.manager.admit(again)
    case.took(again, sent(2))
    assert case.notices.asked[-1] == ("delivered", [])


def test_mail_that_is_too_old_is_returned(case: Case) -> None:
    """With its last reason; the log has Postfix's words."""
    case.now = ARRIVAL + 5 * 86400
    active = case.admit()
    case.took(active, deferred(1))
    assert case.notices.asked == [("failed", [1])]
    assert active.results[1].text == "try later"
    assert "3TEST: from=<s@x>, status=expired, returned to sender" in case.lines


def test_mail_is_not_old_because_the_clock_was_set_forward(case: Case) -> None:
    """Ten years at once: neither returned nor called late; the next attempt comes by the new time."""
    case.start(delay_warning_time="4h")
    active = case.admit()
    case.jump(10 * YEAR)
    case.took(active, deferred(1))
    assert case.notices.asked == []
    assert case.ledger.log == ["defer"]
    assert case.now + 300 <= case.dues[0] <= case.now + 330
    assert case.manager.oldest_active() == 0.0


def test_the_active_queue_is_not_old_because_the_clock_was_set_forward(case: Case) -> None:
    """It would be a reason to slow down."""
    case.admit()
    case.jump(10 * YEAR)
    assert case.manager.oldest_active() == 0.0


def test_mail_that_came_after_the_clock_was_set_forward_grows_old_as_always(case: Case) -> None:
    """Its times are of the new clock."""
    case.jump(10 * YEAR)
    arrival = case.now
    case.now += 5 * 86400
    case.took(case.admit(arrival=arrival), deferred(1))
    assert case.notices.asked == [("failed", [1])]


def test_mail_grows_old_after_the_clock_was_set_forward(case: Case) -> None:
    """By the clock that nobody sets."""
    active = case.admit()
    case.jump(10 * YEAR)
    case.now += 5 * 86400
    case.took(active, deferred(1))
    assert case.notices.asked == [("failed", [1])]


def test_mail_that_came_under_a_clock_that_was_wrong_is_as_old_as_it_is(case: Case) -> None:
    """A machine that starts in 1970 and is told the time later."""
    case.jump(-10 * YEAR)
    arrival = case.now
    case.now += 60
    case.jump(10 * YEAR)
    young = case.admit(arrival=arrival)
    case.took(young, deferred(1))
    assert case.notices.asked == []
    case.now += 5 * 86400
    case.took(case.admit(arrival=arrival), deferred(1))
    assert case.notices.asked == [("failed", [1])]


def test_mail_is_young_when_the_clock_was_set_back(case: Case) -> None:
    """A message from the future waits as a new one does."""
    active = case.admit()
    case.jump(-10 * YEAR)
    case.took(active, deferred(1))
    assert case.now + 300 <= case.dues[0] <= case.now + 330


def test_a_notice_that_is_too_old_is_given_up(case: Case) -> None:
    """bounce_queue_lifetime is its own; whom to tell is bounce's matter."""
    case.start(bounce_queue_lifetime="1d")
    case.now = ARRIVAL + 86400
    active = case.admit(sender="")
    case.took(active, deferred(1))
    assert case.notices.asked == [("failed", [1])]


def test_postsuper_e_returns_mail_that_is_not_delivered(case: Case) -> None:
    """While it is active: at the end of the round. From the store: at once, without an attempt."""
    active = case.admit()
    case.manager.force_expire("3TEST")
    case.manager.force_expire("unknown")
    case.took(active, deferred(1))
    assert "3TEST: from=<s@x>, status=force-expired, returned to sender" in case.lines
    other = message(queue_id="3OTHER")
    other.forced_expire = True
    case.scheduler.submitted.clear()
    case.manager.admit(other)
    assert not case.scheduler.submitted
    assert case.notices.asked == [("failed", [1]), ("failed", [1])]


def test_the_sender_is_told_of_a_delay_once_it_is_due(case: Case) -> None:
    """The message is deferred all the same."""
    case.notices.delay_due = True
    active = case.admit()
    case.took(active, deferred(1))
    assert case.notices.asked == [("delayed", [1])]
    assert case.ledger.log == ["defer"]


def test_a_resolver_that_does_not_answer_defers(case: Case) -> None:
    """It is never "not found"; each recipient is logged."""
    case.resolver.wait().set_exception(TemporaryError("rewrite service is away"))
    case.admit("a@x", "b@x")
    assert case.ledger.log == ["defer"]
    assert sum("status=deferred (address resolver failure)" in line for line in case.lines) == 2


def test_an_address_that_the_resolver_changed_is_delivered_to_the_new_one(case: Case) -> None:
    """The old one stays the original recipient."""
    case.resolver.wait().set_result([Resolved(0, "smtp", "y", "new@y")])
    active = case.admit("old@x")
    assert (active.recipients[1].address, active.recipients[1].original) == ("new@y", "old@x")


def test_deferred_transports_are_not_used(case: Case) -> None:
    """defer_transports."""
    case.start(defer_transports="smtp")
    case.admit()
    assert not case.scheduler.submitted
    assert case.ledger.log == ["defer"]


# Late results.


def test_late_results_of_an_active_message(case: Case) -> None:
    """They count as if they had come in time."""
    case.admit()
    done: list[bool] = []
    case.manager.took_late("3TEST", [sent(1)], lambda: done.append(True))
    assert case.ledger.log == ["remove"]
    assert not done
    case.ledger.commit()
    assert done


def test_late_results_of_a_message_that_waits_are_stored(case: Case) -> None:
    """Only what is final; a deferral is known already."""
    done: list[bool] = []
    case.manager.took_late("3GONE", [sent(1), deferred(2)], lambda: done.append(True))
    assert case.ledger.log == ["late 3GONE {1: 0}"]
    assert done


def test_a_result_that_comes_twice_is_acknowledged_and_forgotten(case: Case) -> None:
    """Two agents had the message after a lost connection; the sender is told once."""
    active = case.admit()
    case.took(active, bounced(1))
    case.took(active, bounced(1))
    assert case.acknowledged == 1
    assert case.notices.asked == [("failed", [1])]


# An operator's hand.


def test_held_mail_ends_its_round(case: Case) -> None:
    """What waits is not tried and gets no reason of ours; what is under way is finished."""
    active = case.admit("a@x", "b@x", "c@x")
    case.scheduler.waiting = [2, 3]
    case.manager.withdraw("3TEST", gone=False)
    assert case.manager.is_active("3TEST")
    case.took(active, deferred(1))
    assert case.ledger.log == ["defer"]
    assert case.ledger.deferred[0][0] == [1]


def test_held_mail_does_not_expire(case: Case) -> None:
    """Nor is its sender told that it is late."""
    case.now = ARRIVAL + 6 * 86400
    case.notices.delay_due = True
    case.admit()
    case.scheduler.waiting = [1]
    case.manager.withdraw("3TEST", gone=False)
    assert case.ledger.log == ["defer"]
    assert not case.notices.asked


@pytest.mark.parametrize("gone", [True, False])
def test_mail_that_is_taken_away_while_it_is_resolved_is_not_delivered(case: Case, gone: bool) -> None:
    """The answer comes too late."""
    answer = case.resolver.wait()
    case.admit()
    case.manager.withdraw("3TEST", gone=gone)
    answer.set_result([Resolved(0, "smtp", "x", "a@x")])
    case.loop.run_ready()
    assert not case.scheduler.submitted
    assert not case.manager.is_active("3TEST")
    assert case.ledger.log == ([] if gone else ["defer"])


def test_deleted_mail_leaves_at_once(case: Case) -> None:
    """A result that comes later is acknowledged, so that the agent can forget it."""
    active = case.admit()
    case.manager.withdraw("3TEST", gone=True)
    assert not case.manager.is_active("3TEST")
    case.took(active, sent(1))
    assert case.acknowledged == 1
    assert not case.ledger.log


@pytest.mark.parametrize("notify", [0, NOTIFY_SUCCESS])
def test_mail_that_is_deleted_while_its_sender_is_told(case: Case, notify: int) -> None:
    """It is not removed a second time."""
    active = case.admit("a@x", "b@x", notify=notify)
    case.took(active, sent(1), bounced(2))
    case.manager.withdraw("3TEST", gone=True)
    case.notices.end()
    assert "remove" not in case.ledger.log
    assert "3TEST: removed" not in case.lines


def test_withdrawing_what_is_not_active_does_nothing(case: Case) -> None:
    """The store has done it."""
    case.manager.withdraw("3NONE", gone=True)
    assert not case.ledger.log


# Memory.


def test_room_is_told_when_a_full_active_queue_has_some(case: Case) -> None:
    """Once, not with each message."""
    case.start(qmgr_message_active_limit="2")
    messages = [case.admit(queue_id=f"3M{number}", key=number) for number in range(2)]
    assert case.manager.room == 0
    for active in messages:
        case.took(active, sent(1))
    assert case.rooms == 1
    assert case.manager.room == 2


def test_content_in_memory_has_a_budget(case: Case) -> None:
    """Beyond it content is read from the store; room comes back with the message's end."""
    case.start(qmgr_content_memory="5")
    first = case.admit(queue_id="3A", content=b"1234")
    second = case.admit(queue_id="3B", content=b"56")
    assert (first.content, second.content) == (b"1234", None)
    case.took(first, sent(1))
    third = case.admit(queue_id="3C", content=b"12345")
    assert third.content == b"12345"
    contents: list[bytes] = []
    case.manager.fetch_content(second, lambda content, _descriptor, _error: contents.append(content))
    assert contents == [b"stored"]


def test_the_active_queue_can_be_seen(case: Case) -> None:
    """By queue ID."""
    active = case.admit()
    assert case.manager.active() == {"3TEST": active}
    assert time.time() == case.now


def test_results_that_come_late_while_addresses_are_resolved(case: Case) -> None:
    """An agent of the last queue manager brings them; who has one is not delivered to again, and nothing breaks."""
    later = case.resolver.wait()
    case.admit("a@x", "b@y", "c@x")
    case.manager.took_late("3TEST", [sent(2)], case._acknowledge)
    later.set_result([Resolved(0, "smtp", nexthop, f"{name}@{nexthop}") for name, nexthop in ("ax", "by", "cx")])
    case.loop.run_ready()
    assert case.scheduler.submitted == [("smtp", "x", "", [1, 3])]
    assert not case.loop.errors


def test_results_that_come_late_while_nothing_can_be_resolved(case: Case) -> None:
    """The others are deferred."""
    later = case.resolver.wait()
    case.admit("a@x", "b@y")
    case.manager.took_late("3TEST", [sent(2)], case._acknowledge)
    later.set_exception(TemporaryError("no resolver"))
    case.loop.run_ready()
    assert case.ledger.deferred[0][0] == [1]
    assert not case.loop.errors


def test_what_comes_to_the_sender_of_notices_ends_here(case: Case) -> None:
    """Logged as sent, as Postfix does, and removed."""
    case.resolver.wait().set_result([Resolved(CLASS_LOCAL, "local", "x", "double-bounce@x")])
    case.admit("double-bounce@x", sender="")
    assert case.lines[-2].endswith("dsn=2.0.0, status=sent (undeliverable postmaster notification discarded)")
    assert (case.ledger.log, case.notices.asked, case.scheduler.submitted) == (["remove"], [], [])
