"""Copies of the queue: made while mail flows, checked, and put back into an empty queue.

A backup is one moment's snapshot: the store file, compacted to one file without a log, and the spool files that its
rows name. While the snapshot is held no spool file is deleted, so none of them is missed. `BACKUP` is written last;
a directory without it is not a backup. Spool files are never written to again, so on one file system they are linked.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Final, cast

import apsw

from posthouse.queue.directory import DIRECTORY_MODE, FILE_MODE, StoreDirectory
from posthouse.queue.spool import MODE as SPOOL_MODE
from posthouse.queue.sqlite import check
from posthouse.queue.sqlite.check import Finding, Numbers
from posthouse.queue.sqlite.layer import BESIDE, CHECKED
from posthouse.queue.sqlite.pages import first_page_problem
from posthouse.queue.sqlite.schema import create, finish, leave
from posthouse.queue.sqlite.snapshot import Snapshot, with_snapshot
from posthouse.queue.values import StoreError
from posthouse.util.files import sync_directory

MARK: Final = "BACKUP"  # what makes a directory a backup
PAGES: Final = 1024  # copied in one step: 4 MB
NUMBERS_SKIPPED: Final = 1_000_000  # queue-ID numbers that may have been given since the backup
Progress = Callable[[str, int, int], None]  # what, how much of it, of how much


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that is complete."""

    taken: float  # seconds since the epoch
    numbers: Numbers


class DamagedError(StoreError):
    """The copy is not what it should be; findings says how."""

    def __init__(self, text: str, findings: list[Finding]) -> None:
        super().__init__(text)
        self.findings = findings


def back_up(directory: StoreDirectory, target: str, progress: Progress) -> Made:
    """Copy the queue to a new or empty directory and check the copy. When that fails nothing is left in it.

    Raises StoreError, DamagedError, OverruledError, OSError.
    """
    if not os.path.lexists(target):
        os.mkdir(target, DIRECTORY_MODE)
    elif os.listdir(target):
        raise StoreError(f"{target} is not empty; a backup overwrites nothing")
    try:
        with_snapshot(directory, lambda snapshot: _copy_out(snapshot, target, progress))
        made = Made(time.time(), _checked(StoreDirectory(target), progress))
        _write_mark(target, made)
    except BaseException:
        _clear(target)
        raise
    return made


def _clear(target: str) -> None:
    shutil.rmtree(os.path.join(target, "spool"), ignore_errors=True)
    for name in os.listdir(target):
        os.unlink(os.path.join(target, name))


def _copy_out(snapshot: Snapshot, target: str, progress: Progress) -> None:
    if snapshot.problem:
        raise StoreError(f"{snapshot.directory.path}: {snapshot.problem}; run: posthouse queue verify")
    _clear(target)  # of an attempt that was overruled
    copy = StoreDirectory(target)
    os.mkdir(copy.spool_path, DIRECTORY_MODE)
    path = copy.store_path(1)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    connection = create(path)  # so the layer knows from the first page on that pages have checksums
    try:
        _copy_pages(connection, snapshot.connection, progress)
        connection.execute("PRAGMA journal_mode = DELETE")
        rows = connection.execute("SELECT spool FROM message WHERE spool IS NOT NULL").fetchall()
        finish(connection)
    finally:
        connection.close()
    names = [name for (name,) in cast("list[tuple[str]]", rows)]
    _copy_files(snapshot.directory.spool_path, copy.spool_path, names, progress)
    _sync_file(path)
    sync_directory(target)


def _copy_pages(target: apsw.Connection, source: apsw.Connection, progress: Progress) -> None:
    target.execute("PRAGMA synchronous = OFF")  # synced as a whole afterwards
    with target.backup("main", source, "main") as backup:
        while not backup.done:
            backup.step(PAGES)
            progress("pages", backup.page_count - backup.remaining, backup.page_count)


def _copy_files(source: str, target: str, names: list[str], progress: Progress) -> None:
    """Link or copy spool files, durably. One that is missing is found when the copy is checked."""
    for number, name in enumerate(names, 1):
        here, there = os.path.join(source, name), os.path.join(target, name)
        with suppress(FileNotFoundError):  # of a restore that was interrupted; no message here uses it
            os.unlink(there)
        try:
            os.link(here, there, follow_symlinks=False)
        except FileNotFoundError:
            continue
        except OSError:  # another file system, or one without links
            _copy_file(here, there)
        progress("spool files", number, len(names))
    sync_directory(target)


def _copy_file(source: str, target: str) -> None:
    reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(reader, "rb") as file:
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, SPOOL_MODE)
        with open(writer, "wb") as copy:
            shutil.copyfileobj(file, copy)
            copy.flush()
            os.fsync(writer)


def _sync_file(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checked(directory: StoreDirectory, progress: Progress) -> Numbers:
    """Check a copy. Raises DamagedError."""
    progress("checking", 0, 0)
    path = directory.store_path(1)
    connection = apsw.Connection(path, vfs=BESIDE, flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        findings = list(check.check_rows(connection, time.time()))
        if not any(finding.kind == check.STORE for finding in findings):
            names = os.listdir(directory.spool_path)
            findings += check.check_spool(connection, directory, names, is_online=False)
        if findings:
            raise DamagedError(f"{directory.path} is not whole", findings)
        return check.count(connection)
    finally:
        leave(connection)
        with suppress(FileNotFoundError):
            os.unlink(path + "-wal")  # SQLite made an empty one


def _write_mark(path: str, made: Made) -> None:
    descriptor = os.open(os.path.join(path, MARK), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with open(descriptor, "w", encoding="ascii") as file:
        json.dump({"taken": made.taken, **asdict(made.numbers)}, file)
        file.flush()
        os.fsync(descriptor)
    sync_directory(path)


def read_mark(path: str) -> Made:
    """Read what a backup holds. Raises StoreError: it is none."""
    try:
        with open(os.path.join(path, MARK), encoding="ascii") as file:
            said = json.load(file)
        return Made(float(said.pop("taken")), Numbers(**said))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is no complete backup: {error}") from error


def restore(directory: StoreDirectory, source: str, progress: Progress) -> Made:
    """Put a backup into an empty queue that nobody has open.

    Raises StoreError, StoreLockedError, DamagedError, OSError; then the queue is as it was.
    """
    made = read_mark(source)
    directory.open()
    try:
        with _next_generation(directory) as (generation, number):
            _put_back(directory, source, (generation, number), progress)
    finally:
        directory.close()
    return made


def _put_back(directory: StoreDirectory, source: str, numbers: tuple[int, int], progress: Progress) -> None:
    copy = StoreDirectory(source)
    _checked(copy, progress)
    generation, number = numbers
    path = directory.create_store_file(generation)
    with open(copy.store_path(1), "rb") as file, open(path, "wb") as target:
        shutil.copyfileobj(file, target, 1 << 20)
    connection = apsw.Connection(path, vfs=CHECKED)
    try:
        connection.execute(
            "INSERT INTO ledger SELECT batch + 1, incoming, deferred, hold, corrupt, max(next_number, ?) + ?, '' "
            "FROM ledger ORDER BY batch DESC LIMIT 1",
            (number, NUMBERS_SKIPPED),
        )
        rows = connection.execute("SELECT spool FROM message WHERE spool IS NOT NULL").fetchall()
        finish(connection)
    finally:
        connection.close()
    _copy_files(copy.spool_path, directory.spool_path, [name for (name,) in cast("list[tuple[str]]", rows)], progress)
    directory.adopt_store_file(generation)


@contextmanager
def _next_generation(directory: StoreDirectory) -> Iterator[tuple[int, int]]:
    """Give the generation of a new store and a queue-ID number that is free; on success the empty one goes.

    Raises StoreError: there is mail, or what is there cannot be read.
    """
    generation = max([*directory.generations(), directory.lone_log()], default=0)
    number = 0
    if generation:
        path = directory.store_path(generation)
        if directory.failed() is not None or not os.path.exists(path) or first_page_problem(path):
            raise StoreError(f"{path} is damaged; run posthouse queue repair, then see what it saved")
        messages, number = _mail_in(path)
        if messages:
            raise StoreError(f"{directory.path} holds {messages} messages; a backup is put back into an empty queue")
    yield generation + 1, number
    if generation:
        directory.remove_store(generation)


def _mail_in(path: str) -> tuple[int, int]:
    connection = apsw.Connection(path, vfs=CHECKED)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        row = connection.execute("SELECT (SELECT count(*) FROM message), (SELECT max(next_number) FROM ledger)").get
        return cast("tuple[int, int]", row)
    except apsw.Error as error:
        raise StoreError(f"{path}: {error}; run posthouse queue verify") from error
    finally:
        connection.close()
