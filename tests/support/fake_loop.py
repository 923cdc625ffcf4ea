"""FakeLoop: an event loop whose time stands still until the test moves it.

Callbacks, futures and sockets work as ever; timers and `time()` go by the fake clock, so hours pass at once and nothing
depends on how fast the machine is.
"""

import asyncio
from collections.abc import Callable

START: float = 1_000_000.0  # seconds; what the loop's clock shows at first
MAX_TURNS: int = 10_000  # of one run_ready; more is a callback that calls itself for ever


class FakeLoop(asyncio.SelectorEventLoop):
    """`run_ready` runs what is due now; `advance` lets time pass, timer by timer."""

    def __init__(self) -> None:
        self.now = START
        self.errors: list[BaseException | str] = []
        super().__init__()
        self.set_exception_handler(
            lambda _loop, context: self.errors.append(context.get("exception") or context["message"])
        )

    def time(self) -> float:
        """Give the fake clock."""
        return self.now

    def run_ready(self) -> None:
        """Run callbacks until nothing is left that is due and no descriptor is ready."""
        for _ in range(MAX_TURNS):
            self.stop()
            self.run_forever()  # one turn
            if not self._has_work():
                return
        raise AssertionError("callbacks without an end")

    def advance(self, seconds: float) -> None:
        """Let time pass; whatever becomes due on the way runs at its time."""
        end = self.now + seconds
        self.run_ready()
        while (due := self._next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.run_ready()
        self.now = end
        self.run_ready()

    def run_until(self, condition: Callable[[], object], limit_s: float = 60.0) -> None:
        """Let fake time pass until something is so. Raises AssertionError: it never is."""
        end = self.now + limit_s
        self.run_ready()
        while not condition():
            due = self._next_timer()
            assert due is not None and due <= end, "nothing more will happen"  # noqa: PT018 - one statement
            self.now = max(self.now, due)
            self.run_ready()

    def _next_timer(self) -> float | None:
        timers: list[asyncio.TimerHandle] = getattr(self, "_scheduled")  # noqa: B009 - asyncio's own, not typed
        return min((timer.when() for timer in timers if not timer.cancelled()), default=None)

    def _has_work(self) -> bool:
        due = self._next_timer()
        ready: list[object] = getattr(self, "_ready")  # noqa: B009 - as above
        if ready or (due is not None and due <= self.now):
            return True
        selector = getattr(self, "_selector")  # noqa: B009 - as above
        return bool(selector.select(0))
