"""Which keys an address is looked up by, and in which order."""

import pytest

from posthouse.tables.maps import Maps
from posthouse.tables.open import open_maps
from posthouse.tables.search_order import DEFAULT, Found, SearchRules, Try, find_address
from posthouse.tables.table import LocalTable
from tests.support.lookups import now, opener


class Recorder(LocalTable):
    """A table that has nothing and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__("recorder:")
        self.keys: list[str] = []

    def _find(self, key: str) -> str | None:
        self.keys.append(key)
        return None


async def _is_local(domain: str) -> bool:
    return domain == "local.example"


RULES = SearchRules("+-", _is_local)


def _asked(address: str, strategy: int = DEFAULT) -> list[str]:
    recorder = Recorder()
    assert now(find_address(Maps([recorder]), address, RULES, strategy)) is None
    return recorder.keys


@pytest.mark.parametrize(
    ("address", "keys"),
    [
        ("user@remote.example", ["user@remote.example", "@remote.example"]),
        ("user+x@remote.example", ["user+x@remote.example", "user@remote.example", "@remote.example"]),
        (
            "user+x@local.example",
            ["user+x@local.example", "user@local.example", "user+x", "user", "@local.example"],
        ),
        ("user+x", ["user+x", "user"]),
        ("+x@remote.example", ["+x@remote.example", "@remote.example"]),
        ("owner-list@remote.example", ["owner-list@remote.example", "@remote.example"]),
        ("list-request@remote.example", ["list-request@remote.example", "@remote.example"]),
        (
            "postmaster+x@remote.example",
            ["postmaster+x@remote.example", "postmaster@remote.example", "@remote.example"],
        ),
        ("", []),
        (
            '"a b+x"@remote.example',
            [
                '"a b+x"@remote.example',
                '"a b"@remote.example',
                "@remote.example",
                "a b+x@remote.example",
                "a b@remote.example",
                "@remote.example",
            ],
        ),
    ],
)
def test_the_default_order(address: str, keys: list[str]) -> None:
    """External form before internal form, whole before parts."""
    assert _asked(address) == keys


def test_orders_with_domains() -> None:
    """As transport_maps and access tables use them."""
    strategy = Try.FULL | Try.NO_EXTENSION | Try.DOMAIN | Try.DOT_PARENT_DOMAIN
    assert _asked("u+x@a.b.c", strategy) == ["u+x@a.b.c", "u@a.b.c", "a.b.c", ".b.c", ".c"]
    assert _asked("u@a.b", Try.FULL | Try.DOMAIN | Try.PARENT_DOMAIN) == ["u@a.b", "a.b", "b"]
    assert _asked("u+x@a.b", Try.FULL | Try.DOMAIN | Try.LOCAL_PART_AT) == ["u+x@a.b", "a.b", "u+x@", "u@"]
    assert _asked("u@local.example", Try.LOCAL_PART_AT_IF_LOCAL) == ["u@"]


def test_every_key_is_tried_in_all_tables_first() -> None:
    """A catch-all in the first table does not hide a user in the second."""
    maps = open_maps(["inline:{@remote.example=all}", "inline:{user@remote.example=one}"], opener())
    assert now(find_address(maps, "user@remote.example", RULES)) == Found("one", None)


def test_the_dropped_extension_is_told() -> None:
    """With its delimiter; not when the key had it, and not for a catch-all."""
    maps = open_maps(["inline:{user@a.example=1, x+y@a.example=2, @b.example=3, bob=4}"], opener())
    assert now(find_address(maps, "user+ext@a.example", RULES)) == Found("1", "+ext")
    assert now(find_address(maps, "x+y@a.example", RULES)) == Found("2", None)
    assert now(find_address(maps, "u+v@b.example", RULES)) == Found("3", None)
    assert now(find_address(maps, "bob-z@local.example", RULES)) == Found("4", "-z")


def test_patterns_see_the_whole_address_only() -> None:
    """And only once."""
    maps = open_maps(["regexp:{{/^@/ wrong}, {/^user@/ wrong}, {/^user.x@/ right}}"], opener())
    assert now(find_address(maps, "user+x@remote.example", RULES)) == Found("right", None)
    assert now(find_address(maps, "other+x@remote.example", RULES)) is None
