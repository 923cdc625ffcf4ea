"""What several packages do with files. Sources: close(2), open(2), fifo(7)."""

import errno
import os
import stat
from contextlib import suppress


def close_done(descriptor: int) -> None:
    """Close what was read, or was synced: an error of close says nothing new then, and the descriptor is gone."""
    with suppress(OSError):
        os.close(descriptor)


def sync_directory(path: str) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_regular(path: str, limit: int) -> bytes:
    """Read up to limit octets of a file by a name that somebody wrote down: a FIFO there would hang whoever opens it.

    Raises OSError; EINVAL: it is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", path)
        return file.read(limit)
