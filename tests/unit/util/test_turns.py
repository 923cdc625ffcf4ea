"""Turns: work that rests when its time is over, and not before."""

import asyncio

from posthouse.util import eager
from posthouse.util.turns import TURN_S, Turns
from tests.support.fake_loop import FakeLoop


def test_work_rests_when_its_turn_is_over(loop: FakeLoop) -> None:
    """Others that are due run in between; work that is quick never waits."""
    seen: list[str] = []

    async def work() -> None:
        turns = Turns(loop)
        for step in range(6):
            seen.append(f"work {step}")
            if step % 2:
                loop.now += TURN_S
            await turns.rest()

    loop.call_soon(seen.append, "other")
    outcomes: list[eager.Outcome[None]] = []
    assert eager.start(work(), outcomes.append) is not None
    assert seen == ["work 0", "work 1"]
    loop.run_ready()
    assert seen == ["work 0", "work 1", "other", "work 2", "work 3", "work 4", "work 5"]
    assert [outcome.error for outcome in outcomes] == [None]


def test_several_pieces_of_work_have_one_turn_at_a_time(loop: FakeLoop) -> None:
    """Others are held up by one turn, however many there are; and no work is left behind."""
    seen: list[str] = []

    async def work(name: str) -> None:
        turns = Turns(loop)
        for _ in range(3):
            seen.append(name)
            loop.now += TURN_S
            await turns.rest()

    def other() -> None:
        seen.append("-")
        if len(seen) < 40:
            loop.call_soon(other)

    for name in "abc":
        eager.start(work(name), lambda _outcome: None)
    loop.call_soon(other)
    loop.run_ready()
    order = "".join(seen)
    assert all(len(turns) <= 1 for turns in order.removeprefix("abc").split("-"))
    assert order.replace("-", "") == "abcabcabc"


def test_work_that_is_given_up_while_it_rests_leaves_nothing(loop: FakeLoop) -> None:
    """The loop's callback finds nobody, and nothing is reported."""

    async def work() -> None:
        turns = Turns(loop)
        loop.now += TURN_S
        await turns.rest()
        raise AssertionError("goes on")

    running, other = (eager.start(work(), lambda _outcome: None) for _ in range(2))
    assert isinstance(running, eager.Running)
    assert isinstance(other, eager.Running)
    running.cancel()
    other.cancel()
    loop.run_ready()
    assert loop.errors == []
    assert not asyncio.all_tasks(loop)
