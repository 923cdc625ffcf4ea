"""Appending to an mbox file, as the user: locks, a From_ line, ">" before body lines that begin with "From ".

A write that fails is undone by truncating the file to what it was. When this process or the machine dies in the middle
of a write, a part of the message stays; the next one begins behind an empty line all the same, so that it is found. The
file must be a plain one with one link.
"""

import contextlib
import os
import stat
from typing import Final

from posthouse.delivery.ending import Ending
from posthouse.delivery.mailbox_lock import Patience, hold_dotlock, lock_descriptor
from posthouse.ipc.as_user import OVER_QUOTA, REFUSED, TRY_LATER, WriteMailbox
from posthouse.util.files import close_done

OPEN_TRIES: Final = 5  # of a mailbox that others replace


def append(job: WriteMailbox, content: bytes) -> None:
    """Append one message. Raises Ending, OSError."""
    if job.path == os.devnull:
        return  # how aliases(5) throws mail away; no other device is written to
    with contextlib.ExitStack() as locks:
        if "dotlock" in job.locks:
            locks.enter_context(hold_dotlock(job.path, Patience(*job.patience)))
        descriptor, made = _open_locked(job, locks)
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


def _open_locked(job: WriteMailbox, locks: contextlib.ExitStack) -> tuple[int, bool]:
    """Open and lock the mailbox; whether it was made. Raises Ending, OSError.

    Who held the lock until now may have put another file in the place of the one that we had opened (a mail program
    that writes the mailbox anew, logrotate): what is appended to that one is seen by nobody.
    """
    for _ in range(OPEN_TRIES):
        descriptor, made = _open(job.path)
        locks.callback(close_done, descriptor)
        _check(descriptor, job)
        lock_descriptor(descriptor, job.locks, Patience(*job.patience))
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.lstat(job.path)):
                return descriptor, made
    raise Ending(TRY_LATER, f"{job.path}: was replaced by another file again and again")


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
