"""The keys of a client: names before addresses, whole before parts."""

import pytest

from posthouse.config.lists import parse_items
from posthouse.tables.client_search import find_client_policy, network_keys, parent_keys
from posthouse.tables.open import open_maps
from posthouse.util.errors import TableError
from tests.support.lookups import logged, now, opener


def test_parts_of_names_and_addresses() -> None:
    """Nearest first; an IPv6 address is cut at its colons, however many stand together."""
    assert list(parent_keys("a.b.c", dotted=True)) == [".b.c", ".c"]
    assert list(parent_keys("a.b.c", dotted=False)) == ["b.c", "c"]
    assert list(parent_keys(".b.c", dotted=True)) == [".c"]
    assert list(network_keys("192.0.2.1")) == ["192.0.2", "192.0", "192"]
    assert list(network_keys("2001:db8::7")) == ["2001:db8", "2001"]
    assert list(network_keys("::1")) == []


@pytest.mark.parametrize(
    ("tables", "name", "address", "found"),
    [
        ("inline:{h.x.test=name, 192.0.2.1=address}", "h.x.test", "192.0.2.1", "name"),
        ("inline:{.x.test=parent, 192.0.2.1=address}", "h.x.test", "192.0.2.1", "parent"),
        ("inline:{x.test=no, 192.0=net}", "h.x.test", "192.0.2.1", "net"),
        ("inline:{.x.test=dunno, 192.0.2.1=address}", "h.x.test", "192.0.2.1", None),
        ("inline:{2001:db8=net}", None, "2001:db8::1", "net"),
        ("inline:{h.x.test=name}", None, None, None),
        ("inline:{h.x.test=name}", "h.x.test", None, "name"),
        ("regexp:{{/^.x.test$/ parent}, {/^192.0$/ net}}", "h.x.test", "192.0.2.1", None),
        ("inline:{192.0=far}, inline:{192.0.2=near}", "h.x.test", "192.0.2.1", "near"),
    ],
)
def test_what_is_found(tables: str, name: str | None, address: str | None, found: str | None) -> None:
    """Patterns see whole keys only; DUNNO ends the search."""
    maps = open_maps(parse_items(tables), opener())
    assert now(find_client_policy(maps, name, address)) == found


def test_an_error_is_no_answer() -> None:
    """Also when the address would have had one."""
    maps = open_maps(["fail:x"], opener())
    with logged() as lines, pytest.raises(TableError):
        now(find_client_policy(maps, "h.x.test", "192.0.2.1"))
    assert lines == ['warning: fail:x lookup error for "h.x.test"']
