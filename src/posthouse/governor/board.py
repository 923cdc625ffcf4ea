"""Board: every condition with its gauge, its words and its forecast; what is in force follows from it.

The one place that knows everything: the log, `posthouse status`, warnings and metrics all read from here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from posthouse.governor import conditions as c
from posthouse.governor.forecast import Forecast, Trend
from posthouse.governor.level import Gauge, Level, Thresholds
from posthouse.governor.steps import Measures, Step, describe, in_force, steps_of

FORECAST_EVERY_S: Final = 2.0
FORECAST_HOLDS_S: Final = 5.0  # how long a forecast must stand before anybody is told


@dataclass(frozen=True, slots=True)
class Reading:
    """A value and what it means. text: the value in words. floor: where the trend ends (disk); None: none is made."""

    key: str
    value: float
    thresholds: Thresholds
    text: str
    floor: float | None = None


@dataclass(slots=True)
class Entry:
    """One condition over time."""

    reading: Reading
    gauge: Gauge = field(default_factory=Gauge)
    trend: Trend = field(default_factory=Trend)
    forecast: Forecast | None = None
    since: float = 0.0  # seconds since the epoch when it left normal; 0: it is normal
    _looked: float = -FORECAST_EVERY_S
    _foreseen: float | None = None  # when a forecast came up

    def update(self, reading: Reading, now: float, wall: float) -> bool:
        """Take a reading; whether the level changed."""
        self.reading = reading
        changed = self.gauge.update(reading.value, reading.thresholds, now)
        if changed:
            self.since = 0.0 if self.gauge.level is Level.NORMAL else self.since or wall
        if reading.floor is not None:
            self.trend.add(now, reading.value)
            if now - self._looked >= FORECAST_EVERY_S:
                self._looked = now
                self.forecast = self.trend.forecast(reading.floor)
                self._foreseen = None if self.forecast is None else now if self._foreseen is None else self._foreseen
        return changed

    def warns(self, now: float, warning_s: float) -> bool:
        """Whether the postmaster should know of it now."""
        if Step.WARN in steps_of(c.kind_of(self.reading.key)[0], self.gauge.level):
            return True
        if self.forecast is None or self._foreseen is None or now - self._foreseen < FORECAST_HOLDS_S:
            return False
        return self.forecast.seconds <= warning_s


class Board:
    """See the module's docstring."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.since = 0.0  # when the level as a whole changed last; seconds since the epoch
        self.level = Level.NORMAL

    def take(self, reading: Reading, now: float, wall: float) -> bool:
        """Take a reading; whether its level changed."""
        entry = self.entries.get(reading.key)
        if entry is None:
            entry = self.entries[reading.key] = Entry(reading)
        changed = entry.update(reading, now, wall)
        if changed:
            level = max((each.gauge.level for each in self.entries.values()), default=Level.NORMAL)
            if level != self.level:
                self.level, self.since = level, wall
        return changed

    def levels(self) -> dict[str, Level]:
        """Give the level of each condition."""
        return {key: entry.gauge.level for key, entry in self.entries.items()}

    def measures(self) -> Measures:
        """Say what is to be done."""
        return Measures.of(self.levels())

    def steps(self) -> tuple[Step, ...]:
        """Name the steps in force."""
        return in_force(self.levels())

    def fine(self) -> bool:
        """Whether nothing need be looked at more closely."""
        return self.level is Level.NORMAL

    def warnings(self, now: float, warning_s: float) -> Iterator[Entry]:
        """Give what the postmaster should know of now."""
        return (entry for entry in self.entries.values() if entry.warns(now, warning_s))


def next_steps(entry: Entry) -> str:
    """Say what comes when this condition gets worse; "": nothing."""
    condition, level = c.kind_of(entry.reading.key)[0], entry.gauge.level
    for worse in Level:
        if worse > level:
            more = [step for step in steps_of(condition, worse) if step not in steps_of(condition, level)]
            more = [step for step in more if step is not Step.WARN]
            if more:
                return f"{worse.word}: {describe(more)}"
    return ""
