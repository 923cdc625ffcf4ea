"""Levels: worse at once, better only when it is clear of the threshold for a while."""

from hypothesis import given
from hypothesis import strategies as st

from posthouse.governor import conditions as c
from posthouse.governor.level import HOLD_S, Gauge, Level, Thresholds

FREE = Thresholds(400.0, 200.0, 100.0, less_is_worse=True)
SHARE = Thresholds(0.7, 0.85, 0.95)


def test_levels_of_what_is_left_and_of_what_is_used() -> None:
    """A threshold itself belongs to the worse level, as Postfix refuses at queue_minfree exactly."""
    assert [FREE.level_of(value) for value in (401, 400, 200, 100, 0)] == [
        Level.NORMAL,
        Level.BUSY,
        Level.STRAINED,
        Level.CRITICAL,
        Level.CRITICAL,
    ]
    assert [SHARE.level_of(value) for value in (0.69, 0.7, 0.85, 0.95)] == list(Level)
    assert Thresholds(critical=5.0).level_of(4.9) is Level.NORMAL


def test_worse_comes_at_once_and_better_after_a_while() -> None:
    """A refusal must not come late; one that comes and goes each second helps nobody."""
    gauge = Gauge()
    assert gauge.update(90, FREE, 10.0)
    assert (gauge.level, gauge.since) == (Level.CRITICAL, 10.0)
    assert not gauge.update(105, FREE, 11.0), "within the margin"
    assert not gauge.update(150, FREE, 12.0)
    assert not gauge.update(150, FREE, 12.0 + HOLD_S / 2)
    assert gauge.update(150, FREE, 12.0 + HOLD_S)
    assert (gauge.level, gauge.since) == (Level.STRAINED, 10.0)
    assert not gauge.update(1000, FREE, 20.0)
    assert gauge.update(1000, FREE, 20.0 + HOLD_S)
    assert (gauge.level, gauge.since) == (Level.NORMAL, 0.0)


def test_a_relapse_starts_the_wait_again() -> None:
    """The value must stay clear, not only be clear twice."""
    gauge = Gauge()
    gauge.update(90, FREE, 0.0)
    gauge.update(150, FREE, 1.0)
    gauge.update(95, FREE, 2.0)
    assert not gauge.update(150, FREE, 1.0 + HOLD_S)
    assert gauge.level is Level.CRITICAL


def test_what_is_only_a_moment_does_not_count_where_it_does_no_harm() -> None:
    """A late event loop, once, is no overload."""
    limits = Thresholds(0.25, 1.0, onset_s=3.0)
    gauge = Gauge()
    assert not gauge.update(2.0, limits, 0.0)
    assert not gauge.update(0.0, limits, 1.0)
    assert not gauge.update(2.0, limits, 2.0)
    assert not gauge.update(2.0, limits, 4.9)
    assert gauge.update(2.0, limits, 5.0)


@given(st.lists(st.floats(min_value=0, max_value=1000), max_size=60), st.floats(min_value=0.05, max_value=1.0))
def test_a_gauge_is_never_better_than_its_value(values: list[float], step: float) -> None:
    """Whatever happens, the level is at least that of the value; and it follows within the hold time at rest."""
    gauge, now = Gauge(), 0.0
    for value in values:
        gauge.update(value, FREE, now)
        assert gauge.level >= FREE.level_of(value)
        now += step
    for _ in range(3):  # from critical to normal takes one hold at most
        gauge.update(1000.0, FREE, now)
        now += HOLD_S
    assert gauge.level is Level.NORMAL


def test_postfix_rule_for_the_queue() -> None:
    """postconf(5) queue_minfree: that many bytes, and never less than 1.5 times message_size_limit."""
    assert c.refusal_space(10_240_000, 0) == 15_360_000
    assert c.refusal_space(1_000_000, 40_000_000) == 40_000_000
    assert c.refusal_space(0, 0) == 0


def test_a_large_disk_is_busy_early_and_a_small_one_by_its_refusal() -> None:
    """2 % and at most 1 GB; what is in between are multiples of the refusal."""
    assert c.space(100 << 30, 1 << 20).busy == 1 << 30
    small = c.space(16 << 20, 1 << 20)
    assert (small.busy, small.strained, small.critical) == (4 << 20, 2 << 20, 1 << 20)
    assert c.inodes(20).critical == c.INODES_LEAST
    assert c.inodes(10_000_000).critical == c.INODES_MOST


def test_memory_by_its_limit() -> None:
    """Shares of a small one, fixed sizes of a large one; never in the wrong order."""
    for limit in (64 << 20, 192 << 20, 2 << 30, 64 << 30):
        limits = c.memory(limit)
        assert limits.busy is not None
        assert limits.strained is not None
        assert limits.critical is not None
        assert 0 < limits.critical < limits.strained < limits.busy < limit
