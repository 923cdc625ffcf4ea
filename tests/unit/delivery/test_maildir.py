"""Maildirs: files complete or not there, directories on demand, everything synced."""

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from posthouse.delivery import durable, maildir


def put(path: Path, head: bytes, content: bytes, host: str = "x") -> None:
    """Deliver one message."""
    [failed] = maildir.deliver([maildir.write(str(path), host, head, content)])
    assert failed is None


def files(path: Path) -> list[bytes]:
    """Give the messages in new/."""
    return [entry.read_bytes() for entry in (path / "new").iterdir()]


def test_a_maildir_is_made_on_demand(tmp_path: Path) -> None:
    """With the directories above it; nobody else may look into it."""
    path = tmp_path / "domain" / "user"
    put(path, b"Head: er\n", b"body\n")
    assert files(path) == [b"Head: er\nbody\n"]
    assert sorted(part.name for part in path.iterdir()) == ["cur", "new", "tmp"]
    assert not list((path / "tmp").iterdir())
    assert {entry.stat().st_mode & 0o777 for entry in (path, *path.iterdir())} == {0o700}
    assert next((path / "new").iterdir()).stat().st_mode & 0o777 == 0o600


def test_names_say_time_device_inode_and_host(tmp_path: Path) -> None:
    """And are never used twice."""
    for _ in range(20):
        put(tmp_path / "box", b"", b"x\n", "mail.x")
    names = [entry.name for entry in (tmp_path / "box" / "new").iterdir()]
    assert len(set(names)) == 20
    assert all(re.fullmatch(r"[0-9]{10}\.V[0-9a-f]+I[0-9a-f]+M[0-9]{1,6}\.mail\.x", name) for name in names)


def test_the_last_line_gets_its_end(tmp_path: Path) -> None:
    """A reader counts on it."""
    put(tmp_path / "box", b"a: b\n", b"\nno end")
    assert files(tmp_path / "box") == [b"a: b\n\nno end\n"]


def test_a_half_written_file_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the caller's."""
    maildir.make(str(tmp_path / "box"))

    def fail(_descriptor: int, _pieces: list[bytes]) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "writev", fail)
    with pytest.raises(OSError, match="No space"):
        maildir.write(str(tmp_path / "box"), "x", b"", b"x\n")
    monkeypatch.undo()
    assert not list((tmp_path / "box" / "tmp").iterdir())


def test_a_file_whose_content_does_not_get_to_the_disk_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others of its batch are delivered."""
    drafts = [maildir.write(str(tmp_path / "box"), "x", b"", b"%d\n" % number) for number in range(3)]
    real = durable.write_out

    def fail(descriptors: Sequence[int], *, ordered: bool) -> list[OSError | None]:
        real(descriptors, ordered=ordered)
        return [None, OSError(5, "Input/output error"), None]

    monkeypatch.setattr(durable, "write_out", fail)
    failed = maildir.deliver(drafts)
    assert [error and error.errno for error in failed] == [None, 5, None]
    assert not list((tmp_path / "box" / "tmp").iterdir())
    assert sorted(files(tmp_path / "box")) == [b"0\n", b"2\n"]


def test_no_room_for_the_name(tmp_path: Path) -> None:
    """A file where new/ was: this one waits, the other is delivered, nothing stays in tmp/."""
    drafts = [maildir.write(str(tmp_path / name), "x", b"", b"x\n") for name in ("gone", "box")]
    (tmp_path / "gone" / "new").rmdir()
    (tmp_path / "gone" / "new").write_text("not a directory")
    failed = maildir.deliver(drafts)
    assert isinstance(failed[0], NotADirectoryError)
    assert failed[1] is None
    assert not list((tmp_path / "gone" / "tmp").iterdir())


def test_a_short_write_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may take less than it was given."""
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda descriptor, pieces: real(descriptor, [b"".join(pieces)[:5]]))
    put(tmp_path / "box", b"a: b\n", b"\nbody\n")
    assert files(tmp_path / "box") == [b"a: b\n\nbody\n"]


def test_a_maildir_with_a_missing_part_is_repaired(tmp_path: Path) -> None:
    """Somebody removed tmp/."""
    maildir.make(str(tmp_path / "box"))
    (tmp_path / "box" / "tmp").rmdir()
    put(tmp_path / "box", b"", b"x\n")
    assert files(tmp_path / "box") == [b"x\n"]


@pytest.mark.parametrize("missing", ["new", "cur", "tmp"])
def test_a_maildir_with_any_part_missing_takes_mail(tmp_path: Path, missing: str) -> None:
    """Somebody removed it, or making it failed when the Maildir was new (by an earlier release)."""
    maildir.make(str(tmp_path / "box"))
    (tmp_path / "box" / missing).rmdir()
    put(tmp_path / "box", b"", b"x\n")
    assert files(tmp_path / "box") == [b"x\n"]


@pytest.mark.parametrize("fails", range(4))
def test_a_maildir_that_was_made_in_part_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    """No room for one of its directories; the next attempt makes the rest."""
    made: list[str] = []
    mkdir = os.mkdir

    def make(path: str, mode: int = 0o777) -> None:
        if len(made) == fails:
            raise OSError(errno.ENOSPC, "No space left on device")
        mkdir(path, mode)
        made.append(path)

    monkeypatch.setattr(os, "mkdir", make)
    with pytest.raises(OSError, match="No space"):
        maildir.write(str(tmp_path / "box"), "x", b"", b"x\n")
    monkeypatch.undo()
    put(tmp_path / "box", b"", b"x\n")
    assert files(tmp_path / "box") == [b"x\n"]
    assert sorted(part.name for part in (tmp_path / "box").iterdir()) == ["cur", "new", "tmp"]


def test_an_error_of_close_is_no_failed_delivery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is on the disk by then, and under its name: it would come twice."""
    maildir.make(str(tmp_path / "box"))
    draft = maildir.write(str(tmp_path / "box"), "x", b"", b"x\n")
    close = os.close

    def fail(descriptor: int) -> None:
        close(descriptor)
        if descriptor == draft.descriptor:
            monkeypatch.undo()  # the number will be used again
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "close", fail)
    assert maildir.deliver([draft]) == [None]
    assert files(tmp_path / "box") == [b"x\n"]


def test_a_file_in_the_place_of_a_maildir_is_an_error(tmp_path: Path) -> None:
    """It is not replaced."""
    (tmp_path / "box").write_text("mbox")
    with pytest.raises(NotADirectoryError):
        maildir.write(str(tmp_path / "box"), "x", b"", b"x\n")
    assert (tmp_path / "box").read_text() == "mbox"
