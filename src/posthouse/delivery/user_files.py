"""Reading a user's .forward or :include: file, as that user. What it says is untrusted; who could write it counts."""

import os
import stat

from posthouse.delivery.ending import Ending
from posthouse.ipc.as_user import NOT_FOUND, REFUSED
from posthouse.util.files import close_done


def read(path: str, size_limit: int) -> bytes:
    """Read at most size_limit octets. Raises Ending, OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # O_NONBLOCK: a FIFO must not hold us
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Ending(NOT_FOUND if stat.S_ISDIR(status.st_mode) else REFUSED, f"{path}: not a regular file")
        if status.st_mode & 0o002:
            raise Ending(REFUSED, f"{path}: is writable by everybody")
        if status.st_uid not in (0, os.geteuid()):
            raise Ending(REFUSED, f"{path}: belongs to somebody else")
        if status.st_size > size_limit:
            raise Ending(REFUSED, f"{path}: is too large")
        return os.read(descriptor, status.st_size)  # not more than it says: files in /proc, about ourselves, say none
    finally:
        close_done(descriptor)
