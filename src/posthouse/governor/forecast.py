"""Trend: how fast something is used up, and when it will be gone, as far as that can be said honestly.

A straight line is laid through what was measured. Nothing is foretold when the points do not lie near a line that
goes down, nor further ahead than HORIZON times as long as was watched: "full in 5 h" needs five minutes.
Two windows run side by side, because a disk fills within seconds or within days.
"""

from collections import deque
from typing import Final, NamedTuple

HORIZON: Final = 60.0  # how much further than it was watched a trend is believed
MIN_SAMPLES: Final = 8
FIT: Final = 0.8  # share of the movement that the line must explain (r squared)


class Forecast(NamedTuple):
    """It is used up at `rate` (units per second) and gone in `seconds`; watched_s: what that is based on."""

    rate: float
    seconds: float
    watched_s: float


class Window:
    """Samples (time, value) no closer together than gap_s, no older than length_s."""

    def __init__(self, length_s: float, gap_s: float) -> None:
        self._length_s, self._gap_s = length_s, gap_s
        self._samples: deque[tuple[float, float]] = deque()

    def add(self, now: float, value: float) -> None:
        """Take a sample, when it is time for one."""
        samples = self._samples
        if samples and now - samples[-1][0] < self._gap_s:
            return
        samples.append((now, value))
        while samples[0][0] < now - self._length_s:
            samples.popleft()

    def forecast(self, floor: float) -> Forecast | None:
        """Say when the value will be down at `floor`; None: nothing can be said."""
        samples = self._samples
        count = len(samples)
        if count < MIN_SAMPLES:
            return None
        start, newest = samples[0][0], samples[-1]
        watched = newest[0] - start
        mean_t = sum(moment - start for moment, _ in samples) / count
        mean_v = sum(value for _, value in samples) / count
        tt = sum((moment - start - mean_t) ** 2 for moment, _ in samples)
        tv = sum((moment - start - mean_t) * (value - mean_v) for moment, value in samples)
        vv = sum((value - mean_v) ** 2 for _, value in samples)
        if tv >= 0 or tt == 0 or vv == 0 or tv * tv < FIT * tt * vv:
            return None
        rate = -tv / tt
        seconds = max(newest[1] - floor, 0.0) / rate
        return Forecast(rate, seconds, watched) if seconds <= HORIZON * watched else None


class Trend:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._windows = (Window(60.0, 0.45), Window(3600.0, 10.0))

    def add(self, now: float, value: float) -> None:
        """Take what is left now."""
        for window in self._windows:
            window.add(now, value)

    def forecast(self, floor: float) -> Forecast | None:
        """Say when it will be down at `floor`, by the longest window that can tell; None: none can."""
        for window in reversed(self._windows):
            found = window.forecast(floor)
            if found is not None:
                return found
        return None
