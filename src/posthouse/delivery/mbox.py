"""Appending to an mbox file, as the user: locks, a From_ line, ">" before body lines that begin with "From ".

A write that fails is undone by truncating the file to what it was. When this process or the machine dies in the middle
of a write, a part of the message stays; the next one begins behind an empty line all the same, so that it is found. The
file must be a plain one with one link.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from typing import Final

from posthouse.delivery.ending import Ending
from posthouse.ipc.as_user import OVER_QUOTA, REFUSED, TRY_LATER, WriteMailbox
from posthouse.util.files import close_done

LOCK_ATTEMPTS: Final = 20  # postconf(5) deliver_lock_attempts
LOCK_DELAY_S: Final = 1.0  # postconf(5) deliver_lock_delay
STALE_DOTLOCK_S: Final = 500.0  # postconf(5) stale_lock_time


def append(job: WriteMailbox, content: bytes) -> None:
    """Append one message. Raises Ending, OSError."""
    if job.path == os.devnull:
        return  # how aliases(5) throws mail away; no other device is written to
    with contextlib.ExitStack() as locks:
        if "dotlock" in job.locks:
            locks.enter_context(_dotlock(job.path))
        descriptor, made = _open(job.path)
        locks.callback(close_done, descriptor)
        _check(descriptor, job)
        _lock(descriptor, job.locks)
        size = os.fstat(descriptor).st_size
        message = _gap(descriptor, size) + job.from_line + job.head + quote_from(content)
        message += b"\n" if content.endswith(b"\n") else b"\n\n"
        if job.size_limit and size + len(message) > job.size_limit:
            raise Ending(OVER_QUOTA, f"cannot append message to file {job.path}: mailbox size limit reached")
        try:
            _write(descriptor, message)
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    if made:
        _sync_directory(os.path.dirname(job.path))


def _gap(descriptor: int, size: int) -> bytes:
    """Give what is missing for an empty line before a message: nothing, unless the last one is not whole."""
    end = os.pread(descriptor, 2, max(size - 2, 0))
    if size == 0 or end == b"\n\n":
        return b""
    return b"\n" if end.endswith(b"\n") else b"\n\n"


def quote_from(content: bytes) -> bytes:
    """Put ">" before lines that begin with "From "."""
    if content.startswith(b"From "):
        content = b">" + content
    return content.replace(b"\nFrom ", b"\n>From ")


def _open(path: str) -> tuple[int, bool]:
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags), False
    except FileNotFoundError:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600), True


def _check(descriptor: int, job: WriteMailbox) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise Ending(REFUSED, f"{job.path}: not a plain file with one link")
    if job.strict_owner and status.st_uid != os.geteuid():
        raise Ending(TRY_LATER, f"{job.path}: mailbox is not owned by the recipient")
    if status.st_mode & 0o111:
        raise Ending(REFUSED, f"{job.path}: is executable, not delivering to it")


def _lock(descriptor: int, locks: list[str]) -> None:
    for attempt in range(LOCK_ATTEMPTS):
        try:
            if "fcntl" in locks:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if "flock" in locks:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            if attempt + 1 < LOCK_ATTEMPTS:
                time.sleep(LOCK_DELAY_S)
        else:
            return
    raise Ending(TRY_LATER, "unable to lock the mailbox for exclusive access")


@contextlib.contextmanager
def _dotlock(path: str) -> Iterator[None]:
    """Hold PATH.lock. Where the directory may not be written to, the other locks must do (as in Postfix)."""
    name = path + ".lock"
    for _ in range(LOCK_ATTEMPTS):
        try:
            close_done(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            with contextlib.suppress(OSError):
                if time.time() - os.lstat(name).st_mtime > STALE_DOTLOCK_S:
                    os.unlink(name)
                    continue
            time.sleep(LOCK_DELAY_S)
        except PermissionError:
            yield
            return
        else:
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(name)
            return
    raise Ending(TRY_LATER, f"unable to create lock file {name}")


def _write(descriptor: int, message: bytes) -> None:
    view = memoryview(message)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_directory(path: str) -> None:
    """A spool directory may be unreadable for its users; then the file system's own ordering must do."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        os.sync()
        return
    try:
        os.fsync(descriptor)
    finally:
        close_done(descriptor)
