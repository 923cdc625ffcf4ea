"""A disk that is full while somebody reads the store, or while the store keeps house: mail is put off, nothing ends."""

import asyncio
import os
from pathlib import Path

import apsw
import pytest

from posthouse.queue.hold import HoldFile
from posthouse.queue.sqlite import removed
from posthouse.queue.values import Committed, StoreFullError
from tests.contract.queue.faulty import Faults
from tests.contract.queue.harness import Harness, message, verified
from tests.contract.queue.test_faults import layer
from tests.support.small_disk import tmpfs


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
@pytest.mark.root
def test_full_disk_while_a_backup_reads_the_store_refuses_mail_and_keeps_the_store(tmp_path: Path) -> None:
    """There is not even room to tell the reader; the store is well, and takes mail when there is room again."""
    mount = tmp_path / "small"
    mount.mkdir()
    with tmpfs(mount, 2 << 20, 1000) as disk:
        harness = Harness(str(mount))
        harness.put(message("ID1"))
        reader = HoldFile(harness.files.path)
        with reader.held():
            disk.fill_up()
            answers = [harness.commit(message(f"M{number}", content=b"x" * 20_000))[0] for number in range(20)]
        assert harness.store.failure is None
        assert isinstance(answers[-1], StoreFullError)
        reader.close()
        disk.empty()
        [answer] = harness.commit(message("LAST"))
        assert isinstance(answer, Committed)
        assert verified(harness.store, harness.loop) == []
        harness.close()


def test_full_disk_while_old_ledger_rows_are_deleted_keeps_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """House-keeping that finds no room is done later; the store goes on."""
    monkeypatch.setattr(removed, "GENERATION", 4)
    is_full = False
    faults = Faults(lambda _number, name: apsw.FullError("full") if is_full and name == "write" else None)
    with layer(faults) as vfs:
        harness = Harness(str(tmp_path), vfs)
        for number in range(20):
            [key] = harness.put(message(f"ID{number}"))
            harness.remove(key, f"ID{number}")
        is_full = True
        harness.loop.run_until_complete(asyncio.sleep(1.5))  # quiet: the store keeps house
        assert harness.store.failure is None
        assert faults.failed > 0
        is_full = False
        harness.put(message("AFTER"))
        harness.loop.run_until_complete(asyncio.sleep(1.5))
        assert harness.listed_ids() == ["AFTER"]
        harness.close()
    connection = apsw.Connection(harness.files.store_path(1))
    assert connection.execute("SELECT count(*) FROM ledger WHERE removed != ''").get <= 12
    connection.close()
