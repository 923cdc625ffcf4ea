"""What keeps the store well beside mail: reading the ledger at start, sweeping orphans, checking, copying.

Everything here goes in steps that hold up a batch by milliseconds, except `verify`.
"""

import os
import shutil
from collections.abc import Iterable
from typing import Final, cast

import apsw

from posthouse.queue.directory import DIRECTORY_MODE
from posthouse.queue.spool import Spool
from posthouse.queue.sqlite.removed import GENERATION, Removed
from posthouse.queue.sqlite.schema import RECIPIENT_SPAN, transaction
from posthouse.queue.values import Counts
from posthouse.util.files import sync_directory

SWEEP_FILES: Final = 500  # looked at in one step
BACKUP_PAGES: Final = 256  # copied in one step: 2 MB


_MESSAGES: Final = "(SELECT key FROM message)"
_COUNT: Final = f"""(SELECT count(*) FROM recipient AS r WHERE r.key
    BETWEEN message.key * {RECIPIENT_SPAN} AND message.key * {RECIPIENT_SPAN} + {RECIPIENT_SPAN - 1})"""
_CHECKS: Final = {  # each finds what must not be there
    "no content": "SELECT queue_id FROM message WHERE spool IS NULL AND key NOT IN (SELECT key FROM content)",
    "recipients are missing": f"SELECT queue_id FROM message WHERE recipient_count != {_COUNT}",
    "content without a message": f"SELECT 'key ' || key FROM content WHERE key NOT IN {_MESSAGES}",
    "recipients without a message": f"SELECT DISTINCT 'key ' || key / {RECIPIENT_SPAN} FROM recipient "
    f"WHERE key / {RECIPIENT_SPAN} NOT IN {_MESSAGES}",
}


def read_ledger(connection: apsw.Connection, removed: Removed) -> tuple[int, Counts, int]:
    """Read where the store stands: number of the last batch, counts, next queue-ID number; fill in `removed`."""
    batch, *counts, next_number = cast(
        "tuple[int, ...]",
        connection.execute(
            "SELECT batch, incoming, deferred, hold, corrupt, next_number FROM ledger ORDER BY batch DESC LIMIT 1"
        ).get,
    )
    latest: list[tuple[int, list[str]]] = []
    known = 0
    rows = connection.execute("SELECT batch, removed FROM ledger WHERE removed != '' ORDER BY batch DESC")
    for number, text in cast("Iterable[tuple[int, str]]", rows):
        latest.append((number, text.split(" ")))
        known += len(latest[-1][1])
        if known >= 2 * GENERATION:
            break
    for number, queue_ids in reversed(latest):
        removed.add(queue_ids, number)
    return batch, Counts(*counts), next_number


class Sweep:
    """Deletes, when nothing else is to be done, spool files without a row and ledger rows that nobody needs."""

    def __init__(self, connection: apsw.Connection, spool: Spool) -> None:
        self._connection = connection
        self._spool = spool
        self._names = spool.names()  # only what was there at start: later ones may be on their way to a commit
        self._before = 0

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to sweep."""
        return not self._names and not self._before

    def forget_ledger_before(self, batch: int) -> None:
        """Ledger rows older than `batch` may go."""
        self._before = batch

    def step(self) -> bool:
        """Do a little; returns whether that was all."""
        if self._before:
            before, self._before = self._before, 0
            with transaction(self._connection):
                self._connection.execute("DELETE FROM ledger WHERE batch < ?", (before,))
        names, self._names = self._names[:SWEEP_FILES], self._names[SWEEP_FILES:]
        if names:
            rows = self._connection.execute(
                "SELECT spool FROM message WHERE spool IN (SELECT value FROM carray(?))", (apsw.carray(tuple(names)),)
            )
            kept = {name for (name,) in cast("Iterable[tuple[str]]", rows)}
            self._spool.remove(name for name in names if name not in kept)
        return self.is_done


def verify(connection: apsw.Connection, spool: Spool) -> list[str]:
    """Check the file's structure, and that every message has its content and recipients, and nothing is left over."""
    problems = [str(text) for (text,) in connection.execute("PRAGMA quick_check") if text != "ok"]
    for text, statement in _CHECKS.items():
        problems += [f"{name}: {text}" for (name,) in connection.execute(statement)]
    files = set(spool.names())
    rows = connection.execute("SELECT queue_id, spool FROM message WHERE spool IS NOT NULL")
    problems += [f"{queue_id}: no content" for queue_id, name in rows if name not in files]
    counts = connection.execute(
        "SELECT total(state = 0), total(state = 1), total(state = 2), total(state = 3) FROM message"
    ).get
    ledger = connection.execute("SELECT incoming, deferred, hold, corrupt FROM ledger ORDER BY batch DESC LIMIT 1").get
    if tuple(map(int, cast("tuple[float, ...]", counts))) != ledger:
        problems.append(f"counts are {ledger}, should be {counts}")
    return problems


class Backup:
    """A copy of the store in a directory of its own, made in steps while mail goes on; its end is its moment."""

    def __init__(self, connection: apsw.Connection, spool: Spool, path: str) -> None:
        self._spool = spool
        self._path = path
        os.mkdir(path, DIRECTORY_MODE)
        os.mkdir(os.path.join(path, "spool"), DIRECTORY_MODE)
        self._target = apsw.Connection(os.path.join(path, "store-1.sqlite"))
        self._target.execute("PRAGMA synchronous = FULL")
        self._backup = self._target.backup("main", connection, "main")

    def step(self) -> bool:
        """Copy some pages; with the last ones the spool files. Raises apsw.Error, OSError."""
        if not self._backup.step(BACKUP_PAGES):
            return False
        self._backup.finish()
        rows = self._target.execute("SELECT spool FROM message WHERE spool IS NOT NULL").fetchall()
        for (name,) in cast("list[tuple[str]]", rows):
            source, target = os.path.join(self._spool.path, name), os.path.join(self._path, "spool", name)
            try:
                os.link(source, target)
            except OSError:  # another file system
                shutil.copyfile(source, target)
        self.close()
        sync_directory(os.path.join(self._path, "spool"))
        sync_directory(self._path)
        return True

    def close(self) -> None:
        """Give the files back."""
        self._backup.close(True)
        self._target.close(True)
