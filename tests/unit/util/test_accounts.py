"""An account that cannot be looked up now is not one that is not there."""

import errno
from collections.abc import Callable

import pytest

from posthouse.tables.file_table import Origin
from posthouse.tables.table import DEFAULT_FLAGS
from posthouse.tables.unix import open_table
from posthouse.util.accounts import find_group, find_user, find_user_id
from posthouse.util.errors import TableError
from tests.support.descriptors import no_descriptor_left

NOBODY_HAS = 3_999_999_999


FINDS: list[Callable[[], object]] = [
    lambda: find_user("daemon"),
    lambda: find_user("no-such-user"),
    lambda: find_user_id(1),
    lambda: find_user_id(NOBODY_HAS),
    lambda: find_group("daemon"),
    lambda: find_group("no-such-group"),
]


@pytest.mark.parametrize("find", FINDS)
def test_what_cannot_be_known_is_an_error(find: Callable[[], object]) -> None:
    """Whether there is such an entry or not."""
    with no_descriptor_left():
        try:
            found = find()
        except OSError as error:
            found = error.errno
        except KeyError:
            found = "none"
    assert found == errno.EMFILE


def test_who_is_there_and_who_is_not() -> None:
    """The ordinary answers."""
    assert find_user("daemon") == find_user_id(1)
    assert find_group("daemon").gr_name == "daemon"
    for find in FINDS[1::2]:
        with pytest.raises(KeyError):
            find()


@pytest.mark.parametrize("name", ["passwd.byname", "group.byname"])
def test_a_table_of_accounts_does_not_say_unknown(name: str) -> None:
    """smtpd would answer 550, and local(8) would bounce."""
    table = open_table(Origin("unix", name, DEFAULT_FLAGS))
    assert table._find("no-such-name") is None
    with no_descriptor_left(), pytest.raises(TableError, match="Too many open files"):
        table._find("daemon")
