"""Disk faults at every single write and sync: what was acknowledged is there afterwards, and nothing lies."""

import asyncio
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import pytest

from posthouse.queue.directory import StoreDirectory
from posthouse.queue.sqlite import engine as sqlite_engine
from posthouse.queue.values import Change, Committed, StoreError, StoreFailedError, StoreFullError
from tests.contract.queue.faulty import Faults, FaultyVFS
from tests.contract.queue.harness import ARRIVAL, Harness, deferred, message, verified

_numbers = itertools.count()
# SQLite forgives a failed sync when it closes a file; apsw reports the layer's exception as unraisable then.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@contextmanager
def layer(faults: Faults) -> Iterator[str]:
    """Register a faulty file layer; yields its name."""
    vfs = FaultyVFS(f"faulty-{next(_numbers)}", faults)
    yield vfs.name
    vfs.unregister()


@dataclass
class Ledger:
    """What the store acknowledged."""

    stored: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)  # removal asked for
    numbers: list[int] = field(default_factory=list)
    errors: list[StoreError] = field(default_factory=list)

    def commit(self, harness: Harness, *queue_ids: str) -> None:
        """Commit some messages together and note the answers."""
        answers = harness.commit(*[message(queue_id, content=b"x" * 3000) for queue_id in queue_ids])
        for queue_id, answer in zip(queue_ids, answers, strict=True):
            if isinstance(answer, Committed):
                self.stored.add(queue_id)
            else:
                self.errors.append(answer)


def scenario(harness: Harness, ledger: Ledger) -> None:
    """Do a little of everything; the log is copied into the store file on the way."""
    ledger.commit(harness, "ID1", "ID2")
    ledger.commit(harness, "ID3")
    try:
        ledger.numbers.append(harness.wait(harness.store.lease(10)))
        harness.wait(harness.store.change(Change.HOLD, ["ID2"]))
    except StoreError as error:
        ledger.errors.append(error)
    ledger.gone.add("ID1")
    harness.store.record(3, [deferred(1)], ARRIVAL + 5)
    harness.store.defer(3, ARRIVAL + 5)
    harness.store.remove(1, "ID1")
    ledger.commit(harness, "ID4", "ID5", "ID2")
    ledger.commit(harness, "ID6")


def attempt(directory: Path, faults: Faults) -> tuple[Ledger, StoreFailedError | None]:
    """Run the scenario with faults; returns what was acknowledged and whether the store gave up."""
    ledger = Ledger()
    with layer(faults) as vfs:
        try:
            harness = Harness(str(directory), vfs)
        except StoreError as error:
            ledger.errors.append(error)
            return ledger, None
        scenario(harness, ledger)
        failure = harness.store.failure
        if failure is not None:
            assert isinstance(harness.commit(message("LATE"))[0], StoreFailedError)
        harness.close()
    return ledger, failure


@contextmanager
def checked(directory: Path, ledger: Ledger) -> Iterator[Harness]:
    """Open the store on a healthy disk: everything acknowledged is there, and it is whole. Then delete it."""
    harness = Harness(str(directory))
    listed = set(harness.listed_ids())
    assert ledger.stored - ledger.gone <= listed
    for queue_id in ledger.stored - ledger.gone:
        assert harness.content(harness.get(queue_id).key) == b"x" * 3000
    for queue_id in ledger.stored:
        assert harness.wait(harness.store.is_committed(queue_id))
    if ledger.numbers:
        assert harness.wait(harness.store.lease(1)) >= max(ledger.numbers) + 10
    harness.put(message("AFTER"))
    assert verified(harness.store, harness.loop) == []
    yield harness
    harness.close()
    shutil.rmtree(directory)


def operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many writes, truncations and syncs the scenario takes without a fault."""
    monkeypatch.setattr(sqlite_engine, "_CHECKPOINT_PAGES", 10)
    faults = Faults()
    ledger, failure = attempt(tmp_path / "count", _made(tmp_path / "count", faults))
    assert failure is None
    assert not ledger.errors
    with checked(tmp_path / "count", ledger):
        return faults.operations


def _made(directory: Path, faults: Faults) -> Faults:
    directory.mkdir()
    return faults


def _once(at: int, make: Callable[[], Exception]) -> Callable[[int, str], Exception | None]:
    return lambda number, _name: make() if number == at else None


def _from(at: int, make: Callable[[], Exception]) -> Callable[[int, str], Exception | None]:
    return lambda number, _name: make() if number >= at else None


def test_an_io_error_at_any_operation_ends_the_store_and_loses_nothing(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one error nothing is acknowledged; the next open copies the store and has all that was."""
    gave_up = 0
    for at in range(1, operations(memory_path, monkeypatch) + 1):
        directory = memory_path / str(at)
        ledger, failure = attempt(directory, _made(directory, Faults(_once(at, lambda: apsw.IOError("injected")))))
        failed = StoreDirectory(str(directory / "posthouse")).failed()
        with checked(directory, ledger) as harness:
            assert harness.files.failed() is None
            if failure is not None:
                gave_up += 1
                assert failed is not None
                assert "injected" in failed[1]
                assert [report.partition(":")[0] for report in harness.reports[:1]] == ["store 1 failed"]
                assert "copied" in harness.reports[-1]
    assert gave_up > 20


def test_a_power_cut_at_any_operation_loses_nothing(memory_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever part of the writes since the last sync is on the disk, acknowledged mail is."""
    for at in range(1, operations(memory_path, monkeypatch) + 1):
        directory = memory_path / str(at)
        faults = Faults(_from(at, lambda: apsw.IOError("power is off")))
        ledger, _ = attempt(directory, _made(directory, faults))
        faults.cut_power(seed=at)
        if at % 2:  # the mark may have reached the disk or not
            StoreDirectory(str(directory / "posthouse")).clear_failed()
        with checked(directory, ledger):
            pass


def test_a_full_disk_at_any_operation_refuses_mail_and_goes_on(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What finds no room is refused for now, or is stored at the second attempt; the store is well."""
    for at in range(1, operations(memory_path, monkeypatch) + 1):
        directory = memory_path / str(at)
        faults = Faults(_once(at, lambda: apsw.FullError("injected")))
        ledger, failure = attempt(directory, _made(directory, faults))
        assert failure is None, at
        assert all(isinstance(error, StoreFullError) for error in ledger.errors)
        with checked(directory, ledger):
            pass


def test_mail_is_taken_again_when_there_is_room_again(tmp_path: Path) -> None:
    """While the disk is full every commit is refused with StoreFullError; then commits and kept updates go through."""
    is_full = False
    faults = Faults(lambda _number, name: apsw.FullError("full") if is_full and name == "write" else None)
    with layer(faults) as vfs:
        harness = Harness(str(tmp_path), vfs)
        [key] = harness.put(message("ID1"))
        is_full = True
        [refused] = harness.commit(message("ID2"))
        assert isinstance(refused, StoreFullError)
        answers: list[StoreError | None] = []
        harness.store.remove(key, "ID1", answers.append)
        [refused] = harness.commit(message("ID3"))
        assert isinstance(refused, StoreFullError)
        with pytest.raises(StoreFullError):
            harness.wait(harness.store.lease(1))
        assert not answers
        is_full = False
        harness.put(message("ID4"))
        assert answers == [None]
        assert harness.listed_ids() == ["ID4"]
        assert harness.store.failure is None
        harness.close()


def test_updates_kept_on_a_full_disk_are_stored_without_new_mail(tmp_path: Path) -> None:
    """A result that found no room is tried again by itself."""
    is_full = True
    faults = Faults(lambda _number, name: apsw.FullError("full") if is_full and name == "write" else None)
    is_full = False
    with layer(faults) as vfs:
        harness = Harness(str(tmp_path), vfs)
        [key] = harness.put(message("ID1"))
        is_full = True
        harness.store.remove(key, "ID1")
        done: list[StoreError | None] = []
        harness.store.defer(key, ARRIVAL, done.append)
        harness.wait(harness.store.is_committed("x"))
        is_full = False
        for _ in range(40):
            if done:
                break
            harness.wait(harness.store.is_committed("x"))
            harness.loop.run_until_complete(asyncio.sleep(0.05))
        assert done == [None]
        harness.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
@pytest.mark.root
def test_a_really_full_file_system(tmp_path: Path) -> None:
    """On a tmpfs of 2 MB commits are refused at some point; deleting makes room; nothing acknowledged is missing."""
    mount = tmp_path / "small"
    mount.mkdir()
    if os.system(f"mount -t tmpfs -o size=2m tmpfs {mount}") != 0:
        pytest.skip("mount is not permitted here")
    try:
        harness = Harness(str(mount))
        keys: dict[str, int] = {}
        for number in range(1000):
            [answer] = harness.commit(message(f"ID{number}", content=b"x" * 20_000))
            if not isinstance(answer, Committed):
                break
            keys[f"ID{number}"] = answer.key
        assert isinstance(answer, StoreFullError)
        assert len(keys) > 10
        assert harness.listed_ids() == list(keys)
        file = harness.store.create_spool_file()
        with pytest.raises(OSError, match="No space"):
            os.posix_fallocate(file.descriptor, 0, 4 << 20)
        harness.store.drop_spool_file(file)
        for queue_id, key in list(keys.items())[:10]:
            harness.store.remove(key, queue_id)
        harness.wait(harness.store.is_committed("x"))
        again = harness.reopen()
        assert set(keys) - set(list(keys)[:10]) <= set(again.listed_ids())
        again.close()
    finally:
        os.system(f"umount {mount}")
