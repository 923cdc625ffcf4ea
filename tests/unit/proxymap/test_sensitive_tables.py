"""What decides about rights is not taken from a table whose server nobody vouches for, proxymap(8) or not."""

from pathlib import Path

import pytest

from posthouse.config.settings import Settings
from posthouse.daemons.proxymap.daemon import DAEMON
from posthouse.skeleton.rules import REMOTE_TABLES
from posthouse.tables.open import Opener
from posthouse.tables.proxy import ProxyClient
from posthouse.tables.table import DEFAULT_FLAGS, SENSITIVE
from posthouse.util.errors import TableError
from tests.support import net
from tests.support.inprocess import System


def test_a_certificate_that_is_not_verified(tmp_path: Path) -> None:
    """alias_maps = https-json: without tls_verify_cert is refused, virtual_alias_maps is not."""
    pytest.importorskip("h11")
    path = tmp_path / "users.cf"
    path.write_text(f"url = https://127.0.0.1:{net.free_port()}/%s\ntls_verify_cert = no\ntimeout = 1\n")
    spec = f"https-json:{path}"
    system = System(tmp_path, {REMOTE_TABLES: spec})
    system.start(DAEMON, "private/proxymap")
    client = ProxyClient(system.loop, str(tmp_path / "private/proxymap"), timeout_s=5.0)
    opener = Opener(Settings.from_mapping({}), proxy=client)

    async def ask() -> None:
        with pytest.raises(TableError, match="not allowed for security-sensitive data"):
            await opener.open(spec, SENSITIVE).lookup("key")
        with pytest.raises(TableError, match="server 127"):
            await opener.open(spec, DEFAULT_FLAGS).lookup("key")

    try:
        system.run(ask())
    finally:
        client.close()
        system.close()
