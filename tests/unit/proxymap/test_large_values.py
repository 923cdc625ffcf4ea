"""proxymap(8) and values that do not fit into a record: the lookup fails, and the process goes on."""

from pathlib import Path

import pytest

from posthouse.daemons.proxymap.daemon import DAEMON
from posthouse.ipc.proxymap import MAX_VALUE
from posthouse.tables.proxy import ProxyClient
from posthouse.util.errors import TableError
from tests.support.inprocess import System


@pytest.mark.parametrize("letter", ["x", "\U0001f4ee", "\udcff"])
def test_a_value_beyond_all_measure(tmp_path: Path, letter: str) -> None:
    """Whoever runs a table's server must not be able to end proxymap, which serves all tables."""
    table = f"texthash:{tmp_path}/table"
    text = f"large {letter * (MAX_VALUE + 1)}\nfits {letter.replace(chr(0xDCFF), 'y') * MAX_VALUE}\nother small\n"
    (tmp_path / "table").write_bytes(text.encode("utf-8", "surrogateescape"))
    system = System(tmp_path, {"proxy_read_maps": f"proxy:{table}", "smtputf8_enable": "yes"})
    system.start(DAEMON, "private/proxymap")
    client = ProxyClient(system.loop, str(tmp_path / "private/proxymap"), timeout_s=5.0)

    async def ask() -> None:
        with pytest.raises(TableError, match="value"):
            await client.lookup(table, "large")
        assert await client.lookup(table, "other") == "small"
        assert len(await client.lookup(table, "fits") or "") == MAX_VALUE

    try:
        system.run(ask())
    finally:
        client.close()
        system.close()
