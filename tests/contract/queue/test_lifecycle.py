"""Opening and closing a queue store: the lock, the directory, other versions, damage and its repair."""

import os
import stat
import subprocess
import sys

import apsw
import pytest

from posthouse.queue.directory import StoreDirectory
from posthouse.queue.values import CORRUPT, Change, StoreError, StoreLockedError
from tests.contract.queue.harness import Harness, message, verified


def path_of(queue: Harness, generation: int = 1) -> str:
    """The store file."""
    return queue.files.store_path(generation)


def test_second_opener_is_refused(queue: Harness) -> None:
    """In the same process or in another one; the message names who has it."""
    with pytest.raises(StoreLockedError, match=f"in use by process {os.getpid()}"):
        Harness(queue.directory)
    program = (
        "import asyncio, sys; from posthouse.queue.store import open_store; "
        "open_store(sys.argv[1], asyncio.new_event_loop(), print)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    other = subprocess.run(
        [sys.executable, "-c", program, queue.directory], capture_output=True, check=False, env=environment
    )
    assert b"StoreLockedError" in other.stderr
    queue.put(message("ID1"))


def test_directory_is_for_the_queue_user_alone(queue: Harness) -> None:
    """Directories 0700, files 0600, whatever the umask."""
    queue.put(message("ID1"))
    for name in ("", "spool"):
        assert stat.S_IMODE(os.stat(os.path.join(queue.files.path, name)).st_mode) == 0o700
    for name in ("LOCK", "store-1.sqlite", "store-1.sqlite-wal"):
        assert stat.S_IMODE(os.stat(os.path.join(queue.files.path, name)).st_mode) == 0o600


def test_clean_close_leaves_no_log_behind(queue: Harness) -> None:
    """A closed store is one file; it opens again with everything."""
    queue.put(message("ID1"))
    queue.close()
    assert sorted(os.listdir(queue.files.path)) == ["HOLD", "LOCK", "spool", "store-1.sqlite"]


def test_close_stores_what_has_gathered(queue: Harness) -> None:
    """Updates that waited for company are stored by the last batch."""
    [key] = queue.put(message("ID1"))
    queue.store.remove(key, "ID1")
    again = queue.reopen()
    assert again.listed_ids() == []
    again.close()


def test_later_version_is_left_alone(queue: Harness) -> None:
    """A store that a newer program made is refused, with both versions, and not changed."""
    queue.close()
    database = apsw.Connection(path_of(queue))
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="has version 99 of the queue, this program knows version 1"):
        Harness(queue.directory)
    assert StoreDirectory(queue.files.path).failed() is None


def test_marked_store_is_copied_and_the_mark_goes(queue: Harness) -> None:
    """The next generation has everything; the failed one is gone."""
    queue.put(message("ID1"), message("ID2", content=queue.spool(b"large")))
    queue.close()
    queue.files.mark_failed(1, "IOError: injected")
    again = Harness(queue.directory)
    assert again.reports == ["store 1 failed: IOError: injected", "copied 2 messages to store 2"]
    assert again.files.generations() == [2]
    assert again.files.failed() is None
    assert again.content(again.get("ID2").key) == b"large"
    again.put(message("ID3"))
    assert verified(again.store, again.loop) == []
    again.close()


def test_copy_that_was_interrupted_is_made_again(queue: Harness) -> None:
    """Half a copy without its final name is not the store; a finished one is, and the old one goes."""
    queue.put(message("ID1"))
    queue.close()
    with open(path_of(queue, 2) + ".new", "wb") as half:
        half.write(b"half")
    queue.files.mark_failed(1, "IOError")
    again = Harness(queue.directory)
    assert again.listed_ids() == ["ID1"]
    again.close()
    with open(path_of(queue, 1), "wb") as old:
        old.write(b"the failed one, not deleted yet")
    os.chmod(path_of(queue, 1), 0o600)
    queue.files.mark_failed(1, "IOError")
    again = Harness(queue.directory)
    assert (again.reports, again.listed_ids()) == ([], ["ID1"])
    assert again.files.failed() is None
    assert again.files.generations() == [2]
    again.close()


def test_damaged_pages_cost_their_messages_only(queue: Harness) -> None:
    """With pages overwritten, the others are saved, halves are set aside, and the damaged file is kept."""
    queue.put(*[message(f"ID{number}", content=b"x" * 3500) for number in range(300)])
    queue.close()
    size = os.path.getsize(path_of(queue))
    with open(path_of(queue), "r+b") as file:
        for page in range(size // 4096 // 2, size // 4096 // 2 + 10):
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)
    queue.files.mark_failed(1, "CorruptError")
    again = Harness(queue.directory)
    assert again.reports[1].startswith("unreadable: ")
    listed = again.listed_ids()
    assert len(listed) == 300
    whole = [name for name in listed if again.get(name).queue_name != CORRUPT]
    assert 270 < len(whole) < 300
    assert all(again.content(again.get(name).key) == b"x" * 3500 for name in whole)
    assert os.path.exists(os.path.join(queue.files.path, "corrupt", "store-1.sqlite"))
    assert again.wait(again.store.lease(1)) > 100_000
    again.close()


def test_store_that_is_no_database_is_replaced_and_kept(queue: Harness) -> None:
    """A file that cannot be read at all leaves an empty store, a report, and the file for inspection."""
    queue.close()
    with open(path_of(queue), "wb") as file:
        file.write(b"\xa5" * 40_960)
    again = Harness(queue.directory)
    assert again.reports[0].startswith("store 1 is damaged: NotADBError")
    assert os.path.getsize(os.path.join(queue.files.path, "corrupt", "store-1.sqlite")) == 40_960
    again.put(message("ID1"))
    again.close()


def test_operators_command_survives_a_restart(queue: Harness) -> None:
    """A hold that was acknowledged holds."""
    queue.put(message("ID1"))
    queue.wait(queue.store.change(Change.HOLD, ["ID1"]))
    again = queue.reopen()
    assert again.get("ID1").queue_name == "hold"
    again.close()


def test_removed_ids_are_known_for_ten_thousand_more_removals(queue: Harness) -> None:
    """The record is bounded, in memory and on disk, and reaches back far enough after a restart."""
    for batch in range(25):
        keys = queue.put(*[message(f"B{batch}N{number}") for number in range(1000)])
        for number, key in enumerate(keys):
            queue.store.remove(key, f"B{batch}N{number}")
    again = queue.reopen()
    assert not again.wait(again.store.is_committed("B0N0"))
    assert all(again.wait(again.store.is_committed(f"B{batch}N999")) for batch in range(14, 25))
    again.close()
