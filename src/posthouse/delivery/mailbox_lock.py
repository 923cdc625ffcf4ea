"""Locks of an mbox file, as local(8) and other mail programs take them: PATH.lock, fcntl(2), flock(2).

Source: postconf(5), mailbox_delivery_lock.
"""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from posthouse.delivery.ending import Ending
from posthouse.ipc.as_user import TRY_LATER
from posthouse.util.files import close_done

STYLES: Final = ("flock", "fcntl", "dotlock")


class Patience(NamedTuple):
    """How long a lock is tried for (postconf(5) deliver_lock_attempts, deliver_lock_delay, stale_lock_time)."""

    attempts: int
    delay_s: float
    stale_s: float


def lock_descriptor(descriptor: int, styles: Sequence[str], patience: Patience) -> None:
    """Take the kernel's locks of an open file. Raises Ending: somebody has them; OSError."""
    for attempt in range(patience.attempts):
        try:
            if "fcntl" in styles:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if "flock" in styles:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            if attempt + 1 < patience.attempts:
                time.sleep(patience.delay_s)
        else:
            return
    raise Ending(TRY_LATER, "unable to lock the mailbox for exclusive access")


@contextlib.contextmanager
def hold_dotlock(path: str, patience: Patience) -> Iterator[None]:
    """Hold PATH.lock. Where the directory may not be written to, the other locks must do (as in Postfix).

    Raises Ending: somebody has it; OSError.
    """
    name = path + ".lock"
    for _ in range(patience.attempts):
        try:
            close_done(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            with contextlib.suppress(OSError):
                if time.time() - os.lstat(name).st_mtime > patience.stale_s:
                    os.unlink(name)
                    continue
            time.sleep(patience.delay_s)
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
