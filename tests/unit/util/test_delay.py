"""Delays in the log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.util.delay import format_delay


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0"), (0, "0"), (0.004, "0"), (0.005, "0.01"), (0.014, "0.01"), (0.1, "0.1"), (0.994, "0.99"), (1, "1"),
        (1.25, "1.3"), (9.94, "9.9"), (9.99, "10"), (10, "10"), (99.4, "99"), (99.5, "100"), (123456, "123456"),
    ],
)  # fmt: skip
def test_delays_have_two_digits(seconds: float, shown: str) -> None:
    """And at most two decimals; halves go up."""
    assert format_delay(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "digits", "decimals", "shown"),
    [(0.00111, 2, 6, "0.0011"), (11.1, 1, 6, "11"), (0.00996, 2, 6, "0.01"), (0.0000011, 2, 6, "0.000001")],
)
def test_other_limits(seconds: float, digits: int, decimals: int, shown: str) -> None:
    """As delay_logging_resolution_limit says."""
    assert format_delay(seconds, digits, decimals) == shown


@given(st.floats(0, 1e9), st.integers(1, 3), st.integers(0, 6))
def test_what_is_dropped_is_less_than_a_unit(seconds: float, digits: int, decimals: int) -> None:
    """The text is near the number, and has no zero too many."""
    text = format_delay(seconds, digits, decimals)
    _, point, fraction = text.partition(".")
    assert len(fraction) <= decimals
    assert not (point and text.endswith(("0", ".")))
    assert abs(float(text) - seconds) <= max(seconds * 0.5, 0.5 * 10**-decimals) + 1e-6
