"""Coroutines that run at once, and go on by the futures they wait for."""

import asyncio
from collections.abc import Coroutine

import pytest

from posthouse.util.eager import Outcome, Running, start
from tests.support.fake_loop import FakeLoop


async def value() -> int:
    """Do not wait."""
    return 7


async def failure() -> int:
    """Do not wait, and fail."""
    raise KeyError("x")


async def waits(future: "asyncio.Future[int]") -> int:
    """Wait once."""
    return await future + 1


class Case:
    """A loop and the outcomes."""

    def __init__(self, loop: FakeLoop) -> None:
        self.loop = loop
        self.outcomes: list[Outcome[int]] = []

    def start(self, coroutine: Coroutine[object, None, int]) -> Running[int] | None:
        """Start, and keep what comes of it."""
        return start(coroutine, self.outcomes.append)


@pytest.fixture
def case(loop: FakeLoop) -> Case:
    """Make a case."""
    return Case(loop)


def test_a_coroutine_that_does_not_wait_ends_before_start_returns(case: Case) -> None:
    """No task, no turn of the loop."""
    assert case.start(value()) is None
    assert [outcome.result() for outcome in case.outcomes] == [7]


def test_an_exception_is_handed_over_and_raised_by_result(case: Case) -> None:
    """It does not leave start."""
    assert case.start(failure()) is None
    assert isinstance(case.outcomes[0].error, KeyError)
    with pytest.raises(KeyError):
        case.outcomes[0].result()


def test_a_coroutine_that_waits_goes_on_when_its_future_is_done(case: Case) -> None:
    """And its outcome comes then."""
    future = case.loop.create_future()
    assert case.start(waits(future)) is not None
    case.loop.run_ready()
    assert not case.outcomes
    future.set_result(1)
    case.loop.run_ready()
    assert [outcome.result() for outcome in case.outcomes] == [2]


def test_a_future_that_is_done_already_costs_no_turn(case: Case) -> None:
    """Await goes on at once."""
    future = case.loop.create_future()
    future.set_result(1)
    assert case.start(waits(future)) is None
    assert case.outcomes[0].result() == 2


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_an_error_of_the_future_is_raised_inside(case: Case, is_cancelled: bool) -> None:
    """A cancelled future cancels the coroutine, and that is an outcome as well."""
    future = case.loop.create_future()
    case.start(waits(future))
    if is_cancelled:
        future.cancel()
    else:
        future.set_exception(OSError("gone"))
    case.loop.run_ready()
    assert isinstance(case.outcomes[0].error, asyncio.CancelledError if is_cancelled else OSError)


def test_a_cancelled_coroutine_is_closed_and_nobody_hears_of_it(case: Case) -> None:
    """Also when its future is done later."""
    future = case.loop.create_future()
    closed = []

    async def coroutine() -> int:
        try:
            return await waits(future)
        finally:
            closed.append(True)

    running = case.start(coroutine())
    assert running is not None
    running.cancel()
    future.set_result(1)
    case.loop.run_ready()
    assert closed
    assert not case.outcomes


def test_waiting_for_something_else_than_a_future_is_our_bug(case: Case) -> None:
    """There is no task that a bare yield could go back to."""
    with pytest.raises(AssertionError):
        case.start(bare_yield())


async def bare_yield() -> int:
    """Yield to a loop that is not there."""
    await asyncio.sleep(0)
    return 1


def test_a_coroutine_that_waits_twice_goes_on_twice(case: Case) -> None:
    """Each wait hands it to the next future."""
    futures = [case.loop.create_future(), case.loop.create_future()]

    async def both() -> int:
        return int(await futures[0]) + int(await futures[1])

    case.start(both())
    futures[0].set_result(1)
    case.loop.run_ready()
    assert not case.outcomes
    futures[1].set_result(2)
    case.loop.run_ready()
    assert case.outcomes[0].result() == 3
