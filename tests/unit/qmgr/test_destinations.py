"""Windows that grow and shrink, dead destinations, round robin, process limits."""

import pytest

from posthouse.daemons.qmgr.destinations import Entry, Transport
from tests.unit.qmgr.make import message, transport


def fill(target: Transport, name: str, count: int) -> None:
    """Queue deliveries for a destination."""
    destination = target.destination(name)
    for number in range(count):
        target.add(Entry(message(queue_id=f"{name}{number}"), destination, name, [1]))


def take_all(target: Transport, now: float = 0.0) -> list[str]:
    """Take every delivery that may start now; their destinations."""
    found = []
    while (entry := target.next_entry(now)) is not None:
        found.append(entry.destination.name)
    return found


def finish(target: Transport, name: str, count: int, *, reached: bool = True) -> None:
    """End deliveries of a destination."""
    destination = target.destination(name)
    entry = Entry(message(), destination, name, [1])
    for _ in range(count):
        target.done(entry)
        if reached:
            destination.reached()


def test_a_new_destination_starts_with_the_initial_window() -> None:
    """No more at once than that."""
    smtp = transport()
    fill(smtp, "a", 30)
    assert take_all(smtp) == ["a"] * 5


def test_the_window_grows_by_one_with_each_delivery_that_reaches_it() -> None:
    """As far as its limit."""
    smtp = transport(window_limit=7)
    fill(smtp, "a", 100)
    sizes = []
    in_flight = 0
    for _ in range(4):
        in_flight += len(take_all(smtp))
        sizes.append(in_flight)
        finish(smtp, "a", 1)
        in_flight -= 1
    assert sizes == [5, 6, 7, 7]


def test_the_window_has_no_limit_when_the_limit_is_zero() -> None:
    """But it grows only with what is under way."""
    smtp = transport(window_limit=0, processes=0)
    fill(smtp, "a", 1000)
    for _ in range(40):
        take_all(smtp)
        finish(smtp, "a", 1)
    assert smtp.destination("a").window == 45


def test_the_window_does_not_grow_beyond_need() -> None:
    """One delivery after the other says nothing about twenty at once (SCHEDULER_README)."""
    smtp = transport()
    for _ in range(100):
        fill(smtp, "a", 1)
        take_all(smtp)
        finish(smtp, "a", 1)
    assert smtp.destination("a").window == 6


def test_the_window_shrinks_with_each_delivery_that_does_not_reach_it() -> None:
    """A success between makes it grow again and forgets the failures."""
    a = transport(failed_cohorts=100).destination("a")
    windows = []
    for _ in range(7):
        assert not a.not_reached(0, "", 60)
        windows.append(a.window)
    assert windows == [4, 3, 2, 1, 1, 1, 1]
    a.in_flight = 4
    a.reached()
    assert a.window == 2


def test_a_destination_is_dead_after_one_failed_cohort() -> None:
    """That is as many failures in a row as its window has places, the window shrinking meanwhile."""
    a = transport().destination("a")
    answers = [a.not_reached(10.0, "refused", 60.0) for _ in range(4)]
    assert answers == [False, False, False, True]
    assert (a.dead_until, a.why, a.window) == (70.0, "refused", 5.0)


def test_a_success_between_failures_keeps_a_destination_alive() -> None:
    """Failures count in a row only."""
    a = transport().destination("a")
    for _ in range(10):
        assert not a.not_reached(0, "", 60)
        a.reached()


def test_no_cohort_limit_means_never_dead() -> None:
    """default_destination_concurrency_failed_cohort_limit = 0."""
    a = transport(failed_cohorts=0).destination("a")
    assert not any(a.not_reached(0, "", 60) for _ in range(50))


def test_destinations_take_turns() -> None:
    """A busy one does not starve the others, and each gets its mail in order."""
    smtp = transport(window_initial=2)
    for name, count in (("a", 3), ("b", 1), ("c", 2)):
        fill(smtp, name, count)
    assert take_all(smtp) == ["a", "b", "c", "a", "c"]
    finish(smtp, "a", 1)
    assert take_all(smtp) == ["a"]
    assert not smtp.waiting


def test_a_transport_has_no_more_at_once_than_processes() -> None:
    """master.cf's maxproc, over all destinations."""
    smtp = transport(processes=3)
    for name in "abcde":
        fill(smtp, name, 1)
    assert take_all(smtp) == ["a", "b", "c"]
    finish(smtp, "a", 1)
    assert take_all(smtp) == ["d"]


def test_tarpits_leave_room_for_those_that_answer() -> None:
    """Fifty that hold what they get: one each in the crowd, three quarters of the places together, the rest is free."""
    smtp = transport(processes=40)
    fill(smtp, "good", 1)
    take_all(smtp)
    finish(smtp, "good", 1)
    for number in range(50):
        fill(smtp, f"tar{number}", 10)
    held = take_all(smtp)
    assert len(held) == 30
    assert held.count("tar7") == 1
    fill(smtp, "good", 20)
    assert take_all(smtp) == ["good"] * 6
    fill(smtp, "new", 1)
    assert not take_all(smtp)


def test_who_became_slow_is_a_tarpit_like_the_others() -> None:
    """What counts is the last delivery: one that took long, or that did not reach it."""
    a = transport(processes=8).destination("a")
    prompt = [a.prompt]
    for took_s in (0.5, 60.0, 0.5):
        a.reached(took_s)
        prompt.append(a.prompt)
    a.not_reached(0.0, "timed out", 60.0)
    assert [*prompt, a.prompt] == [False, True, False, True, False]


def test_those_that_answer_and_those_that_do_not_take_turns() -> None:
    """Neither line starves the other."""
    smtp = transport(processes=100)
    smtp.destination("good").reached()
    fill(smtp, "good", 3)
    for name in "abc":
        fill(smtp, name, 1)
    taken = take_all(smtp)
    assert [name == "good" for name in taken[:4]] in ([True, False] * 2, [False, True] * 2)
    assert len(taken) == 6


def test_a_rate_delay_lets_one_go_at_a_time() -> None:
    """And the next one after that time."""
    smtp = transport(rate_delay_s=5.0)
    fill(smtp, "a", 2)
    fill(smtp, "b", 1)
    assert take_all(smtp, 100.0) == ["a", "b"]
    assert take_all(smtp, 104.9) == []
    assert take_all(smtp, 105.0) == ["a"]


@pytest.mark.parametrize("is_used", [True, False])
def test_destinations_that_have_nothing_are_forgotten(is_used: bool) -> None:
    """Memory does not grow with every name ever seen."""
    smtp = transport()
    fill(smtp, "a", 1)
    if not is_used:
        take_all(smtp)
        finish(smtp, "a", 1)
    smtp.forget_idle(0.0)
    assert ("a" in smtp.destinations) is is_used


def test_a_dead_destination_is_remembered_until_it_may_live() -> None:
    """Otherwise its death would be forgotten with it."""
    smtp = transport()
    smtp.destination("a").dead_until = 50.0
    smtp.forget_idle(49.0)
    assert "a" in smtp.destinations
    smtp.forget_idle(50.0)
    assert "a" not in smtp.destinations


def test_forgetting_takes_it_out_of_the_turn() -> None:
    """An operator took its mail while it stood in the queue."""
    smtp = transport()
    fill(smtp, "a", 1)
    smtp.destination("a").todo.clear()
    smtp.forget_idle(0.0)
    assert not smtp.waiting
    fill(smtp, "a", 1)
    assert take_all(smtp) == ["a"]
