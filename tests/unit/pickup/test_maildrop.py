"""maildrop/: nothing about a file is believed but what the kernel says."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.daemons.pickup.maildrop import INCOMPLETE_S, Maildrop
from tests.support.lookups import logged


class Drop:
    """A maildrop and short ways to put files there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []

    def put(self, name: str, content: bytes = b"x", mode: int = 0o444, uid: int | None = None) -> Path:
        """Put a file there."""
        path = self.path / name
        path.write_bytes(content)
        path.chmod(mode)
        if uid is not None:
            os.chown(path, uid, -1)
        return path

    def scan(self, files: int = 1000, size: int = 10**6) -> list[str]:
        """Names of the files that are taken."""
        names = []
        for found in Maildrop(str(self.path), files_per_user=files, bytes_per_user=size).scan():
            names.append(found.name)
            os.close(found.descriptor)
        return names


@pytest.fixture
def drop(tmp_path: Path) -> Iterator[Drop]:
    """Make a directory, and a log to read."""
    made = Drop(tmp_path)
    with logged() as lines:
        made.lines = lines
        yield made


def test_a_complete_file_is_taken(drop: Drop) -> None:
    """With its owner, size and time by the kernel's word."""
    drop.put("b", b"12345")
    drop.put("a")
    taken = list(Maildrop(str(drop.path), files_per_user=9, bytes_per_user=99).scan())
    assert [(found.name, found.uid, found.size) for found in taken] == [("a", os.geteuid(), 1), ("b", os.geteuid(), 5)]
    assert all(abs(found.arrival - time.time()) < 60 for found in taken)
    assert os.read(taken[1].descriptor, 10) == b"12345"
    for found in taken:
        os.close(found.descriptor)


def test_a_time_in_the_future_is_now(drop: Drop) -> None:
    """Its owner can set it."""
    path = drop.put("a")
    os.utime(path, (time.time() + 10**6,) * 2)
    [found] = Maildrop(str(drop.path), files_per_user=9, bytes_per_user=99).scan()
    assert found.arrival <= time.time()
    os.close(found.descriptor)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400, 0o4444])
def test_a_file_that_is_not_complete_is_left(drop: Drop, mode: int) -> None:
    """Its writer may still be writing."""
    path = drop.put("a", mode=mode)
    assert drop.scan() == []
    assert path.exists()
    assert not drop.lines


def test_a_file_that_is_never_completed_is_removed(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a day, whatever time its owner gave it."""
    path = drop.put("a", mode=0o600)
    os.utime(path, (time.time() + 10**6,) * 2)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + INCOMPLETE_S + 10)
    assert drop.scan() == []
    assert not path.exists()
    assert drop.lines == [f"warning: maildrop/a: uid {os.geteuid()}: never completed; junk"]


def test_links_fifos_and_directories_are_removed(drop: Drop, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each is said; what they lead to is not touched."""
    outside = tmp_path_factory.mktemp("outside") / "file"
    outside.write_text("secret")
    outside.chmod(0o444)
    (drop.path / "symlink").symlink_to(outside)
    (drop.path / "hardlink").hardlink_to(outside)
    os.mkfifo(drop.path / "fifo", 0o444)
    (drop.path / "directory").mkdir()
    assert drop.scan() == []
    assert list(drop.path.iterdir()) == []
    assert outside.read_text() == "secret"
    assert len(drop.lines) == 4


def test_what_cannot_be_removed_is_said(drop: Drop) -> None:
    """A directory with something in it, say."""
    (drop.path / "directory").mkdir()
    (drop.path / "directory" / "file").touch()
    assert drop.scan() == []
    assert any("cannot remove" in line for line in drop.lines)


def test_a_file_that_is_exchanged_while_it_is_opened_is_left(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was looked at must be the one that is read."""
    drop.put("a")
    other = drop.put("other", b"other", mode=0o600)
    real = os.open

    def exchange(path: str, flags: int) -> int:
        other.chmod(0o444)
        other.replace(drop.path / "a")
        return real(path, flags)

    monkeypatch.setattr(os, "open", exchange)
    assert drop.scan() == []


def test_a_file_that_is_gone_is_no_trouble(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner may remove it."""
    monkeypatch.setattr(os, "listdir", lambda _path: ["gone"])
    assert drop.scan() == []


def test_a_directory_that_is_not_there(drop: Drop) -> None:
    """It is said; nothing else happens."""
    maildrop = Maildrop(str(drop.path / "none"), files_per_user=1, bytes_per_user=1)
    assert list(maildrop.scan()) == []
    assert "maildrop: " in drop.lines[0]
    maildrop.remove("none")


def test_one_user_s_files_are_taken_in_bounded_number(drop: Drop) -> None:
    """The rest waits for the next run."""
    for name in "abcd":
        drop.put(name)
    assert drop.scan(files=3) == ["a", "b", "c"]


def test_one_user_s_files_are_taken_in_bounded_size(drop: Drop) -> None:
    """One is taken however large it is; cleanup has a limit for that."""
    for name, size in (("a", 100), ("b", 30), ("c", 30)):
        drop.put(name, b"x" * size)
    assert drop.scan(size=50) == ["a"]
    assert drop.scan(size=131) == ["a", "b"]


@pytest.mark.root
def test_one_user_does_not_hold_up_another(drop: Drop) -> None:
    """Each has his own bounds."""
    for number, name in enumerate("abcdef"):
        drop.put(name, uid=1000 + number // 4)
    assert drop.scan(files=2) == ["a", "b", "e", "f"]


@pytest.mark.root
def test_a_user_who_has_to_wait_holds_up_nobody(drop: Drop) -> None:
    """His other files are left to the next run."""
    for number, uid in enumerate((4321, 4321, 4322, 4321)):
        drop.put(f"{number}", uid=uid)
    maildrop = Maildrop(str(drop.path), files_per_user=9, bytes_per_user=99)
    names = []
    for found in maildrop.scan():
        names.append(found.name)
        os.close(found.descriptor)
        if found.name == "0":
            maildrop.hold(found.uid)
    assert names == ["0", "2"]


def test_junk_that_stays_does_not_fill_the_log(drop: Drop) -> None:
    """One line for the first, one with their number."""
    for number in range(50):
        (drop.path / f"{number}" / "inside").mkdir(parents=True)
    assert drop.scan() == []
    assert len(drop.lines) == 3
    assert "50 entries" in drop.lines[-1]


def test_mail_of_postfix_sendmail_is_kept_and_named(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is complete, in a form that is not ours: a day later it is still there, and the log says once what to do."""
    for name in ("4CE7CE69", "50D1AE6A"):
        drop.put(name, b"T\x111795473165 330989", 0o744)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + INCOMPLETE_S + 10)
    maildrop = Maildrop(str(drop.path), files_per_user=9, bytes_per_user=99)
    assert list(maildrop.scan()) == list(maildrop.scan()) == []
    assert sorted(os.listdir(drop.path)) == ["4CE7CE69", "50D1AE6A"]
    assert len(drop.lines) == 1
    assert drop.lines[0].startswith("warning: maildrop/4CE7CE69: from Postfix's sendmail, so it waits for Postfix (2")
