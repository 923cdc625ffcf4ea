"""Compatibility levels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.config.level import LAST_LEVEL, LEVEL_OPERATORS, MAX_MAJOR, MAX_MINOR, CompatLevel


@pytest.mark.parametrize(
    ("text", "number", "shown"),
    [("2", 0x200000, "2"), ("3.2.1", 0x300801, "3.2.1"), ("3", 0x300000, "3.0"), ("2.1", 0x200400, "2.1")],
)
def test_levels_pack_into_numbers(text: str, number: int, shown: str) -> None:
    """A level is a number and a text."""
    assert int(CompatLevel.parse(text)) == number
    assert str(CompatLevel.parse(text)) == shown


@pytest.mark.parametrize(
    "text", ["", "3.", ".1", "a", "3.2a", "-3", "3.-1", "3.2.1.0", "3.1024", "3.2.1024", "2048", " 3", "\u0663"]
)
def test_other_text_is_refused(text: str) -> None:
    """Anything that is not up to three small numbers."""
    with pytest.raises(ValueError, match="malformed compatibility level syntax"):
        CompatLevel.parse(text)


@given(st.builds(CompatLevel, st.integers(0, MAX_MAJOR), st.integers(0, MAX_MINOR), st.integers(0, MAX_MINOR)))
def test_text_reads_as_the_same_level(level: CompatLevel) -> None:
    """Format and parse are inverse, and order is that of the packed number."""
    assert CompatLevel.parse(str(level)) == level
    assert (level < LAST_LEVEL) == (int(level) < int(LAST_LEVEL))


def test_operators_compare_part_by_part() -> None:
    """3.9 is less than 3.10."""
    assert LEVEL_OPERATORS["<level"]("3.9", "3.10")
    assert not LEVEL_OPERATORS[">=level"]("3.9", "3.10")
