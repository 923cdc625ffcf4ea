"""What unit tests share."""

from collections.abc import Iterator

import pytest

from tests.support.fake_loop import FakeLoop


@pytest.fixture
def loop() -> Iterator[FakeLoop]:
    """Give a loop with a clock of its own; a callback that failed fails the test."""
    made = FakeLoop()
    yield made
    made.close()
    assert not made.errors, made.errors
