"""mbox files: quoting, what kind of file it may be, size, locks, and undoing a failed write."""

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from posthouse.delivery import mailbox_lock, mbox
from posthouse.delivery.ending import Ending
from posthouse.ipc.as_user import NOT_FOUND, OVER_QUOTA, REFUSED, TRY_LATER, WriteMailbox

STALE_S = 500.0
PATIENCE = (20, 0.001, STALE_S)
FROM = b"From s@x Mon Nov  6 12:00:00 2023\n"


def job(path: Path, *, size_limit: int = 0, locks: str = "fcntl dotlock", strict: bool = True) -> WriteMailbox:
    """Make a job."""
    return WriteMailbox(
        1, str(path), FROM, b"Return-Path: <s@x>\n", b"", False, size_limit, locks.split(), strict, PATIENCE
    )


def refused(made: WriteMailbox, content: bytes = b"x\n") -> Ending:
    """Append; how it was refused."""
    with pytest.raises(Ending) as caught:
        mbox.append(made, content)
    return caught.value


def test_a_mailbox_is_made_for_its_user_alone(tmp_path: Path) -> None:
    """From_ line, trace, content, an empty line."""
    path = tmp_path / "user"
    mbox.append(job(path), b"Subject: x\n\nbody\n")
    assert path.read_bytes() == FROM + b"Return-Path: <s@x>\nSubject: x\n\nbody\n\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "user.lock").exists()


def test_messages_follow_each_other(tmp_path: Path) -> None:
    """Each begins behind an empty line, also when the last one had no line end."""
    mbox.append(job(tmp_path / "user"), b"\nno end")
    mbox.append(job(tmp_path / "user"), b"\nsecond\n")
    assert (tmp_path / "user").read_bytes().count(b"\n\n" + FROM) == 1


@pytest.mark.parametrize(
    "torn", [b"From a@x Mon", b"From a@x Mon\nSubject: x\n", b"From a@x Mon\nSubject: x\n\n", b"\n"]
)
def test_a_message_behind_a_part_of_one_is_found(tmp_path: Path, torn: bytes) -> None:
    """What a process that died in the middle of a write has left does not swallow the next message."""
    (tmp_path / "user").write_bytes(torn)
    mbox.append(job(tmp_path / "user"), b"\nwhole\n")
    left, _, whole = (tmp_path / "user").read_bytes().partition(b"\n\n" + FROM)
    assert left.rstrip(b"\n") == torn.rstrip(b"\n")
    assert whole == b"Return-Path: <s@x>\n\nwhole\n\n"


@pytest.mark.parametrize(
    ("content", "quoted"),
    [
        (b"From me\n", b">From me\n"),
        (b"a\nFrom me\nFrom you\n", b"a\n>From me\n>From you\n"),
        (b"a\n>From me\n", b"a\n>From me\n"),
        (b"a\nFrom: me\n From me\n", b"a\nFrom: me\n From me\n"),
        (b"a\nFrom", b"a\nFrom"),
        (b"", b""),
    ],
)
def test_lines_that_would_begin_a_message_are_quoted(content: bytes, quoted: bytes) -> None:
    """Nobody can forge another message in the file."""
    assert mbox.quote_from(content) == quoted


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """It could lead to a file of somebody else."""
    target = tmp_path / "target"
    target.write_text("")
    (tmp_path / "user").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links") as caught:
        mbox.append(job(tmp_path / "user"), b"x\n")
    assert Ending.of(caught.value).kind == REFUSED
    assert target.read_text() == ""


def test_a_second_name_is_refused(tmp_path: Path) -> None:
    """A hard link to another file as well."""
    (tmp_path / "target").write_text("")
    (tmp_path / "user").hardlink_to(tmp_path / "target")
    assert refused(job(tmp_path / "user")).kind == REFUSED
    assert (tmp_path / "target").read_text() == ""


@pytest.mark.parametrize("mode", [0o700, 0o610, 0o601])
def test_a_file_that_can_be_executed_is_refused(tmp_path: Path, mode: int) -> None:
    """A message must not become a program."""
    (tmp_path / "user").touch(mode)
    (tmp_path / "user").chmod(mode)
    assert refused(job(tmp_path / "user")).kind == REFUSED


def test_a_directory_is_no_mailbox(tmp_path: Path) -> None:
    """Nor is a FIFO, which nobody waits for."""
    (tmp_path / "user").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        mbox.append(job(tmp_path / "user"), b"x\n")
    assert Ending.of(caught.value).kind == NOT_FOUND
    os.mkfifo(tmp_path / "fifo")
    assert refused(job(tmp_path / "fifo")).kind == REFUSED


def test_dev_null_takes_everything() -> None:
    """aliases(5): that is how mail is thrown away; nothing is locked or measured."""
    mbox.append(job(Path("/dev/null"), size_limit=1, strict=False), b"x\n" * 1000)
    assert not Path("/dev/null.lock").exists()


@pytest.mark.root
def test_a_mailbox_of_somebody_else_waits(tmp_path: Path) -> None:
    """strict_mailbox_ownership; without it the file is written to."""
    (tmp_path / "user").write_text("")
    os.chown(tmp_path / "user", 12345, 12345)
    assert refused(job(tmp_path / "user")).kind == TRY_LATER
    mbox.append(job(tmp_path / "user", strict=False), b"x\n")


def test_a_full_mailbox_takes_nothing(tmp_path: Path) -> None:
    """Not even what would fit in part."""
    mbox.append(job(tmp_path / "user"), b"x\n")
    size = (tmp_path / "user").stat().st_size
    assert refused(job(tmp_path / "user", size_limit=size + 10)).kind == OVER_QUOTA
    assert (tmp_path / "user").stat().st_size == size
    mbox.append(job(tmp_path / "user", size_limit=2 * size), b"x\n")


def test_a_failed_write_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a message would spoil the next one."""
    mbox.append(job(tmp_path / "user"), b"first\n")
    before = (tmp_path / "user").read_bytes()
    real = os.write
    calls = []

    def write(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[:10])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        mbox.append(job(tmp_path / "user", locks="fcntl"), b"second\n")
    monkeypatch.undo()
    assert (tmp_path / "user").read_bytes() == before


def test_without_a_directory_there_is_no_mailbox(tmp_path: Path) -> None:
    """Not made: a mail spool that is not mounted must not be replaced."""
    with pytest.raises(FileNotFoundError) as caught:
        mbox.append(job(tmp_path / "none" / "user"), b"x\n")
    assert Ending.of(caught.value).kind == NOT_FOUND


# Locks.


@pytest.mark.parametrize("kind", ["fcntl", "flock"])
def test_a_locked_mailbox_is_waited_for(tmp_path: Path, kind: str) -> None:
    """Somebody reads his mail; after a while it is given up."""
    path = tmp_path / "user"
    path.touch(0o600)
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:  # another process: fcntl locks are a process's
        with path.open("r+b") as file:
            (fcntl.lockf if kind == "fcntl" else fcntl.flock)(file, fcntl.LOCK_EX)
            os.write(writer, b"locked")
            time.sleep(30)
        os._exit(0)
    os.read(reader, 10)
    assert refused(job(path, locks=kind)).kind == TRY_LATER
    os.kill(child, 9)
    os.waitpid(child, 0)
    mbox.append(job(path, locks=kind), b"x\n")
    os.close(reader)
    os.close(writer)


def test_a_dotlock_is_waited_for(tmp_path: Path) -> None:
    """And given up, or taken when it is gone."""
    lock = tmp_path / "user.lock"
    lock.touch()
    assert refused(job(tmp_path / "user")).kind == TRY_LATER
    timer = threading.Timer(0.005, lock.unlink)
    timer.start()
    mbox.append(job(tmp_path / "user"), b"x\n")
    timer.join()


def test_a_stale_dotlock_is_removed(tmp_path: Path) -> None:
    """Its owner died long ago."""
    lock = tmp_path / "user.lock"
    lock.touch()
    old = time.time() - STALE_S - 10
    os.utime(lock, (old, old))
    mbox.append(job(tmp_path / "user"), b"x\n")
    assert not lock.exists()


def test_without_the_right_to_make_a_dotlock_the_other_locks_must_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mail spool that its users cannot write to."""
    real = os.open

    def deny(path: str, flags: int, mode: int = 0o777) -> int:
        if path.endswith(".lock"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", deny)
    mbox.append(job(tmp_path / "user"), b"x\n")
    monkeypatch.undo()
    assert (tmp_path / "user").exists()


def test_a_spool_that_its_users_cannot_read_is_synced_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file's name must be on disk too."""
    real, synced = os.open, list[bool]()

    def deny(path: str, flags: int, mode: int = 0o777) -> int:
        if path == str(tmp_path):
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", deny)
    monkeypatch.setattr(os, "sync", lambda: synced.append(True))
    mbox.append(job(tmp_path / "user"), b"x\n")
    assert synced


@pytest.mark.parametrize("removed", [False, True])
def test_a_mailbox_that_was_replaced_while_its_lock_was_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    """Mail goes into the file that has the name, not into the one that nobody sees any more."""
    path = tmp_path / "user"
    path.write_bytes(b"old\n\n")
    real = mailbox_lock.lock_descriptor

    def replace(descriptor: int, styles: list[str], patience: mailbox_lock.Patience) -> None:
        monkeypatch.setattr(mbox, "lock_descriptor", real)
        path.unlink()
        if not removed:
            path.write_bytes(b"new\n\n")
        real(descriptor, styles, patience)

    monkeypatch.setattr(mbox, "lock_descriptor", replace)
    mbox.append(job(path), b"\nx\n")
    assert path.read_bytes() == (b"" if removed else b"new\n\n") + FROM + b"Return-Path: <s@x>\n\nx\n\n"


def test_a_mailbox_that_is_replaced_for_ever_is_left_for_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mail is kept."""
    path = tmp_path / "user"
    monkeypatch.setattr(mbox, "lock_descriptor", lambda *_: path.unlink())
    assert refused(job(path)).kind == TRY_LATER
