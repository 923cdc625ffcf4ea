"""What tests of delivery share."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def mask() -> Iterator[None]:
    """Give the process its umask back: a child that acts as a user sets its own, and here it is a thread."""
    before = os.umask(0o022)
    yield
    os.umask(before)
