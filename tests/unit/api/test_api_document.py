"""docs/library.md: its example is true, and what it names is there."""

import doctest
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "library.md"


def test_the_example_is_true() -> None:
    """Every line of it."""
    result = doctest.testfile(str(DOCUMENT), module_relative=False)
    assert (result.failed, result.attempted > 5) == (0, True)
