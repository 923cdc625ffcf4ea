"""A change in a database reaches daemons that remember what trivial-rewrite said, though no file tells of it."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from posthouse.daemons.proxymap.daemon import DAEMON as PROXYMAP
from posthouse.daemons.trivial_rewrite import service
from posthouse.daemons.trivial_rewrite.daemon import DAEMON as TRIVIAL_REWRITE
from posthouse.rewriting import client as client_module
from posthouse.rewriting.client import RewriteClient
from posthouse.skeleton.rules import REMOTE_TABLES
from posthouse.tables import proxy
from tests.support.inprocess import System


def test_a_new_route_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a reload."""
    for module, name in ((proxy, "UNSEEN_S"), (proxy, "CACHE_S"), (service, "POLL_S"), (client_module, "CHECK_S")):
        monkeypatch.setattr(module, name, 0.02)
    database = sqlite3.connect(tmp_path / "routes.db", isolation_level=None)
    database.execute("CREATE TABLE routes (k TEXT, v TEXT)")
    database.execute("INSERT INTO routes VALUES ('far.test', 'one:')")
    path = tmp_path / "routes.cf"
    path.write_text(f"dbpath = {tmp_path}/routes.db\nquery = SELECT v FROM routes WHERE k = '%s'\n")
    system = System(tmp_path, {"transport_maps": f"sqlite:{path}", REMOTE_TABLES: f"sqlite:{path}"})
    system.start(PROXYMAP, "private/proxymap")
    system.start(TRIVIAL_REWRITE, "private/rewrite")
    client = RewriteClient(system.loop, str(tmp_path / "private/rewrite"))

    async def until(transport: str) -> None:
        while (await client.resolve("a@far.test")).transport != transport:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)

    system.run(until("one"))
    database.execute("UPDATE routes SET v = 'two:'")
    system.run(until("two"))
    client.close()
    database.close()
    system.close()
