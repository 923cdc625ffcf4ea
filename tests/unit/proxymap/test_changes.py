"""proxywrite: changes, deletions and sequences in tables that proxy_write_maps names, and in no others."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from posthouse.daemons.proxymap import changes
from posthouse.daemons.proxymap.daemon import DAEMON
from posthouse.tables.proxy import ProxyCache, ProxyClient
from posthouse.tables.table import DEFAULT_FLAGS
from posthouse.util.errors import TableError
from tests.support.inprocess import System

Make = Callable[..., System]
SOCKET = "private/proxywrite"


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Return a function that starts the service; with writes=False it is proxymap."""
    systems: list[System] = []

    def start(tables: str, *, writes: bool = True) -> System:
        name = {"proxywrite_service_name": "test"} if writes else {}
        system = System(tmp_path, {"proxy_write_maps": tables, "proxy_read_maps": tables, **name})
        system.start(DAEMON, SOCKET)
        systems.append(system)
        return system

    yield start
    for system in systems:
        system.close()


def open_cache(system: System, name: str) -> tuple[ProxyCache, ProxyClient]:
    """Make the client's end."""
    client = ProxyClient(system.loop, str(system.directory / SOCKET), cache_s=0.0)
    return ProxyCache(name, client, DEFAULT_FLAGS, takes_partial_keys=True), client


async def entries_of(cache: ProxyCache) -> dict[str, str]:
    """Read a whole table."""
    return {key: value async for key, value in cache.items()}


@pytest.mark.parametrize("kind", ["lmdb", "btree", "hash", "internal"])
def test_an_entry_lives(make: Make, tmp_path: Path, kind: str) -> None:
    """Stored, replaced, found at once in any case, listed, taken out; the file is made when there is none."""
    name = f"proxy:{kind}:{tmp_path}/cache"
    system = make(name)
    cache, client = open_cache(system, name)

    async def live() -> None:
        assert await cache.lookup("Key@example.org") is None
        await cache.put("Key@example.org", "one")
        await cache.put("key@EXAMPLE.org", "zwölf")
        assert await cache.lookup("KEY@example.org") == "zwölf"
        assert await entries_of(cache) == {"key@example.org": "zwölf"}
        assert await cache.delete("key@Example.org") is True
        assert await cache.delete("key@Example.org") is False
        assert await cache.lookup("key@example.org") is None
        assert await entries_of(cache) == {}

    system.run(live())
    client.close()


def test_many_entries_are_listed_once_each(make: Make, tmp_path: Path) -> None:
    """More than fit in one answer; entries that go meanwhile disturb nothing."""
    name = f"proxy:internal:{tmp_path}"
    system = make(name)
    cache, client = open_cache(system, name)
    count = changes.ENTRIES_AT_ONCE * 2 + 7

    async def fill_and_list() -> list[str]:
        for number in range(count):
            await cache.put(f"k{number}", "v")
        found = []
        async for entry in cache.items():
            found.append(entry[0])
            await cache.delete(entry[0])
        return found

    assert sorted(system.run(fill_and_list())) == sorted(f"k{number}" for number in range(count))
    assert system.run(entries_of(cache)) == {}
    client.close()


def test_proxymap_changes_nothing(make: Make, tmp_path: Path) -> None:
    """The reading service refuses changes even in a table that it may read."""
    name = f"proxy:internal:{tmp_path}"
    system = make(name, writes=False)
    cache, client = open_cache(system, name)
    assert system.run(cache.lookup("a")) is None
    for request in (cache.put("a", "b"), cache.delete("a"), entries_of(cache)):
        with pytest.raises(TableError, match="see proxy_write_maps"):
            system.run(request)
    assert f"to approve this table for read-write access, list {name} in proxy_write_maps" in system.log.lines[-1]
    client.close()


def test_other_tables_are_refused(make: Make, tmp_path: Path) -> None:
    """Not even lookups in them."""
    system = make(f"proxy:internal:{tmp_path}")
    cache, client = open_cache(system, "proxy:environ:x")
    for request in (cache.lookup("HOME"), cache.put("HOME", "/")):
        with pytest.raises(TableError, match="not configured for this table"):
            system.run(request)
    client.close()


def test_a_table_that_cannot_be_changed_says_so(make: Make) -> None:
    """The error names the operation."""
    name = "proxy:static:x"
    system = make(name)
    cache, client = open_cache(system, name)
    with pytest.raises(TableError, match="update operation is not supported"):
        system.run(cache.put("a", "b"))
    with pytest.raises(TableError, match="delete operation is not supported"):
        system.run(cache.delete("a"))
    with pytest.raises(TableError, match="sequence operation is not supported"):
        system.run(entries_of(cache))
    client.close()
