"""The databases, one of each for all tests here."""

from collections.abc import Iterator

import pytest

from tests.support.databases import MariaDb, Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run PostgreSQL."""
    if reason := Postgres.why_not():
        pytest.skip(reason)
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """Run MariaDB."""
    if reason := MariaDb.why_not():
        pytest.skip(reason)
    with MariaDb() as server:
        yield server
