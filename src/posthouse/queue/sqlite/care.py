"""What an operator does to the store as a whole: verify it, repair it, copy it, put a copy back.

Each is one function on a queue directory, run by the queue's owner; it opens, locks and closes what it needs.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from posthouse.queue.directory import StoreDirectory
from posthouse.queue.hold import OverruledError
from posthouse.queue.sqlite import check, copies, tell
from posthouse.queue.sqlite.check import MESSAGE, SPOOL, STORE, Finding, Numbers
from posthouse.queue.sqlite.copies import DamagedError, Made, Progress, read_mark
from posthouse.queue.sqlite.salvage import Salvaged, salvage
from posthouse.queue.sqlite.snapshot import Snapshot, with_snapshot
from posthouse.queue.values import StoreError, StoreLockedError

__all__ = [
    "DamagedError",
    "Finding",
    "Made",
    "Numbers",
    "OverruledError",
    "Progress",
    "Repaired",
    "StoreError",
    "StoreLockedError",
    "Verified",
    "back_up",
    "read_mark",
    "repair",
    "restore",
    "verify",
]
WORTH_A_COPY: Final = (STORE, MESSAGE)  # findings that a new store puts right


@dataclass(slots=True)
class Verified:
    """What verify found."""

    generation: int = 0
    is_online: bool = False
    findings: list[Finding] = field(default_factory=list)
    numbers: Numbers | None = None  # None: the store cannot be read


@dataclass(slots=True)
class Repaired:
    """What repair did, or would do."""

    before: Verified
    salvaged: Salvaged | None = None
    orphans: list[str] = field(default_factory=list)  # removed

    @property
    def needs_copy(self) -> bool:
        """Whether the store had to be copied."""
        return any(finding.kind in WORTH_A_COPY for finding in self.before.findings)

    @property
    def is_needed(self) -> bool:
        """Whether there was anything to do."""
        return any(finding.kind in (*WORTH_A_COPY, SPOOL) for finding in self.before.findings)


def _directory(queue_directory: str) -> StoreDirectory:
    return StoreDirectory(os.path.join(queue_directory, "posthouse"))


def verify(queue_directory: str) -> Verified:
    """Check the queue, running or not; changes nothing. Raises StoreError, OverruledError, OSError."""
    return _verify(_directory(queue_directory))


def _verify(directory: StoreDirectory) -> Verified:
    lone = directory.lone_log()
    if lone > max(directory.generations(), default=0):
        text = "the store is gone, its log is here; what is in it is saved at the next start"
        return Verified(lone, findings=[Finding(STORE, f"store-{lone}.sqlite-wal", text)])
    names = os.listdir(directory.spool_path) if os.path.isdir(directory.spool_path) else []
    return with_snapshot(directory, lambda snapshot: _look(snapshot, names))


def _look(snapshot: Snapshot, names: list[str]) -> Verified:
    found = Verified(snapshot.generation, snapshot.is_online)
    found.findings += check.check_directory(snapshot.directory, snapshot.generation)
    if snapshot.problem:
        found.findings.append(Finding(STORE, f"store-{snapshot.generation}.sqlite", snapshot.problem))
        return found
    rows = list(check.check_rows(snapshot.connection, time.time()))
    found.findings += rows
    if not any(finding.kind == STORE for finding in rows):
        found.findings += check.check_spool(snapshot.connection, snapshot.directory, names, snapshot.is_online)
        found.numbers = check.count(snapshot.connection)
    return found


def repair(queue_directory: str, *, dry_run: bool, progress: Callable[[str, int], None]) -> Repaired:
    """Put the queue right, if anything is wrong with it. Nobody may have it open.

    The old store is kept in `corrupt/` as it was. Raises StoreLockedError, StoreError, OSError.
    """
    directory = _directory(queue_directory)
    before = _verify(directory)
    if before.is_online:
        raise StoreLockedError("the mail system is running; stop it first: postfix stop")
    result = Repaired(before)
    if dry_run or not result.is_needed:
        result.orphans = [finding.name for finding in before.findings if finding.kind == SPOOL]
        return result
    directory.open()
    try:
        _repair(directory, result, progress)
    finally:
        directory.close()
    return result


def _repair(directory: StoreDirectory, result: Repaired, progress: Callable[[str, int], None]) -> None:
    if result.needs_copy:
        generation = result.before.generation
        if generation not in directory.generations():  # of which only the log is left
            directory.create_store_file(generation)
            directory.adopt_store_file(generation)
        result.salvaged = salvage(directory, generation, aside=True, progress=progress)
    directory.close()
    after = _verify(directory)
    directory.open()
    for finding in after.findings:
        if finding.kind == SPOOL:
            os.unlink(os.path.join(directory.path, finding.name))
            result.orphans.append(finding.name)


def back_up(queue_directory: str, target: str, progress: Progress) -> Made:
    """Copy the queue, running or not, to a new directory."""
    return copies.back_up(_directory(queue_directory), target, progress)


def restore(queue_directory: str, source: str, progress: Progress) -> Made:
    """Put a backup into an empty queue that nobody has open."""
    return copies.restore(_directory(queue_directory), source, progress)


def told(result: Salvaged) -> list[str]:
    """What a copy of the store brought, in lines."""
    lines: list[str] = []
    tell(result, lines.append)
    return lines
