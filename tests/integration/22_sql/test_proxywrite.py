"""proxywrite in a whole server, behind its walls: it makes the caches of proxy_write_maps and changes them."""

import asyncio

import pytest

from posthouse.tables.proxy import ProxyCache, ProxyClient
from posthouse.tables.table import DEFAULT_FLAGS
from posthouse.util.errors import TableError
from tests.conftest import Start


@pytest.mark.root
def test_a_cache_is_made_and_changed(posthouse: Start) -> None:
    """The file is the mail system's own; what is written is there for Debian's and our postmap."""
    server = posthouse(main={"proxy_write_maps": "proxy:lmdb:{directory}/data/cache"})
    name = f"proxy:lmdb:{server.data_directory}/cache"

    async def change() -> str | None:
        client = ProxyClient(
            asyncio.get_running_loop(), f"{server.queue_directory}/private/proxywrite", timeout_s=20, cache_s=0
        )
        cache = ProxyCache(name, client, DEFAULT_FLAGS, takes_partial_keys=True)
        await cache.put("Alpha", "one")
        await cache.put("beta", "two")
        assert await cache.delete("beta")
        with pytest.raises(TableError, match="not configured"):
            await ProxyCache(f"{name}2", client, DEFAULT_FLAGS, takes_partial_keys=True).put("a", "b")
        try:
            return await cache.lookup("alpha")
        finally:
            client.close()
            await asyncio.sleep(0)

    assert asyncio.run(change()) == "one"
    path = server.data_directory / "cache.lmdb"
    assert (path.stat().st_mode & 0o777, path.owner()) == (0o600, server.data_directory.owner())
    assert server.command("postmap", "-s", name.removeprefix("proxy:")).stdout == b"alpha\tone\n"
    assert "panic" not in server.log()
