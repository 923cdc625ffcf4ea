"""Which senders a login may use."""

import pytest

from posthouse.rewriting.login_sender import LoginRules, login_owns_sender
from posthouse.tables.open import open_maps
from posthouse.util.errors import TableError
from tests.support.lookups import now, opener

TABLE = (
    'inline:{root=*, {bob = bob@x.test, Bob@Y.test "two words"@x.test}, {team = @x.test, team}, daemon=<>, '
    '{odd = "a,b"@x.test c\\"d@x.test}}'
)


@pytest.mark.parametrize(
    ("login", "sender", "allowed"),
    [
        ("root", "any@where.test", True),
        ("root", "", True),
        ("nobody", "bob@x.test", False),
        ("bob", "bob@x.test", True),
        ("bob", "BOB@X.TEST", True),
        ("bob", "bob+ext@y.test", True),
        ("bob", "bobby@x.test", False),
        ("bob", "two words@x.test", True),
        ("bob", "two words+ext@x.test", True),
        ("bob", "words@x.test", False),
        ("bob", "", False),
        ("team", "any@X.test", True),
        ("team", "any@sub.x.test", False),
        ("team", "team", True),
        ("team", "team+ext", True),
        ("team", "@x.test", True),
        ("daemon", "", True),
        ("daemon", "<>", True),
        ("daemon", "bob@x.test", False),
        ("odd", "a,b@x.test", True),
        ("odd", "b@x.test", False),
        ("odd", 'c"d@x.test', True),
    ],
)
def test_items(login: str, sender: str, allowed: bool) -> None:
    """Addresses with and without extension, domains, words with a meaning."""
    maps = open_maps([TABLE], opener())
    assert now(login_owns_sender(maps, login, sender, LoginRules("+"))) is allowed


def test_without_delimiter_an_extension_counts() -> None:
    """It is part of the name then."""
    maps = open_maps([TABLE], opener())
    assert not now(login_owns_sender(maps, "bob", "bob+ext@x.test"))


def test_an_error_is_no_answer() -> None:
    """Neither yes nor no; a table before it answers all the same."""
    with pytest.raises(TableError):
        now(login_owns_sender(open_maps(["fail:x", TABLE], opener()), "root", "a@b"))
    assert now(login_owns_sender(open_maps([TABLE, "fail:x"], opener()), "root", "a@b"))
