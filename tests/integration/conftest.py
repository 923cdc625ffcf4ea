"""Every test below starts whole servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import MariaDb, Postgres

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them, so that `-m "not integration"` leaves them out."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run PostgreSQL, for all tests that want it."""
    if reason := Postgres.why_not():
        pytest.skip(reason)
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """Run MariaDB, for all tests that want it."""
    if reason := MariaDb.why_not():
        pytest.skip(reason)
    with MariaDb() as server:
        yield server
