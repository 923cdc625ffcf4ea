"""What unit tests share."""

from collections.abc import Iterator

import pytest

from posthouse.util import log
from tests.support.fake_loop import FakeLoop


@pytest.fixture(autouse=True)
def _nothing_left_to_log() -> None:
    """Forget what an earlier test logged: the first log that is opened would get it."""
    log.LOG._pending.clear()


@pytest.fixture
def loop() -> Iterator[FakeLoop]:
    """Give a loop with a clock of its own; a callback that failed fails the test."""
    made = FakeLoop()
    yield made
    made.close()
    assert not made.errors, made.errors
