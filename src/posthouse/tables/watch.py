"""FileWatch: notice that a table's file has changed, at no more than one stat(2) a second."""

import contextlib
import os
import time
import weakref
from typing import Final, NamedTuple

INTERVAL_S: Final = 1.0  # between two looks at the file
_REPLACED: Final = -1  # as the inode of a file whose name is another's now


class Signature(NamedTuple):
    """What changes when a file is replaced or written to."""

    device: int
    inode: int
    size: int
    mtime_ns: int


class FileWatch:
    """Looks after one file.

    Another file under the name counts at once: it was renamed there, complete. The same file with other content counts
    when it has stood still for one interval, since it may be half written.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._held = -1
        _watches.add(self)
        self.loaded = self._signature()
        self._seen = self.loaded
        self._next = time.monotonic() + INTERVAL_S

    def changed(self, *, now: bool = False) -> bool:
        """Tell whether the file is another than the one loaded. now: look at once."""
        clock = time.monotonic()
        if clock < self._next and not now:
            return False
        self._next = clock + INTERVAL_S
        signature = self._signature()
        before, self._seen = self._seen, signature
        if signature is None or signature == self.loaded:
            return False
        return signature == before or before is None or signature.inode != before.inode

    @property
    def is_another_file(self) -> bool:
        """Whether, when last looked at, another file stood under the name."""
        seen, loaded = self._seen, self.loaded
        return seen is not None and (loaded is None or seen[:2] != loaded[:2])

    def accept(self) -> None:
        """Take the file as it was last seen as the one loaded."""
        self.loaded = self._seen

    def _signature(self) -> Signature | None:
        try:
            status = os.stat(self.path) if self._held < 0 else os.fstat(self._held)
        except OSError:
            return None  # gone, or out of reach for the moment: what was loaded stays good
        if self._held >= 0 and status.st_nlink == 0:
            return Signature(status.st_dev, _REPLACED, status.st_size, status.st_mtime_ns)
        return Signature(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def hold(self) -> None:
        """Watch the file that is there now, and no more its name."""
        with contextlib.suppress(OSError):
            self._held = os.open(self.path, os.O_PATH | os.O_CLOEXEC)


_watches: Final[weakref.WeakSet[FileWatch]] = weakref.WeakSet()


def hold_files() -> None:
    """Have every watch keep hold of its file: the root directory is about to change, and with it all names."""
    for watch in list(_watches):
        watch.hold()
