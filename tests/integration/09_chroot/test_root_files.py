"""Tables that only root may read work as in Postfix: the daemon opens them before it serves, and keeps no right."""

import os
import time
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.support.load import Load, smtp_source
from tests.support.processes import kernel_status

DEADLINE_S = 20


def close_to_others(path: Path) -> None:
    """Leave a file to root alone."""
    os.chown(path, 0, 0)
    path.chmod(0o600)


@pytest.mark.root
@pytest.mark.parametrize("kind", ["texthash", "hash"])
def test_a_table_of_root_is_read_and_replaced(posthouse: Start, kind: str) -> None:
    """It is found, the process that has it open has no capability left, and a new file comes in by a successor."""
    server = posthouse(
        started=False,
        main={"transport_maps": f"{kind}:{{directory}}/etc/transport", "local_recipient_maps": "static:all"},
        files={"transport": "discard.test discard:\n"},
    )
    table = server.config_directory / "transport"
    if kind == "hash":
        server.command("postmap", f"hash:{table}")
        table = Path(f"{table}.lmdb")
    close_to_others(table)
    server.start_and_greet()
    smtp_source(Load(1, recipients=("u@discard.test",)), server.port)
    processes = {process.name: process.pid for process in server.processes()}
    for name in ("trivial_rewrite", "smtpd", "cleanup"):
        found = kernel_status(processes[name])
        assert {found[field] for field in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd")} == {"0" * 16}, name
    source = server.config_directory / "new"
    source.write_text("discard.test discard:\nnew.test discard:\n", encoding="ascii")
    if kind == "hash":
        server.command("postmap", f"hash:{source}")
        source = Path(f"{source}.lmdb")
    close_to_others(source)
    source.rename(table)
    deadline = time.monotonic() + DEADLINE_S
    while "to=<x@new.test>, relay=none" not in server.log():
        smtp_source(Load(1, recipients=("x@new.test",)), server.port)
        assert time.monotonic() < deadline, server.log()[-3000:]
        time.sleep(0.3)
    assert "panic" not in server.log()
