"""Maildirs: files complete or not there, directories on demand, everything synced."""

import os
import re
from pathlib import Path

import pytest

from posthouse.delivery import maildir


def files(path: Path) -> list[bytes]:
    """Give the messages in new/."""
    return [entry.read_bytes() for entry in (path / "new").iterdir()]


def test_a_maildir_is_made_on_demand(tmp_path: Path) -> None:
    """With the directories above it; nobody else may look into it."""
    path = tmp_path / "domain" / "user"
    maildir.write(str(path), "mail.x", b"Head: er\n", b"body\n")
    maildir.sync(str(path))
    assert files(path) == [b"Head: er\nbody\n"]
    assert sorted(part.name for part in path.iterdir()) == ["cur", "new", "tmp"]
    assert not list((path / "tmp").iterdir())
    assert {entry.stat().st_mode & 0o777 for entry in (path, *path.iterdir())} == {0o700}
    assert next((path / "new").iterdir()).stat().st_mode & 0o777 == 0o600


def test_names_say_time_device_inode_and_host(tmp_path: Path) -> None:
    """And are never used twice."""
    for _ in range(20):
        maildir.write(str(tmp_path / "box"), "mail.x", b"", b"x\n")
    names = [entry.name for entry in (tmp_path / "box" / "new").iterdir()]
    assert len(set(names)) == 20
    assert all(re.fullmatch(r"[0-9]{10}\.V[0-9a-f]+I[0-9a-f]+M[0-9]{1,6}\.mail\.x", name) for name in names)


def test_the_last_line_gets_its_end(tmp_path: Path) -> None:
    """A reader counts on it."""
    maildir.write(str(tmp_path / "box"), "x", b"a: b\n", b"\nno end")
    assert files(tmp_path / "box") == [b"a: b\n\nno end\n"]


def test_a_half_written_file_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the caller's."""
    maildir.make(str(tmp_path / "box"))

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        maildir.write(str(tmp_path / "box"), "x", b"", b"x\n")
    monkeypatch.undo()
    assert not list((tmp_path / "box" / "tmp").iterdir())
    assert files(tmp_path / "box") == []


def test_a_short_write_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may take less than it was given."""
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda descriptor, pieces: real(descriptor, [b"".join(pieces)[:5]]))
    maildir.write(str(tmp_path / "box"), "x", b"a: b\n", b"\nbody\n")
    assert files(tmp_path / "box") == [b"a: b\n\nbody\n"]


def test_a_maildir_with_a_missing_part_is_repaired(tmp_path: Path) -> None:
    """Somebody removed tmp/."""
    maildir.make(str(tmp_path / "box"))
    (tmp_path / "box" / "tmp").rmdir()
    maildir.write(str(tmp_path / "box"), "x", b"", b"x\n")
    assert files(tmp_path / "box") == [b"x\n"]


def test_a_file_in_the_place_of_a_maildir_is_an_error(tmp_path: Path) -> None:
    """It is not replaced."""
    (tmp_path / "box").write_text("mbox")
    with pytest.raises(NotADirectoryError):
        maildir.write(str(tmp_path / "box"), "x", b"", b"x\n")
    assert (tmp_path / "box").read_text() == "mbox"
