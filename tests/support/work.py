"""Counts work instead of timing it: calls of functions, of Python and of C."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Counter:
    """How many calls there were so far."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _frame: FrameType, event: str, _argument: object) -> None:
        """Take an event of sys.setprofile."""
        self.calls += event in ("call", "c_call")


@contextmanager
def counting() -> Iterator[Counter]:
    """Count the calls within the block."""
    counter = Counter()
    sys.setprofile(counter)
    try:
        yield counter
    finally:
        sys.setprofile(None)


def calls(function: Callable[[], object]) -> int:
    """Count the calls that a function makes."""
    with counting() as counter:
        function()
    return counter.calls


@contextmanager
def shallow(frames: int = 60) -> Iterator[None]:
    """Let nothing within the block go deeper than so many frames: what recurses by its input fails."""
    frame, depth = sys._getframe(), 0
    while (outer := frame.f_back) is not None:
        frame, depth = outer, depth + 1
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + frames)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
