"""A store that somebody reads: mail goes on, the files stay; and mail comes first."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from posthouse.queue.directory import StoreDirectory
from posthouse.queue.hold import HoldFile, OverruledError
from posthouse.queue.sqlite import engine as sqlite_engine
from posthouse.queue.sqlite import snapshot as snapshots
from posthouse.queue.sqlite.snapshot import Snapshot, with_snapshot
from tests.contract.queue.harness import Harness, message, verified


def wait_until(queue: Harness, is_so: Callable[[], bool]) -> None:
    """Let the store's thread work, for some seconds at most."""
    for _ in range(500):
        if is_so():
            return
        queue.loop.run_until_complete(asyncio.sleep(0.01))
    raise AssertionError("it never came to that")


def test_snapshot_stays_as_it_is_while_mail_goes_on(queue: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is not copied, spool files of removed messages stay, and both are made up for afterwards."""
    monkeypatch.setattr(sqlite_engine, "_CHECKPOINT_PAGES", 10)
    [large] = queue.put(message("LARGE", content=queue.spool(b"x" * 100_000)))
    store = Path(queue.files.store_path(1))

    def work(snapshot: Snapshot) -> int:
        before = store.read_bytes()
        for number in range(20):
            queue.put(message(f"M{number}", content=b"x" * 3000))
        queue.remove(large, "LARGE")
        assert store.read_bytes() == before
        assert len(os.listdir(queue.files.spool_path)) == 1
        return int(snapshot.connection.execute("SELECT count(*) FROM message").get)

    seen = with_snapshot(StoreDirectory(queue.files.path), work)
    assert seen == 1
    wait_until(queue, lambda: os.listdir(queue.files.spool_path) == [])
    wait_until(queue, lambda: store.stat().st_size > 60_000)
    assert len(queue.listed_ids()) == 20


def test_log_that_grows_too_large_overrules_readers(queue: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader begins again, and gives up when that happens three times."""
    monkeypatch.setattr(sqlite_engine, "_CHECKPOINT_PAGES", 10)
    monkeypatch.setattr(sqlite_engine, "_HELD_PAGES", 30)
    attempts = 0

    def work(_snapshot: Snapshot) -> None:
        nonlocal attempts
        attempts += 1
        for number in range(60):
            queue.put(message(f"A{attempts}M{number}", content=b"x" * 3000))

    with pytest.raises(OverruledError):
        with_snapshot(StoreDirectory(queue.files.path), work)
    assert attempts == snapshots.ATTEMPTS
    assert verified(queue.store, queue.loop) == []


def test_store_that_is_closed_while_it_is_read_keeps_its_log(queue: Harness) -> None:
    """A queue manager that restarts meanwhile changes nothing for the reader, and loses nothing."""
    queue.put(message("ID1"))
    hold = HoldFile(queue.files.path)
    with hold.held():
        store = Path(queue.files.store_path(1))
        before = store.read_bytes()
        again = queue.reopen()
        again.put(message("ID2"))
        again.close()
        assert store.read_bytes() == before
        assert Path(f"{store}-wal").stat().st_size > 0
    hold.close()
    last = Harness(queue.directory)
    assert last.listed_ids() == ["ID1", "ID2"]
    last.close()


def test_log_that_begins_anew_makes_the_reader_begin_again(queue: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was copied completely before the hold, so the next commit writes over it, once."""
    monkeypatch.setattr(sqlite_engine, "_CHECKPOINT_PAGES", 1)
    queue.put(message("ID1", content=b"x" * 9000))
    wait_until(queue, lambda: Path(queue.files.store_path(1)).stat().st_size > 40_000)
    counts: list[int] = []

    def work(snapshot: Snapshot) -> int:
        queue.put(message(f"NEW{len(counts)}", content=b"y" * 9000))
        counts.append(len(snapshot.connection.execute("SELECT queue_id FROM message").fetchall()))
        return counts[-1]

    assert with_snapshot(StoreDirectory(queue.files.path), work) == 2
    assert len(counts) == 2
