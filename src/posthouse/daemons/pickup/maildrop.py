"""maildrop/: what sendmail left there while the system was down.

Anybody may write there, so nothing about a file is believed but what the kernel says: a regular file with one link,
complete when its mode is 0444; its owner is the submitter. Others' junk is logged and removed; what is not complete is
left for a day. One user's files are taken in bounded number and size per run, so that he cannot hold up the others.

A message of Postfix's sendmail is in Postfix's own form, which we do not read: it is kept, and the log says so.
"""

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from posthouse.util import log
from posthouse.util.files import close_done

COMPLETE: Final = 0o444  # sendmail sets it after file and directory are synced
INCOMPLETE_S: Final = 86400.0  # a file that is still being written after this is junk
OF_POSTFIX: Final = stat.S_IXUSR  # Postfix's sendmail sets it when a message is complete


@dataclass(slots=True)
class DroppedFile:
    """A complete file; the descriptor is open for reading."""

    name: str
    descriptor: int
    uid: int
    size: int
    arrival: float


class Maildrop:
    """The directory."""

    def __init__(self, path: str, *, files_per_user: int, bytes_per_user: int) -> None:
        self._path = path
        self._files, self._bytes = files_per_user, bytes_per_user
        self._held: set[int] = set()
        self._stuck = 0
        self._of_postfix: list[str] = []
        self._told: list[str] = []  # those that were of Postfix when the log said so last

    def hold(self, uid: int) -> None:
        """Leave this user's other files to the next run: one of them cannot be taken now."""
        self._held.add(uid)

    def scan(self) -> Iterator[DroppedFile]:
        """Open every complete file, first name first; the caller closes the descriptors."""
        self._held.clear()
        self._stuck = 0
        self._of_postfix.clear()
        yield from self._complete_files()
        if self._stuck > 1:
            log.warning(f"maildrop: {self._stuck} entries in all cannot be removed; remove them by hand")
        if self._of_postfix and self._of_postfix != self._told:
            self._told = self._of_postfix[:]
            log.warning(
                f"maildrop/{self._of_postfix[0]}: from Postfix's sendmail, so it waits for Postfix"
                f" ({len(self._of_postfix)} in all); let programs call Posthouse's sendmail (docs/moving.md)"
            )

    def _complete_files(self) -> Iterator[DroppedFile]:
        try:
            names = sorted(os.listdir(self._path))
        except OSError as error:
            log.warning(f"maildrop: {error}")
            return
        taken: dict[int, tuple[int, int]] = {}
        for name in names:
            found = self._open(name)
            if found is None:
                continue
            files, size = taken.get(found.uid, (0, 0))
            is_over = files >= self._files or (files and size + found.size > self._bytes)
            if is_over or found.uid in self._held:
                close_done(found.descriptor)
                continue
            taken[found.uid] = files + 1, size + found.size
            yield found

    def remove(self, name: str) -> None:
        """Unlink a file that is committed, or junk."""
        path = os.path.join(self._path, name)
        try:
            if stat.S_ISDIR(os.lstat(path).st_mode):
                os.rmdir(path)
            else:
                os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._stuck += 1
            if self._stuck == 1:  # a directory with something in it; thousands of them must not fill the log
                log.warning(f"maildrop/{name}: cannot remove: {error.strerror}")

    def _open(self, name: str) -> DroppedFile | None:
        path = os.path.join(self._path, name)
        try:
            before = os.lstat(path)
            if not stat.S_ISREG(before.st_mode) or before.st_nlink != 1:
                if not self._stuck:
                    log.warning(f"maildrop/{name}: uid {before.st_uid}: not a plain file with one link; junk")
                self.remove(name)
                return None
            if stat.S_IMODE(before.st_mode) != COMPLETE:
                if before.st_mode & OF_POSTFIX:
                    self._of_postfix.append(name)
                elif time.time() - before.st_ctime > INCOMPLETE_S:  # nobody can set that one
                    log.warning(f"maildrop/{name}: uid {before.st_uid}: never completed; junk")
                    self.remove(name)
                return None
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            log.warning(f"maildrop/{name}: {error.strerror}")
            return None
        now = os.fstat(descriptor)
        if _identity(now) != _identity(before):  # a number may have been used again, for a file of another type
            close_done(descriptor)
            return None
        return DroppedFile(name, descriptor, now.st_uid, now.st_size, min(now.st_mtime, time.time()))


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mode, status.st_uid, status.st_nlink
