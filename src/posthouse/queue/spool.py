"""Large content in files of its own: $queue_directory/posthouse/spool, one file a message.

A file has no name while it is written (O_TMPFILE), so a crash leaves nothing behind. `publish` syncs it, gives it its
name and syncs the directory; only then may the row that names it be committed. From then on it is opened for reading
only. What has a name but no row (a crash between the two, or between a removal and its unlink) is swept at start.

A file whose sync failed is never synced again: the kernel forgets the error and would call it written. Its message is
refused, the file dropped. A failed sync of the directory is the whole store's failure (OSError from `publish`).
Knows files only, no messages and no rows. Sources: open(2) O_TMPFILE, fcntl(2) F_SETLEASE; design section 4.
"""

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from posthouse.util.files import close_done

MODE: Final = 0o400  # nobody writes to it again, not even its owner
_PREFIX_UNNAMED: Final = "tmp-"  # where O_TMPFILE does not work: named, swept at start
_NAME: Final = re.compile(r"(tmp-)?[0-9a-f]{24}", re.ASCII)
_LEASE_UNKNOWN: Final = (errno.EINVAL, errno.EACCES, errno.ENOSYS, errno.ENOTSUP)


class SpoolFile:
    """A file that is being written. `descriptor` may be lent (SCM_RIGHTS); its holder closes it before the commit."""

    __slots__ = ("descriptor", "name", "size", "temporary")

    def __init__(self, descriptor: int, name: str, temporary: str) -> None:
        self.descriptor = descriptor
        self.name = name
        self.temporary = temporary
        self.size = 0  # octets, known when it is published

    @property
    def is_open(self) -> bool:
        """Whether it was neither published nor dropped yet."""
        return self.descriptor >= 0

    def close(self) -> None:
        """Close our descriptor."""
        if self.descriptor >= 0:
            close_done(self.descriptor)
            self.descriptor = -1


class SpoolContent:
    """Content as a read-only descriptor, at offset 0. Whoever asked for it closes it."""

    __slots__ = ("descriptor", "size")

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self.size = size

    def close(self) -> None:
        """Close the descriptor, once."""
        if self.descriptor >= 0:
            close_done(self.descriptor)
            self.descriptor = -1


class Spool:
    """The spool directory. `create` and `drop` are for the event loop, the rest for the store's thread."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Give the directory back."""
        close_done(self._directory)

    def create(self) -> SpoolFile:
        """Make an empty file, open for writing. Raises OSError: no room, no descriptors."""
        name = secrets.token_hex(12)
        try:
            return SpoolFile(os.open(self.path, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600), name, "")
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
                raise
        temporary = _PREFIX_UNNAMED + name
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return SpoolFile(os.open(temporary, flags, 0o600, dir_fd=self._directory), name, temporary)

    def drop(self, file: SpoolFile) -> None:
        """Forget a file that will not be committed."""
        file.close()
        if file.temporary:
            self._unlink(file.temporary)

    def publish(self, files: Iterable[SpoolFile]) -> dict[SpoolFile, str]:
        """Make files durable under their names. Returns those that could not be, with the reason; they are dropped.

        Raises OSError: the directory could not be synced; nothing in it can be relied upon.
        """
        refused: dict[SpoolFile, str] = {}
        for file in files:
            try:
                self._link(file)
            except OSError as error:
                refused[file] = f"spool file: {error.strerror}"
                self.drop(file)
        os.fsync(self._directory)
        return refused

    def _link(self, file: SpoolFile) -> None:
        _refuse_writers(file)
        os.fchmod(file.descriptor, MODE)
        os.fsync(file.descriptor)
        file.size = os.fstat(file.descriptor).st_size
        source = file.temporary or f"/proc/self/fd/{file.descriptor}"
        directory = self._directory if file.temporary else None
        os.link(source, file.name, src_dir_fd=directory, dst_dir_fd=self._directory, follow_symlinks=True)
        if file.temporary:
            os.unlink(file.temporary, dir_fd=self._directory)
            file.temporary = ""
        file.close()

    def open(self, name: str) -> SpoolContent:
        """Open content for reading. Raises OSError: it is not there, or no file."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO must not hold us up
        descriptor = os.open(name, flags, dir_fd=self._directory)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            close_done(descriptor)
            raise OSError(errno.EINVAL, "not a file")
        os.set_blocking(descriptor, True)
        return SpoolContent(descriptor, found.st_size)

    def remove(self, names: Iterable[str]) -> None:
        """Unlink files whose rows are gone. One that stays is an orphan for the next start."""
        for name in names:
            self._unlink(name)

    def names(self) -> list[str]:
        """Every file there is."""
        with os.scandir(self.path) as entries:
            return [entry.name for entry in entries]

    def _unlink(self, name: str) -> None:
        with suppress(OSError):
            os.unlink(name, dir_fd=self._directory)


def is_spool_name(name: str) -> bool:
    """Whether a spool file is called so; anything else in the directory is not ours."""
    return _NAME.fullmatch(name) is not None


def _refuse_writers(file: SpoolFile) -> None:
    """Make sure that nobody else can write to the file any more: the kernel grants a read lease only then.

    Raises OSError (EBUSY): a lent descriptor is still open.
    """
    reader = os.open(f"/proc/self/fd/{file.descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    close_done(file.descriptor)
    file.descriptor = reader
    try:
        fcntl.fcntl(reader, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            raise OSError(errno.EBUSY, "another process can still write to it") from error
        if error.errno not in _LEASE_UNKNOWN:  # a file system without leases: the writer's word must do
            raise
    else:
        fcntl.fcntl(reader, fcntl.F_SETLEASE, fcntl.F_UNLCK)
