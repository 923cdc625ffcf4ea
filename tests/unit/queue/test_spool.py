"""Spool files: named only when synced, refused while somebody can write, swept by name."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.queue.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An empty spool directory."""
    spool = Spool(str(tmp_path))
    yield spool
    spool.close()


def test_file_has_no_name_until_it_is_published(spool: Spool) -> None:
    """A crash while content comes in leaves nothing behind."""
    file = spool.create()
    os.write(file.descriptor, b"content")
    assert spool.names() == []
    assert spool.publish([file]) == {}
    assert not file.is_open
    assert spool.names() == [file.name]
    content = spool.open(file.name)
    assert (content.size, os.pread(content.descriptor, 100, 0)) == (7, b"content")
    content.close()
    content.close()


def test_opened_content_cannot_be_written(spool: Spool) -> None:
    """The descriptor that is lent to an agent is for reading."""
    file = spool.create()
    spool.publish([file])
    content = spool.open(file.name)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(content.descriptor, b"x")
    content.close()


def test_each_file_is_refused_for_itself(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose sync fails is dropped, and never synced again; the others are published."""
    good, bad = spool.create(), spool.create()
    calls: list[int] = []
    sync = os.fsync

    def failing(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    assert spool.publish([good, bad]) == {bad: "spool file: Input/output error"}
    assert spool.names() == [good.name]
    assert not bad.is_open
    assert len(calls) == 3


def test_failed_sync_of_the_directory_is_everybodys(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name in it can be relied upon then: the error goes to the store."""

    def failing(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        spool.publish([])


def test_without_nameless_files_a_temporary_name_is_used(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without O_TMPFILE the file has a name that the sweep knows to be an orphan's."""
    real = os.open

    def without(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", without)
    dropped, kept = spool.create(), spool.create()
    assert sorted(spool.names()) == sorted(["tmp-" + dropped.name, "tmp-" + kept.name])
    spool.drop(dropped)
    os.write(kept.descriptor, b"content")
    assert spool.publish([kept]) == {}
    assert spool.names() == [kept.name]
    spool.remove([kept.name, "unknown"])
    assert spool.names() == []


def test_writers_word_must_do_without_leases(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no leases still takes files; another error refuses the file."""

    def lease(_descriptor: int, _command: int, _argument: int = 0) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.fcntl", lease)
    code = errno.EINVAL
    assert spool.publish([spool.create()]) == {}
    code = errno.EIO
    assert list(spool.publish([spool.create()]).values()) == ["spool file: Input/output error"]
