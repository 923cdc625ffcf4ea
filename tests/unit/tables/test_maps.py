"""Several tables as one: the order, tables that have to be waited for, and a value that needs no lookup."""

import pytest

from posthouse.tables.maps import Maps
from posthouse.tables.open import open_maps
from posthouse.tables.table import Table
from posthouse.util.errors import TableError
from tests.support.lookups import logged, now, opener


class Remote(Table):
    """A table of another process: no `get`."""

    async def lookup(self, key: str) -> str | None:
        """Answer for one key."""
        return "remote" if key == "far" else None


def maps(text: str) -> Maps:
    """Open tables as a parameter names them."""
    return open_maps([part.strip() for part in text.split(";")], opener(), strict=False)


def test_the_first_table_that_has_the_key_answers() -> None:
    """With local tables only, and with one that has to be asked between them."""
    local = maps("inline:{a=1};inline:{a=2, b=3}")
    mixed = Maps([local.tables[0], Remote("remote:"), local.tables[1]])
    for each in (local, mixed):
        assert [now(each.find(key)) for key in ("a", "b", "c", "")] == ["1", "3", None, None]
    assert now(mixed.find("far")) == "remote"
    assert now(local.find("far")) is None
    assert now(Maps([]).find("a")) is None


class Away(Table):
    """A table of another process that cannot be asked."""

    async def lookup(self, key: str) -> str | None:
        """Fail."""
        raise TableError(f"{self.name}: not now")


def test_a_table_that_cannot_be_asked_is_named_in_the_log() -> None:
    """With the key; whole and partial keys, here and in another process."""
    here, away = maps("fail:x;inline:{a=1}"), Maps([Away("remote:y"), maps("inline:{a=1}").tables[0]])
    for each, name in ((here, "fail:x"), (away, "remote:y")):
        for find in (each.find, each.find_partial):
            with logged() as lines, pytest.raises(TableError):
                now(find("a\n"))
            assert lines == [f'warning: {name} lookup error for "a?"']


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("static:5000", "5000"),
        ("static:{a b}", "a b"),
        ("static:5000;inline:{a=1}", "5000"),
        ("inline:{a=1};static:5000", None),
        ("inline:{a=1}", None),
    ],
)
def test_a_constant_is_known_without_a_lookup(text: str, expected: str | None) -> None:
    """Where the first table gives the same to every key."""
    found = maps(text)
    assert found.constant == expected
    if expected is not None:
        assert now(found.find("whatever")) == expected


def test_no_tables_have_no_constant() -> None:
    """Nothing is found there."""
    assert Maps([]).constant is None
