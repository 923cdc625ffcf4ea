"""Writing to a Maildir, as the user. No locks are needed: a file has its final name only when it is complete."""

import contextlib
import os
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from posthouse.delivery import durable
from posthouse.util.files import close_done, sync_directory

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_sequence = 0


class Draft(NamedTuple):
    """A message in tmp/, complete but perhaps not durable yet."""

    directory: str  # the Maildir
    temporary: str
    descriptor: int
    device: int
    inode: int
    host: str


def write(directory: str, host: str, head: bytes, content: bytes) -> Draft:
    """Write a file into tmp/; `deliver` makes it mail. Raises OSError."""
    temporary = "/".join((directory, "tmp", _temporary_name(host)))
    try:
        descriptor = os.open(temporary, _FLAGS, 0o600)
    except FileNotFoundError:
        make(directory)
        descriptor = os.open(temporary, _FLAGS, 0o600)
    try:
        _write_all(descriptor, head, content)
        status = os.fstat(descriptor)
    except BaseException:
        close_done(descriptor)
        os.unlink(temporary)
        raise
    return Draft(directory, temporary, descriptor, status.st_dev, status.st_ino, host)


def deliver(drafts: Sequence[Draft]) -> list[OSError | None]:
    """Make drafts mail: contents to the disk, files into new/, that durable. Returns what failed, by position.

    A file whose content could not be written is taken away. One whose name may not be durable stays: it is complete,
    and better twice than not at all.
    """
    ordered = all(durable.in_order(draft.device) for draft in drafts)
    failed = durable.write_out([draft.descriptor for draft in drafts], ordered=ordered)
    for number, draft in enumerate(drafts):
        failed[number] = failed[number] or _move(draft)
        close_done(draft.descriptor)
        if failed[number] is not None:
            with contextlib.suppress(OSError):
                os.unlink(draft.temporary)
    moved = [(f"{draft.directory}/new", draft.device) for draft, error in zip(drafts, failed, strict=True) if not error]
    unsynced = durable.sync_directories(moved)
    return [error or unsynced.get(f"{draft.directory}/new") for draft, error in zip(drafts, failed, strict=True)]


def _move(draft: Draft) -> OSError | None:
    now = time.time_ns()
    name = f"{now // 10**9}.V{draft.device:x}I{draft.inode:x}M{now // 1000 % 10**6}.{draft.host}"
    path = f"{draft.directory}/new/{name}"
    try:
        try:
            os.rename(draft.temporary, path)
        except FileNotFoundError:  # there was a tmp/, but there is no new/
            make(draft.directory)
            os.rename(draft.temporary, path)
    except OSError as error:
        return error
    return None


def make(directory: str) -> None:
    """Make the Maildir and its three parts, durably, with the directories above it. Raises OSError.

    tmp/ comes last, when the others are on the disk: whoever finds it finds a whole Maildir.
    """
    parent = os.path.dirname(directory.rstrip("/"))
    os.makedirs(parent, 0o700, exist_ok=True)
    for path in (directory, f"{directory}/new", f"{directory}/cur"):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
    for path in (directory, parent):
        sync_directory(path)
    with contextlib.suppress(FileExistsError):
        os.mkdir(os.path.join(directory, "tmp"), 0o700)


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
