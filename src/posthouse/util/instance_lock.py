"""One master at a time: exclusive locks on pid/master.pid and master.lock, the same that Postfix's master takes."""

import fcntl
import os

from posthouse.util.fatal import Fatal


def lock_instance(queue_directory: str, data_directory: str) -> list[int]:
    """Take both locks for the life of the process, and write our process number.

    Raises Fatal: somebody has one. What is open then closes with the process, which cannot go on.
    """
    held = []
    for path in (f"{queue_directory}/pid/master.pid", f"{data_directory}/master.lock"):
        try:
            held.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Fatal(f"the mail system is already running: {path} is locked by {holder(path)}") from None
        except OSError as error:
            raise Fatal(f"open lock file {path}: {error.strerror}") from None
    os.ftruncate(held[0], 0)
    os.pwrite(held[0], b"%32d\n" % os.getpid(), 0)  # the width that Postfix's master writes
    return held


def holder(path: str) -> str:
    """Say who wrote the file: "process 123", or "another process"."""
    with open(path, "rb") as file:
        number = file.read(64).strip()
    return f"process {number.decode()}" if number.isdigit() else "another process"  # octets: ASCII digits only
