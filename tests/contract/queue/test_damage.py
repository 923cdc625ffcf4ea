"""Damaged stores: whatever is changed on the disk, nothing false is delivered, and what can be read is saved."""

import asyncio
import os
import pwd
import random
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.queue.sqlite.care import repair, told, verify
from posthouse.queue.values import CORRUPT, NotStoredError, StoreError, StoreFailedError
from tests.contract.queue.damaged import Found, Sample, flip, make_sample, start_and_look
from tests.contract.queue.harness import Harness, verified

SEEDS = 12


@pytest.fixture(scope="module")
def sample() -> Iterator[Sample]:
    """One queue for all, copied before it is damaged."""
    home = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=home) as path:
        yield make_sample(Path(path))


def looked(sample: Sample, directory: Path, *, old: bool = False) -> Found:
    """Start; check that nothing false came out. old: mail may come back that was removed again."""
    known = {**sample.known, **(sample.removed if old else {})}
    found = start_and_look(directory)
    if found.problems:  # in a place that nobody has read yet: an index, a page without rows
        repaired = repair(str(directory), dry_run=False, progress=lambda _table, _rows: None)
        assert repaired.salvaged is not None
        again = start_and_look(directory)
        assert again.whole == found.whole
        found.problems = again.problems
        found.reports += [*told(repaired.salvaged), "damaged"]
    assert found.problems == []
    assert verify(str(directory)).findings == []
    for queue_id, what in found.whole.items():
        assert what == known[queue_id], queue_id
    for queue_id, content in found.corrupt.items():
        assert content in (None, b"", {**sample.known, **sample.removed}[queue_id].content)
        assert any(report.startswith(queue_id) and "corrupt queue" in report for report in found.reports)
    return found


def store_of(directory: Path, end: str = "") -> Path:
    """The first generation, or what is beside it."""
    return directory / "posthouse" / f"store-1.sqlite{end}"


@pytest.mark.parametrize("kind", ["closed", "killed"])
def test_undamaged_samples_are_served_without_a_word(kind: str, sample: Sample, memory_path: Path) -> None:
    """The samples themselves are whole."""
    directory = shutil.copytree(getattr(sample, kind), memory_path / "q")
    found = looked(sample, directory)
    assert (found.whole, found.corrupt, found.reports, found.starts) == (sample.known, {}, [], 1)


def _account(sample: Sample, found: Found) -> int:
    """What is missing was told; returns how many messages are not whole any more."""
    missing = set(sample.known) - set(found.whole)
    if missing:
        assert any("copied" in report and "messages not whole" in report for report in found.reports)
    return len(missing)


@pytest.mark.parametrize("count", [1, 5])
def test_changed_octets_of_the_store_cost_their_messages_only(count: int, sample: Sample, memory_path: Path) -> None:
    """At random places: most copies have everything; one page never costs more than what is on it."""
    missing = []
    for seed in range(SEEDS):
        directory = shutil.copytree(sample.closed, memory_path / f"q{seed}")
        flip(store_of(directory), random.Random(seed), count)
        missing.append(_account(sample, looked(sample, directory)))
        shutil.rmtree(directory)
    assert max(missing) <= 50 * count, missing  # so many messages' rows fit on a page
    assert sorted(missing)[SEEDS // 2] <= 4 * count, missing


@pytest.mark.parametrize("page", range(1, 10))
def test_pages_that_everything_hangs_from_can_be_lost(page: int, sample: Sample, memory_path: Path) -> None:
    """The first page, and those where tables and indexes begin: what lies below them is found without them."""
    directory = shutil.copytree(sample.closed, memory_path / "q")
    with store_of(directory).open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))
    found = looked(sample, directory)
    assert _account(sample, found) <= 50
    assert any("damaged" in report or "failed" in report for report in found.reports)
    assert (directory / "posthouse" / "corrupt" / "store-1.sqlite").exists()


def test_changed_octets_of_the_log_lose_no_transaction_behind_them(sample: Sample, memory_path: Path) -> None:
    """SQLite alone would take the first damaged frame for the log's end, and forget all acknowledged mail behind it."""
    missing = []
    last = _last_transaction(store_of(sample.killed, "-wal"))
    for seed in range(SEEDS):
        directory = shutil.copytree(sample.killed, memory_path / f"q{seed}")
        flip(store_of(directory, "-wal"), random.Random(seed), 1, before=last)
        found = looked(sample, directory)
        missing.append(len(set(sample.known) - set(found.whole)))
        shutil.rmtree(directory)
    assert max(missing) <= 8, missing
    assert missing.count(0) > SEEDS // 2


def _last_transaction(log: Path) -> int:
    """Where the last transaction of a log begins: damage to it looks like a crash while it was written."""
    octets = log.read_bytes()
    commits = [at for at in range(32, len(octets) - 4119, 4120) if octets[at + 4 : at + 8] != bytes(4)]
    return commits[-2] + 4120


def test_changed_octets_of_the_last_transaction_are_a_crash_before_it(sample: Sample, memory_path: Path) -> None:
    """It cannot be told from one that was never finished; the state before it is whole."""
    last = _last_transaction(store_of(sample.killed, "-wal"))
    for seed in range(4):
        directory = shutil.copytree(sample.killed, memory_path / f"q{seed}")
        log = store_of(directory, "-wal")
        os.truncate(log, random.Random(seed).randrange(last, log.stat().st_size))
        found = looked(sample, directory, old=True)
        assert (set(sample.known) <= set(found.whole), found.reports) == (True, [])


@pytest.mark.parametrize("end", ["", "-wal"])
def test_files_that_were_cut_short(end: str, sample: Sample, memory_path: Path) -> None:
    """A store that is too short is copied; a log that ends early is a state that once was."""
    for seed in range(SEEDS // 2):
        directory = shutil.copytree(sample.killed, memory_path / f"q{seed}")
        file = store_of(directory, end)
        os.truncate(file, random.Random(seed).randrange(file.stat().st_size))
        found = looked(sample, directory, old=True)
        if not end and set(sample.known) - set(found.whole):
            assert found.reports
        shutil.rmtree(directory)


def test_spool_files_that_are_missing_or_short(sample: Sample, memory_path: Path) -> None:
    """Their messages go to the corrupt queue, by name; the others are served, and short content never is."""
    directory = shutil.copytree(sample.closed, memory_path / "q")
    [missing, short, longer, fifo] = sorted((directory / "posthouse" / "spool").iterdir())[:4]
    missing.unlink()
    os.truncate(short, 11)
    longer.chmod(0o600)
    with longer.open("ab") as file:
        file.write(b"more")
    fifo.unlink()
    os.mkfifo(fifo)
    harness = Harness(str(directory))
    refused = []
    for queue_id in harness.listed_ids():
        try:
            content = harness.content(harness.get(queue_id).key)
            refused += [queue_id] if content is None else []
        except NotStoredError:
            refused.append(queue_id)
    assert len(refused) == 4
    for _ in range(400):
        if len(harness.reports) == 4:
            break
        harness.loop.run_until_complete(asyncio.sleep(0.01))
    assert sorted(report[:11] for report in harness.reports) == [f"{queue_id}:" for queue_id in sorted(refused)]
    assert {harness.get(queue_id).queue_name for queue_id in refused} == {CORRUPT}
    assert verified(harness.store, harness.loop) == []
    harness.close()
    assert verify(str(directory)).findings == []


def test_store_that_is_gone_is_read_from_its_log(sample: Sample, memory_path: Path) -> None:
    """What is in the log alone is saved; a new store never meets the old one's log."""
    directory = shutil.copytree(sample.killed, memory_path / "q")
    store_of(directory).unlink()
    assert "the store is gone" in str(verify(str(directory)).findings[0])
    found = looked(sample, directory, old=True)
    assert found.reports[0] == "store 1 is gone, its log is here"
    assert len({*found.whole, *found.corrupt}) > 20


def test_empty_store_file_is_not_taken_for_an_empty_queue(sample: Sample, memory_path: Path) -> None:
    """A file that was cut to nothing is damage, and is told; the log beside it is read."""
    directory = shutil.copytree(sample.killed, memory_path / "q")
    os.truncate(store_of(directory), 0)
    found = looked(sample, directory, old=True)
    assert "the file holds no store" in found.reports[0]
    assert (directory / "posthouse" / "corrupt" / "store-1.sqlite-wal").exists()


def test_stray_file_with_a_higher_number_does_not_replace_the_queue(sample: Sample, memory_path: Path) -> None:
    """It is moved away, and the store is served."""
    directory = shutil.copytree(sample.closed, memory_path / "q")
    stray = directory / "posthouse" / "store-9.sqlite"
    stray.write_bytes(b"not a store")
    stray.chmod(0o600)
    found = looked(sample, directory)
    assert found.whole == sample.known
    assert "store-9.sqlite is no store; it is now" in found.reports[0]
    assert (directory / "posthouse" / "corrupt" / "store-9.sqlite").read_bytes() == b"not a store"


def test_rights_that_let_others_read_are_taken_away(sample: Sample, memory_path: Path) -> None:
    """And told; the queue is served."""
    directory = shutil.copytree(sample.closed, memory_path / "q")
    store_of(directory).chmod(0o644)
    (directory / "posthouse").chmod(0o755)
    found = looked(sample, directory)
    assert found.whole == sample.known
    assert [report.partition(": others could read the queue")[1] != "" for report in found.reports] == [True, True]
    assert stat.S_IMODE(store_of(directory).stat().st_mode) == 0o600


@pytest.mark.root
def test_files_of_another_owner_are_named(sample: Sample) -> None:
    """Who cannot read the store says whose it is and what to do, and changes nothing."""
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o711)
        directory = shutil.copytree(sample.closed, Path(path) / "q")
        directory.chmod(0o755)
        nobody = pwd.getpwnam("nobody")
        for each in (directory / "posthouse", *(directory / "posthouse").rglob("*")):
            os.chown(each, nobody.pw_uid, nobody.pw_gid)
        os.chown(store_of(directory), 0, 0)
        program = (
            "import asyncio, os, sys; from posthouse.queue.store import open_store; "
            "os.setresuid(65534, 65534, 65534); open_store(sys.argv[1], asyncio.new_event_loop(), print)"
        )
        done = subprocess.run([sys.executable, "-c", program, directory], capture_output=True, check=False)
        said = done.stderr.decode().splitlines()[-1]
    assert "store-1.sqlite belongs to root with mode 0600; it has to belong to nobody (chown -R nobody " in said


def test_what_is_not_a_file_is_named(sample: Sample, memory_path: Path) -> None:
    """A symbolic link in the place of the store is not followed."""
    directory = shutil.copytree(sample.closed, memory_path / "q")
    target = store_of(directory).rename(memory_path / "elsewhere")
    store_of(directory).symlink_to(target)
    with pytest.raises(StoreError, match="is neither a file nor a directory; move it away"):
        Harness(str(directory))


def _read_all(harness: Harness) -> None:
    for queue_id in harness.listed_ids():
        harness.content(harness.get(queue_id).key)


def test_page_that_was_damaged_while_running_ends_that_store_only_once(sample: Sample, memory_path: Path) -> None:
    """The first who reads it ends the store; the next start serves, and does not fail again."""
    directory = shutil.copytree(sample.closed, memory_path / "q")
    harness = Harness(str(directory))
    with store_of(directory).open("r+b") as file:
        file.seek(0, os.SEEK_END)
        for page in range(1, file.tell() // 4096):
            file.seek(page * 4096 + 77)
            file.write(b"\x5a\x5a")
    with pytest.raises(StoreFailedError, match="a page does not match its checksum"):
        _read_all(harness)
    harness.loop.run_until_complete(harness.store.close())
    harness.loop.close()
    assert start_and_look(directory).starts == 1
