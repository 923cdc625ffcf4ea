"""The fault suite: short in `make test`, whole in `make test-faults`, which also keeps the figures of its run."""

import pytest

from tests.faults.figures import Figures
from tests.support.amount import Amount


@pytest.fixture
def amount(request: pytest.FixtureRequest) -> Amount:
    """Say how much of everything this run does."""
    return Amount(whole=bool(request.config.getoption("--whole")))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Take what a test measured; a whole run keeps it for docs/reliability.md."""
    return Figures(request.node.nodeid, keep=bool(request.config.getoption("--whole")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them, so that `-m "not integration"` leaves them out."""
    for item in items:
        if "/tests/faults/" in str(item.path):
            item.add_marker(pytest.mark.integration)
