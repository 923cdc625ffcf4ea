"""The store under test. Every test of this directory ends with a check that the store is whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.queue.harness import Harness, verified


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Harness]:
    """An open, empty queue store."""
    harness = Harness(str(tmp_path))
    yield harness
    if not harness.loop.is_closed():
        assert verified(harness.store, harness.loop) == []
        harness.close()
