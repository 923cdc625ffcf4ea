"""Reading .forward and :include: files: only what the user or root wrote, and nobody else could."""

import os
from pathlib import Path

import pytest

from posthouse.delivery import user_files
from posthouse.delivery.ending import Ending
from posthouse.ipc.as_user import NOT_FOUND, REFUSED


def refused(path: Path, limit: int = 100) -> int:
    """Read; how it was refused."""
    with pytest.raises(Ending) as caught:
        user_files.read(str(path), limit)
    return caught.value.kind


def test_a_file_is_read(tmp_path: Path) -> None:
    """As octets."""
    (tmp_path / ".forward").write_bytes(b"a@x\n\xff")
    assert user_files.read(str(tmp_path / ".forward"), 100) == b"a@x\n\xff"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Most users have none; a directory of that name is none either."""
    with pytest.raises(FileNotFoundError):
        user_files.read(str(tmp_path / ".forward"), 100)
    assert refused(tmp_path) == NOT_FOUND


def test_a_file_that_anybody_can_write_is_refused(tmp_path: Path) -> None:
    """It is not the user who speaks."""
    (tmp_path / ".forward").touch()
    (tmp_path / ".forward").chmod(0o666)
    assert refused(tmp_path / ".forward") == REFUSED


@pytest.mark.root
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Root's are good."""
    (tmp_path / ".forward").touch()
    os.chown(tmp_path / ".forward", 12345, 12345)
    assert refused(tmp_path / ".forward") == REFUSED


def test_a_fifo_holds_up_nobody(tmp_path: Path) -> None:
    """A user cannot stop the mail of others with it."""
    os.mkfifo(tmp_path / ".forward")
    assert refused(tmp_path / ".forward") == REFUSED


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    """Exactly the limit is good."""
    (tmp_path / ".forward").write_bytes(b"x" * 100)
    assert len(user_files.read(str(tmp_path / ".forward"), 100)) == 100
    assert refused(tmp_path / ".forward", 99) == REFUSED


def test_files_about_ourselves_say_nothing(tmp_path: Path) -> None:
    """A link to /proc/self/maps would tell where the code of every daemon lies."""
    (tmp_path / ".forward").symlink_to("/proc/self/maps")
    assert user_files.read(str(tmp_path / ".forward"), 100_000) == b""
