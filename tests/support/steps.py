"""How much work a function does, in lines of Python: the same on every machine, unlike its time."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Final

GROWTH: Final = 2.5  # twice the input may cost so many times the work


def steps(function: Callable[[str], object], text: str) -> int:
    """Count the lines of Python that are run by function(text). What runs inside of C functions is not seen."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]  # a trace function that returns itself
    try:
        function(text)
    finally:
        sys.settrace(before)
    return count


def is_linear(function: Callable[[str], object], make: Callable[[int], str], size: int) -> bool:
    """Whether twice the input costs about twice the work."""
    return steps(function, make(2 * size)) <= GROWTH * steps(function, make(size))
