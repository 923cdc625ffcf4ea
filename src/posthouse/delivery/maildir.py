"""Writing to a Maildir, as the user. No locks are needed: a file has its final name only when it is complete."""

import os
import time
from typing import Final

_PARTS: Final = ("tmp", "new", "cur")
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_sequence = 0


def write(directory: str, host: str, head: bytes, content: bytes) -> None:
    """Write a file into tmp/, sync it, move it to new/. The caller syncs new/ (`sync`). Raises OSError."""
    temporary = os.path.join(directory, "tmp", _temporary_name(host))
    try:
        descriptor = os.open(temporary, _FLAGS, 0o600)
    except FileNotFoundError:
        make(directory)
        descriptor = os.open(temporary, _FLAGS, 0o600)
    try:
        _write_all(descriptor, head, content)
        os.fsync(descriptor)
        status = os.fstat(descriptor)
        now = time.time_ns()
        name = f"{now // 10**9}.V{status.st_dev:x}I{status.st_ino:x}M{now // 1000 % 10**6}.{host}"
        os.rename(temporary, f"{directory}/new/{name}")
    except BaseException:
        os.unlink(temporary)
        raise
    finally:
        os.close(descriptor)


def sync(directory: str) -> None:
    """Make what was moved to new/ durable."""
    descriptor = os.open(f"{directory}/new", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make(directory: str) -> None:
    """Make the Maildir and its three parts, durably, with the directories above it. Raises OSError."""
    parent = os.path.dirname(directory.rstrip("/"))
    os.makedirs(parent, 0o700, exist_ok=True)
    for path in (directory, *(f"{directory}/{part}" for part in _PARTS)):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            continue
    for path in (directory, parent):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _temporary_name(host: str) -> str:
    global _sequence  # noqa: PLW0603 - a process-wide counter is what makes names unique
    _sequence += 1
    return f"{int(time.time())}.P{os.getpid()}Q{_sequence}.{host}"


def _write_all(descriptor: int, head: bytes, content: bytes) -> None:
    pieces = [head, content]
    if not content.endswith(b"\n"):
        pieces.append(b"\n")
    total = sum(map(len, pieces))
    sent = os.writev(descriptor, pieces)
    if sent < total:
        view = memoryview(b"".join(pieces))[sent:]
        while view:
            view = view[os.write(descriptor, view) :]
