"""The store under test. Every test of this directory ends with a check that the store is whole."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.queue.harness import Harness, verified


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """A directory in memory where there is one: faults, cuts and kills need no disk, and hundreds of stores do."""
    home = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=home) as path:
        yield Path(path)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Harness]:
    """An open, empty queue store."""
    harness = Harness(str(tmp_path))
    yield harness
    if not harness.loop.is_closed():
        assert verified(harness.store, harness.loop) == []
        harness.close()
