"""Which keys an address is looked up by, and in which order."""

import pytest

from posthouse.tables.maps import Maps
from posthouse.tables.open import open_maps
from posthouse.tables.search_order import DEFAULT, Found, SearchRules, Try, find_address
from posthouse.tables.table import LocalTable
from posthouse.util.errors import TableError
from tests.support.lookups import logged, now, opener


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
                "a b+x@remote.example",
                '"a b"@remote.example',
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


def test_the_internal_form_of_a_key_comes_before_the_next_key() -> None:
    """A catch-all does not hide an entry from before Postfix 3.2, nor does that hide one in external form."""
    maps = open_maps(['inline:{a@b@x.example=inner, {"c@d"@x.example = outer}, @x.example=all}'], opener())
    assert now(find_address(maps, '"a@b"@x.example', RULES)) == Found("inner", None)
    assert now(find_address(maps, '"c@d"@x.example', RULES)) == Found("outer", None)
    both = open_maps(['inline:{a@b@x.example=inner, {"a@b"@x.example = outer}}'], opener())
    assert now(find_address(both, '"a@b"@x.example', RULES)) == Found("outer", None)
    local = open_maps(["inline:{a@b=inner, @local.example=all}"], opener())
    assert now(find_address(local, '"a@b+x"@local.example', RULES)) == Found("inner", "+x")


def test_an_error_ends_the_search() -> None:
    """What stands in later tables, or under later keys, must not answer instead; an answer before it counts."""
    for spec in ("fail:a", "inline:{other=x}, fail:a"):
        maps = open_maps([*spec.split(", "), "inline:{user@remote.example=wrong}"], opener())
        with logged() as lines, pytest.raises(TableError):
            now(find_address(maps, "user@remote.example", RULES))
        assert lines[-1] == 'warning: fail:a lookup error for "user@remote.example"'
    first = open_maps(["inline:{user@remote.example=right}", "fail:a"], opener())
    assert now(find_address(first, "user@remote.example", RULES)) == Found("right", None)


def test_a_domain_that_may_be_local_is_an_error() -> None:
    """When mydestination cannot be asked nobody knows whether the bare name is to be looked up."""

    async def is_local(domain: str) -> bool:
        raise TableError(domain)

    maps = open_maps(["inline:{user=x, @d.example=y}"], opener())
    with pytest.raises(TableError):
        now(find_address(maps, "user@d.example", SearchRules("+", is_local)))


def test_patterns_see_the_whole_address_only() -> None:
    """And only once."""
    maps = open_maps(["regexp:{{/^@/ wrong}, {/^user@/ wrong}, {/^user.x@/ right}}"], opener())
    assert now(find_address(maps, "user+x@remote.example", RULES)) == Found("right", None)
    assert now(find_address(maps, "other+x@remote.example", RULES)) is None
