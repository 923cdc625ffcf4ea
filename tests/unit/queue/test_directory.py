"""The store's directory: generations, the mark of a failed store."""

from pathlib import Path

import pytest

from posthouse.queue.directory import StoreDirectory


@pytest.fixture
def directory(tmp_path: Path) -> StoreDirectory:
    """A made, not locked, directory."""
    directory = StoreDirectory(str(tmp_path / "posthouse"))
    directory.open()
    directory.close()
    return directory


def test_generations_are_those_with_their_final_name(directory: StoreDirectory) -> None:
    """Half copies, logs and damaged files do not count; numbers sort as numbers."""
    for name in ("store-2.sqlite", "store-10.sqlite", "store-3.sqlite.new", "store-2.sqlite-wal", "damaged-9.sqlite"):
        Path(directory.path, name).touch()
    assert directory.generations() == [2, 10]
    directory.remove_store(10)
    assert directory.generations() == [2]


def test_mark_names_generation_and_reason(directory: StoreDirectory) -> None:
    """It is read back as written, and can be cleared twice."""
    assert directory.failed() is None
    assert directory.mark_failed(3, "IOError: disk\udcff") == ""
    assert directory.failed() == (3, "IOError: disk?")
    directory.clear_failed()
    directory.clear_failed()
    assert directory.failed() is None


def test_mark_that_was_cut_short_counts_for_the_store_there_is(directory: StoreDirectory) -> None:
    """An empty mark still says that something failed."""
    Path(directory.path, "FAILED").touch()
    assert directory.failed() == (0, "")
    directory.create_store_file(4)
    directory.adopt_store_file(4)
    assert directory.failed() == (4, "")


def test_mark_that_cannot_be_written_says_why(directory: StoreDirectory) -> None:
    """The caller tells it in the log."""
    Path(directory.path, "FAILED").mkdir()
    assert "Is a directory" in directory.mark_failed(1, "IOError")


def test_opening_twice_keeps_what_is_there(directory: StoreDirectory) -> None:
    """Making the directory is idempotent."""
    directory.create_store_file(1)
    directory.adopt_store_file(1)
    directory.open()
    assert directory.generations() == [1]
    directory.close()
    directory.close()
