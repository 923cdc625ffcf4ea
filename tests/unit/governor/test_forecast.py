"""What is foretold, and what honestly cannot be."""

import random

import pytest

from posthouse.governor.forecast import HORIZON, Trend, Window


def test_a_steady_fall_is_foretold_rightly() -> None:
    """1000 bytes a second, 100,000 above the floor: in 100 s."""
    window = Window(60.0, 0.5)
    for tick in range(40):
        window.add(tick * 0.5, 200_000 - 500 * tick)
    found = window.forecast(80_500)
    assert found is not None
    assert found.rate == pytest.approx(1000)
    assert found.seconds == pytest.approx(100)
    assert found.watched_s == pytest.approx(19.5)


def test_steps_of_large_files_are_a_trend_all_the_same() -> None:
    """A message of 64 kB every two seconds; the estimate is near."""
    trend = Trend()
    for tick in range(100):
        trend.add(tick * 0.5, 10_000_000 - 65536 * (tick // 4))
    found = trend.forecast(0.0)
    assert found is not None
    assert found.rate == pytest.approx(32768, rel=0.05)


def test_noise_and_rest_say_nothing() -> None:
    """A value that goes up and down, one that stands still, one that rises."""
    rng = random.Random(7)
    noisy, still, rising = Window(60.0, 0.5), Window(60.0, 0.5), Window(60.0, 0.5)
    for tick in range(100):
        noisy.add(tick * 0.5, 1000 + rng.uniform(-100, 100))
        still.add(tick * 0.5, 1000)
        rising.add(tick * 0.5, 1000 + tick)
    assert noisy.forecast(0) is still.forecast(0) is rising.forecast(0) is None


def test_nobody_looks_further_ahead_than_he_has_looked() -> None:
    """Ten seconds of a slow fall do not say "in five hours"; five minutes do."""
    window = Window(3600.0, 0.5)
    rate, free = 1000.0, 18_000_000.0  # gone in five hours
    for tick in range(20):
        window.add(tick * 0.5, free - rate * tick * 0.5)
    assert window.forecast(0.0) is None
    for tick in range(20, 640):
        window.add(tick * 0.5, free - rate * tick * 0.5)
    found = window.forecast(0.0)
    assert found is not None
    assert found.seconds <= HORIZON * found.watched_s
    assert found.seconds == pytest.approx(18_000 - 319.5, rel=0.01)


def test_a_fall_that_is_over_is_forgotten() -> None:
    """The short window forgets within a minute; the long one when the line does not fit any more."""
    trend = Trend()
    for tick in range(60):
        trend.add(tick * 1.0, 10_000_000 - 100_000 * tick)
    assert trend.forecast(0.0) is not None
    for tick in range(60, 420):
        trend.add(tick * 1.0, 9_000_000)
    assert trend.forecast(0.0) is None


def test_too_few_points_say_nothing() -> None:
    """Two points always lie on a line."""
    window = Window(60.0, 0.5)
    for tick in range(7):
        window.add(tick, 100 - tick)
    assert window.forecast(0.0) is None
