"""Level: how scarce something is. Thresholds say where levels begin, a Gauge follows a value with hysteresis.

A level gets worse at once, because a refusal that comes late is a full disk. It gets better only when the value has
stayed clear of the threshold by a margin for a while, because a system that changes its mind each second helps nobody.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

HOLD_S: Final = 2.0  # how long a value must stay clear before its level ends; intake is back within 5 s
MARGIN: Final = 0.1  # how far clear, as a share of the threshold


class Level(IntEnum):
    """Worse is greater."""

    NORMAL = 0
    BUSY = 1
    STRAINED = 2
    CRITICAL = 3

    @property
    def word(self) -> str:
        """As the log and `posthouse status` say it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The values at which levels begin; None: this level never comes. less_is_worse: of what is left, not what is used.

    onset_s: how long a value must be that bad before it counts; 0 where a moment can do harm.
    """

    busy: float | None = None
    strained: float | None = None
    critical: float | None = None
    less_is_worse: bool = False
    onset_s: float = 0.0
    margin: float = MARGIN

    def level_of(self, value: float, *, cautious: bool = False) -> Level:
        """Give the level of a value; cautious: with the margin a level needs to end."""
        for level, threshold in (
            (Level.CRITICAL, self.critical),
            (Level.STRAINED, self.strained),
            (Level.BUSY, self.busy),
        ):
            if threshold is None:
                continue
            if self.less_is_worse:
                if value <= threshold * (1 + self.margin if cautious else 1):
                    return level
            elif value >= threshold * (1 - self.margin if cautious else 1):
                return level
        return Level.NORMAL


class Gauge:
    """One value over time. `level` is what counts, `since` when it left normal (0: it is normal)."""

    __slots__ = ("_better_at", "_worse_at", "changed", "level", "since")

    def __init__(self) -> None:
        self.level = Level.NORMAL
        self.since = 0.0
        self.changed = 0.0  # when the level changed last
        self._worse_at: float | None = None  # since when the value has been worse than the level
        self._better_at: float | None = None  # since when it has been clear of it

    def update(self, value: float, thresholds: Thresholds, now: float) -> bool:
        """Take a value; now: any clock that does not jump. Returns whether the level changed."""
        worse = thresholds.level_of(value)
        if worse > self.level:
            self._better_at = None
            self._worse_at = now if self._worse_at is None else self._worse_at
            return now - self._worse_at >= thresholds.onset_s and self._set(worse, now)
        self._worse_at = None
        better = thresholds.level_of(value, cautious=True)
        if better >= self.level:
            self._better_at = None
            return False
        self._better_at = now if self._better_at is None else self._better_at
        return now - self._better_at >= HOLD_S and self._set(better, now)

    def _set(self, level: Level, now: float) -> bool:
        if self.level is Level.NORMAL:
            self.since = now
        elif level is Level.NORMAL:
            self.since = 0.0
        self.level, self.changed = level, now
        self._worse_at = self._better_at = None
        return True
