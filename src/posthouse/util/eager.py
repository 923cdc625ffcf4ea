"""Run a coroutine now, and need no task for it when it never waits.

Policy code is written `async def` because a table or a daemon may have to be asked. Most decisions need neither, and
a task with its turn of the event loop would cost more than the decision. `start` runs the coroutine in place; only
when it really waits is it carried on later, by the future it waits for.

The coroutine may await plain futures only: there is no current task in it, so asyncio.timeout, gather, locks and
sleep do not work there. Time limits belong to who makes the future.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Generic, TypeVar

T = TypeVar("T")


class Outcome(Generic[T]):
    """What became of a coroutine: its value, or the exception it raised."""

    __slots__ = ("_value", "error")

    def __init__(self, value: T | None, error: BaseException | None) -> None:
        self._value = value
        self.error = error

    def result(self) -> T:
        """Return the value or raise the exception."""
        if self.error is not None:
            raise self.error
        return self._value  # type: ignore[return-value]  # set whenever error is None


class Running(Generic[T]):
    """A coroutine that waits. Keep it to be able to cancel."""

    __slots__ = ("_coroutine", "_done", "_future")

    def __init__(self, coroutine: Coroutine[object, None, T], done: Callable[[Outcome[T]], None]) -> None:
        self._coroutine = coroutine
        self._done: Callable[[Outcome[T]], None] | None = done
        self._future: asyncio.Future[object] | None = None

    def cancel(self) -> None:
        """End the coroutine (CancelledError is thrown into it); `done` is not called any more."""
        self._done = None
        self._coroutine.close()
        self._future = None

    def step(self, future: "asyncio.Future[object] | None" = None) -> bool:
        """Run to the next wait or to the end; True at the end."""
        done = self._done
        if done is None:
            return True
        try:
            waits_for = self._coroutine.send(None)
        except StopIteration as stop:
            self._done = None
            done(Outcome(stop.value, None))
            return True
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - handed to the caller, who re-raises it in result()
            self._done = None
            done(Outcome(None, error))
            return True
        self.wait(waits_for)
        return False

    def wait(self, waits_for: object) -> None:
        """Go on when the future is done that the coroutine waits for."""
        assert isinstance(waits_for, asyncio.Future), "eager code awaits futures only"
        waits_for._asyncio_future_blocking = False  # noqa: SLF001 - the protocol of Future.__await__
        self._future = waits_for
        waits_for.add_done_callback(self.step)


def start(coroutine: Coroutine[object, None, T], done: Callable[[Outcome[T]], None]) -> Running[T] | None:
    """Run `coroutine` now; `done` gets its outcome, before this returns if it never waits (then None is returned)."""
    running = Running(coroutine, done)
    return None if running.step() else running
