"""$queue_directory/posthouse: the lock, the generations of the store file, the mark of a failed one. Files only.

A store lives in `store-N.sqlite` (with SQLite's `-wal` beside it); N grows by one each time a failed store was copied.
The highest N that has its final name is the store, so there is no moment in which two files claim to be it, and an old
`-wal` can never be taken for the new store's. `FAILED` says "N reason": generation N reported an error on write or
sync and must not be written to again. It lies outside the store, because the store is what cannot be trusted.
`corrupt/` has what was damaged, for the operator; nothing there is read again.
"""

import errno
import fcntl
import os
import pwd
import re
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from posthouse.queue.hold import HoldFile
from posthouse.queue.values import StoreError, StoreLockedError
from posthouse.util.files import sync_directory

DIRECTORY_MODE: Final = 0o700  # qmgr's user and nobody else
FILE_MODE: Final = 0o600
_STORE: Final = re.compile(r"store-([0-9]{1,9})\.sqlite", re.ASCII)
_OURS: Final = re.compile(
    r"LOCK|HOLD|FAILED|BACKUP|reserve|spool|corrupt|store-[0-9]{1,9}\.sqlite(\.new)?(-wal|-shm|-journal)?", re.ASCII
)
_BESIDE: Final = ("-wal", "-shm", "-journal", "")  # what SQLite keeps beside a store, and the store
_MAX_MARK: Final = 2000  # bytes of the reason


class StoreDirectory:
    """The directory, locked by this process until `close`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.spool_path = os.path.join(path, "spool")
        self.corrupt_path = os.path.join(path, "corrupt")
        self._lock = -1

    def open(self, report: Callable[[str], None] = lambda _text: None) -> None:
        """Make what is missing, durably, and take the lock. report: told of rights that were put right.

        Raises StoreLockedError, StoreError (it belongs to somebody else), OSError.
        """
        for directory in (self.path, self.spool_path):
            try:
                os.mkdir(directory, DIRECTORY_MODE)
            except FileExistsError:
                self._settle_rights(directory, report)
                continue
            sync_directory(os.path.dirname(directory))
        self.lock()
        HoldFile(self.path).close()
        for name in self._store_files():
            self._settle_rights(os.path.join(self.path, name), report)

    def lock(self) -> None:
        """Take the lock; nothing else is made or changed. Raises StoreLockedError, OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        self._lock = os.open(os.path.join(self.path, "LOCK"), flags, FILE_MODE)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
            self.close()
            raise StoreLockedError(f"the queue in {self.path} is in use by process {holder}") from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _store_files(self) -> list[str]:
        return [name for name in os.listdir(self.path) if name.startswith("store-") and _OURS.fullmatch(name)]

    def _settle_rights(self, path: str, report: Callable[[str], None]) -> None:
        """See that a file or directory is ours and nobody else's. Raises StoreError, OSError."""
        found = os.lstat(path)
        is_directory = stat.S_ISDIR(found.st_mode)
        if not is_directory and not stat.S_ISREG(found.st_mode):
            raise StoreError(f"{path} is neither a file nor a directory; move it away")
        if not os.access(path, os.R_OK | os.W_OK | (os.X_OK if is_directory else 0)):
            raise StoreError(
                f"{path} belongs to {_user(found.st_uid)} with mode {stat.S_IMODE(found.st_mode):04o}; "
                f"it has to belong to {_user(os.geteuid())} (chown -R {_user(os.geteuid())} {self.path})"
            )
        mode = stat.S_IMODE(found.st_mode)
        if mode & 0o077 and found.st_uid == os.geteuid():
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.fchmod(descriptor, mode & 0o700)
            finally:
                os.close(descriptor)
            report(f"{path} had mode {mode:04o}: others could read the queue; now it has {mode & 0o700:04o}")

    def close(self) -> None:
        """Release the lock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def generations(self) -> list[int]:
        """Every store file with its final name, oldest first."""
        found = (_STORE.fullmatch(name) for name in os.listdir(self.path))
        return sorted(int(match[1]) for match in found if match is not None)

    def store_path(self, generation: int) -> str:
        """Where the store of this generation is."""
        return os.path.join(self.path, f"store-{generation}.sqlite")

    def foreign(self) -> list[str]:
        """Names of what is here and is not ours."""
        return sorted(name for name in os.listdir(self.path) if not _OURS.fullmatch(name))

    def lone_log(self) -> int:
        """The highest generation of which only the log is here; 0: there is none."""
        names = set(os.listdir(self.path))
        logs = (_STORE.fullmatch(name.removesuffix("-wal")) for name in names if name.endswith("-wal"))
        return max((int(log[1]) for log in logs if log is not None and log[0] not in names), default=0)

    def create_store_file(self, generation: int) -> str:
        """Make an empty store file with the right mode; returns its temporary name."""
        path = self.store_path(generation) + ".new"
        self.remove_files([path])
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
        return path

    def adopt_store_file(self, generation: int) -> None:
        """Give the finished store file that was created its name, durably: from now on it is the store."""
        path = self.store_path(generation)
        descriptor = os.open(path + ".new", os.O_RDWR | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(path + ".new", path)
        sync_directory(self.path)

    def remove_store(self, generation: int) -> None:
        """Delete a store that a later one has replaced."""
        self.remove_files([self.store_path(generation)])

    def remove_files(self, paths: Sequence[str]) -> None:
        """Delete store files with what SQLite keeps beside them."""
        for path in paths:
            for end in _BESIDE:
                with suppress(FileNotFoundError):
                    os.unlink(path + end)
        sync_directory(self.path)

    def set_aside(self, generation: int) -> str:
        """Move a damaged store and its log to `corrupt`, over nothing that is there; returns its name there."""
        self.make_corrupt()
        name = free_name(os.path.join(self.corrupt_path, f"store-{generation}"), ".sqlite")
        for end in _BESIDE:
            with suppress(FileNotFoundError):
                move(self.store_path(generation) + end, name + end)
        sync_directory(self.corrupt_path)
        sync_directory(self.path)
        return name

    def make_corrupt(self) -> None:
        """Make the directory for what is damaged."""
        with suppress(FileExistsError):
            os.mkdir(self.corrupt_path, DIRECTORY_MODE)
            sync_directory(self.path)

    def failed(self) -> tuple[int, str] | None:
        """Read the mark: which generation failed, and why."""
        try:
            descriptor = os.open(self._mark, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            text = os.read(descriptor, _MAX_MARK).decode("utf-8", "replace")
        finally:
            os.close(descriptor)
        number, _, reason = text.strip().partition(" ")
        # A mark that was cut short by the same trouble counts for whatever store there is.
        return (int(number) if re.fullmatch("[0-9]{1,9}", number) else (self.generations() or [0])[-1], reason)

    def mark_failed(self, generation: int, reason: str) -> str:
        """Write the mark. Returns why it could not be written; empty: it is durable."""
        try:
            descriptor = os.open(self._mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                os.write(descriptor, f"{generation} {reason}\n".encode("utf-8", "replace")[:_MAX_MARK])
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            sync_directory(self.path)
        except OSError as error:
            return str(error)
        return ""

    def clear_failed(self) -> None:
        """Remove the mark: its generation is not the store any more."""
        with suppress(FileNotFoundError):
            os.unlink(self._mark)
            sync_directory(self.path)

    @property
    def _mark(self) -> str:
        return os.path.join(self.path, "FAILED")


def move(source: str, target: str) -> None:
    """Rename a file into another directory of the store; where our rules forbid that (Landlock version 1), copy it."""
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with open(source, "rb") as reader, open(target, "xb", opener=_private) as writer:
            shutil.copyfileobj(reader, writer)
            writer.flush()
            os.fsync(writer.fileno())
        os.unlink(source)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)


def free_name(start: str, end: str = "") -> str:
    """The first of `start` + `end`, `start`.1 + `end` … that does not exist."""
    name, number = start + end, 0
    while os.path.lexists(name) or os.path.lexists(name + "-wal"):
        number += 1
        name = f"{start}.{number}{end}"
    return name


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
