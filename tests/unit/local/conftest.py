"""The agent of local(8) with faked neighbours."""

from collections.abc import Iterator

import pytest

from tests.support.fake_loop import FakeLoop
from tests.support.local_case import Case
from tests.support.lookups import logged


@pytest.fixture
def case(loop: FakeLoop) -> Iterator[Case]:
    """Make a case."""
    with logged():
        yield Case(loop)
