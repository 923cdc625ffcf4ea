"""A store as it stands at one moment, read by another process than the one that may have it open.

When nobody has it open we take the lock and keep it. Otherwise we hold the store still (hold.py) and read store file
and log as they are; the queue manager goes on meanwhile and notices nothing but a log that is not copied for a while.
A log that was copied completely before may begin anew once, over what we read; then we begin again as well.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple, TypeVar, cast

import apsw

from posthouse.queue.directory import StoreDirectory
from posthouse.queue.hold import HoldFile, OverruledError
from posthouse.queue.sqlite.layer import BESIDE
from posthouse.queue.sqlite.pages import first_page_problem
from posthouse.queue.sqlite.schema import check_version, files_problem, leave
from posthouse.queue.values import StoreError, StoreLockedError

T = TypeVar("T")
ATTEMPTS: Final = 3
_LOG_HEADER: Final = 32  # octets; those in the middle change when the log begins anew
_CACHE_KIB: Final = 65536  # a reader's own; integrity_check goes through indexes in their order


class Snapshot(NamedTuple):
    """The store's moment."""

    connection: apsw.Connection
    directory: StoreDirectory
    generation: int
    is_online: bool  # somebody else has the store open
    problem: str  # what was noticed about the files before anything was read; empty: nothing


@contextmanager
def locked(directory: StoreDirectory) -> Iterator[bool]:
    """Take the lock if nobody has it; gives whether we have it."""
    try:
        directory.lock()
    except StoreLockedError:
        yield False
        return
    try:
        yield True
    finally:
        directory.close()


def with_snapshot(directory: StoreDirectory, work: Callable[[Snapshot], T]) -> T:
    """Do something with a snapshot, again if it turns out not to have been one.

    Raises StoreError: there is no store, or it cannot be opened; OverruledError: mail needed the disk.
    """
    for attempt in range(ATTEMPTS):
        try:
            with locked(directory) as is_ours:
                return _once(directory, not is_ours, work)
        except OverruledError:
            if attempt + 1 == ATTEMPTS:
                raise
    raise AssertionError


def _once(directory: StoreDirectory, is_online: bool, work: Callable[[Snapshot], T]) -> T:
    hold = HoldFile(directory.path)
    try:
        with hold.held():
            generation = max(directory.generations(), default=0)
            if not generation:
                raise StoreError(f"{directory.path}: there is no store yet")
            if not is_online:
                return _alone(directory, generation, work)
            return _steady(directory, generation, hold, work)
    except apsw.Error as error:
        raise StoreError(f"{directory.path}: {error}") from error
    finally:
        hold.close()


def _alone(directory: StoreDirectory, generation: int, work: Callable[[Snapshot], T]) -> T:
    """Do the work while nobody has the store open."""
    log = directory.store_path(generation) + "-wal"
    had_log = os.path.exists(log)
    try:
        return _read(directory, generation, False, work)
    finally:
        if not had_log:
            with suppress(FileNotFoundError):
                os.unlink(log)  # SQLite made an empty one


def _steady(directory: StoreDirectory, generation: int, hold: HoldFile, work: Callable[[Snapshot], T]) -> T:
    """Do the work, once more if the log began anew meanwhile: while we hold the store that happens only once."""
    path = directory.store_path(generation)
    began = _log_header(path)
    result: T | None = None
    error: apsw.Error | StoreError | None = None
    try:
        result = _read(directory, generation, True, work)
    except (apsw.Error, StoreError) as problem:
        error = problem  # of a log that changed under our hands, perhaps
    hold.check()
    if _log_header(path) != began:
        result, error = _read(directory, generation, True, work), None
        hold.check()
    if error is not None:
        raise error
    return cast("T", result)


def _read(directory: StoreDirectory, generation: int, is_online: bool, work: Callable[[Snapshot], T]) -> T:
    path = directory.store_path(generation)
    problem = first_page_problem(path)
    connection = apsw.Connection(path, vfs=BESIDE, flags=apsw.SQLITE_OPEN_READONLY)
    try:
        if not problem:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # no shared memory file
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            check_version(path, int(connection.execute("PRAGMA user_version").get))
            if not is_online:
                problem = files_problem(connection, path)
            connection.execute("BEGIN")
        return work(Snapshot(connection, directory, generation, is_online, problem))
    except ValueError as error:
        raise StoreError(str(error)) from error
    finally:
        leave(connection)


def _log_header(path: str) -> bytes:
    try:
        with open(path + "-wal", "rb") as log:
            return log.read(_LOG_HEADER)
    except FileNotFoundError:
        return b""
