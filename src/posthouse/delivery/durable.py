"""Durable content and names for a batch of new files, with as few syncs as their file system allows.

Anywhere: sync each file, rename it, sync each directory. ext4 and XFS keep all changes in one journal in their order,
so a sync of the directory that changed last makes every change before it durable as well; there the contents only
have to be written out before the renames (which puts their blocks and sizes into the journal too), and a batch of any
size costs one sync (docs/adr/0009-one-sync-for-a-batch.md; tried by cutting the power in tests).
Sources: sync_file_range(2), fsync(2), proc_pid_mountinfo(5).
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

from posthouse.util.files import sync_directory

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
if hasattr(_LIBC, "sync_file_range"):
    _LIBC.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
_START: Final = 2  # SYNC_FILE_RANGE_WRITE
_COMPLETE: Final = 7  # SYNC_FILE_RANGE_WAIT_BEFORE | WRITE | WAIT_AFTER
_DEVICE, _SEPARATOR = 2, "-"  # of a line of mountinfo: field with major:minor; what ends the optional fields


@cache
def in_order(device: int) -> bool:
    """Whether a file system (its st_dev) is known to keep all its changes in one journal, in their order."""
    found = _mounted(device)
    if not hasattr(_LIBC, "sync_file_range") or found is None:
        return False
    kind, options = found
    if kind == "xfs":
        return True
    return kind == "ext4" and "data=journal" not in options and _has_journal(device)


def write_out(descriptors: Sequence[int], *, ordered: bool) -> list[OSError | None]:
    """Bring the contents of files to the disk, durably unless `ordered`; return what failed, by position."""
    if not ordered:
        return [_attempt(os.fsync, descriptor) for descriptor in descriptors]
    several = len(descriptors) > 1  # one alone is written and waited for in one call
    failed = [_attempt(_range, descriptor, _START) if several else None for descriptor in descriptors]
    for number in reversed(range(len(descriptors))):  # when the last is written, most are: so there is one wait
        failed[number] = failed[number] or _attempt(_range, descriptors[number], _COMPLETE)
    return failed


def sync_directories(changed: Sequence[tuple[str, int]]) -> dict[str, OSError]:
    """Make names durable; `changed`: directory and st_dev in the order of the changes. Returns what failed."""
    last: dict[str | int, str] = {}  # what is synced: the last directory of a device, or each directory
    for directory, device in changed:
        last[device if in_order(device) else directory] = directory
    errors = {key: _attempt(sync_directory, directory) for key, directory in last.items()}
    return {
        directory: error
        for directory, device in changed
        if (error := errors[device if in_order(device) else directory]) is not None
    }


def _attempt(action: Callable[..., None], *arguments: object) -> OSError | None:
    try:
        action(*arguments)
    except OSError as error:
        return error
    return None


def _range(descriptor: int, flags: int) -> None:
    if _LIBC.sync_file_range(descriptor, 0, 0, flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _mounted(device: int) -> tuple[str, list[str]] | None:
    """Give a mounted file system's type and options; None: not to be found."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        for fields in _mount_lines():
            if fields[_DEVICE] == wanted:
                kind, _source, options = fields[fields.index(_SEPARATOR) + 1 :][:3]
                return kind, options.split(",")
    except (OSError, ValueError, IndexError):
        pass
    return None


def _mount_lines() -> list[list[str]]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        return [line.split() for line in lines]


def _has_journal(device: int) -> bool:
    """Whether an ext4 has its journal: it can be made without."""
    try:
        name = os.path.basename(os.readlink(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))
        return any(entry.rpartition("-")[0] == name for entry in os.listdir("/proc/fs/jbd2"))
    except OSError:
        return False
