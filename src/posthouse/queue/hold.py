"""The hold: how another process reads a store that qmgr has open, without asking qmgr and without slowing mail.

SQLite only ever appends to the log and copies it into the store file now and then; while nobody copies, store file and
log up to a commit are a snapshot. So a reader holds `HOLD` shared (flock), and the engine takes it exclusively for the
moment of a copy, and for the moment in which it deletes spool files; when it cannot have it, it leaves both for later.

Mail goes before readers: when the log becomes too large, or the disk full, the engine overrules: it writes a number
into the file and goes on. A reader finds a number other than at its beginning and knows that it read nonsense.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

FILE_NAME: Final = "HOLD"
_MODE: Final = 0o600
_MAX_NUMBER: Final = 20  # digits
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


class OverruledError(Exception):
    """The queue manager needed the store for itself; what was read since the hold began is worth nothing."""


class HoldFile:
    """One end's descriptor of the file in the store's directory. Raises OSError when made."""

    def __init__(self, directory: str) -> None:
        path = os.path.join(directory, FILE_NAME)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, _MODE)

    def close(self) -> None:
        """Give it back, and the lock with it."""
        os.close(self._descriptor)

    # -- the engine's end

    @contextmanager
    def unless_held(self, *, overrule: bool = False) -> Iterator[bool]:
        """Keep readers out for a moment; gives False when one is in already. overrule: then tell it, and give True.

        On a full disk it may be impossible to tell it; then it is not overruled.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield overrule and self._tell_readers()
            return
        try:
            yield True
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _tell_readers(self) -> bool:
        """Write the next number; False: there is no room for it."""
        try:
            os.pwrite(self._descriptor, str(self.number() + 1).encode(), 0)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            return False
        return True

    # -- a reader's end

    @contextmanager
    def held(self) -> Iterator["HoldFile"]:
        """Keep the store still; waits for a copy that is under way."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        self._began = self.number()
        try:
            yield self
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def check(self) -> None:
        """Raise OverruledError if the engine went on all the same since the hold began."""
        if self.number() != self._began:
            raise OverruledError("the queue manager could not wait any longer; try again when there is less mail")

    def number(self) -> int:
        """How often readers were overruled."""
        text = os.pread(self._descriptor, _MAX_NUMBER, 0)
        return int(text) if text.isdigit() else 0
