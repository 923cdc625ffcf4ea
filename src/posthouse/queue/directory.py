"""$queue_directory/posthouse: the lock, the generations of the store file, and the mark of a failed one. Files only.

A store lives in `store-N.sqlite` (with SQLite's `-wal` beside it); N grows by one each time a failed store was copied.
The highest N that has its final name is the store, so there is no moment in which two files claim to be it, and an old
`-wal` can never be taken for the new store's. `FAILED` says "N reason": generation N reported an error on write or
sync and must not be written to again. It lies outside the store, because the store is what cannot be trusted.
"""

import fcntl
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from posthouse.queue.values import StoreLockedError
from posthouse.util.files import sync_directory

DIRECTORY_MODE: Final = 0o700  # qmgr's user and nobody else
FILE_MODE: Final = 0o600
_STORE: Final = re.compile(r"store-([0-9]{1,9})\.sqlite", re.ASCII)
_MAX_MARK: Final = 2000  # bytes of the reason


class StoreDirectory:
    """The directory, locked by this process until `close`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.spool_path = os.path.join(path, "spool")
        self._lock = -1

    def open(self) -> None:
        """Make what is missing, durably, and take the lock. Raises StoreLockedError, OSError."""
        for directory in (self.path, self.spool_path):
            try:
                os.mkdir(directory, DIRECTORY_MODE)
            except FileExistsError:
                continue
            sync_directory(os.path.dirname(directory))
        self._lock = os.open(os.path.join(self.path, "LOCK"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
            self.close()
            raise StoreLockedError(f"the queue in {self.path} is in use by process {holder}") from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

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

    def create_store_file(self, generation: int) -> str:
        """Make an empty store file with the right mode, known to the directory."""
        path = self.store_path(generation)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
        sync_directory(self.path)
        return path

    def remove_store(self, generation: int) -> None:
        """Delete a store that a later one has replaced."""
        self.remove_files([self.store_path(generation)])

    def remove_files(self, paths: Sequence[str]) -> None:
        """Delete store files with what SQLite keeps beside them."""
        for path in paths:
            for end in ("", "-wal", "-shm", "-journal"):
                with suppress(FileNotFoundError):
                    os.unlink(path + end)
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
