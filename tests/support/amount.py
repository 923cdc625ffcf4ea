"""How much of a fault test is run: a little in `make test`, all of it in `make test-faults`."""

from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Amount:
    """`amount(8, 500)`: 8 in a short run, 500 in a whole one."""

    whole: bool

    def __call__(self, short: T, whole: T) -> T:
        """Choose."""
        return whole if self.whole else short
