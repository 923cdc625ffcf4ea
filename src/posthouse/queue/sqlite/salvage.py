"""A failed store is copied, never continued: every row that can be read goes into a new file, the next generation.

Invariant: until the new file has its final name, and name and content are synced, the old one is untouched and is the
store. It is opened without its log being copied back (NO_CKPT_ON_CLOSE) and is only read. Rows that cannot be read are
left out in single steps; a message that lost content or recipients goes to the corrupt queue, and when anything at all
was lost the old file stays beside the new one as `damaged-N.sqlite`.
"""

import os
from dataclasses import dataclass, field
from typing import Final, cast

import apsw

from posthouse.queue.directory import FILE_MODE, StoreDirectory
from posthouse.queue.sqlite.schema import PAGE_SIZE, RECIPIENT_SPAN, S_CORRUPT, SCHEMA, roll_back
from posthouse.util.files import sync_directory

_TABLES: Final = (("message", "key"), ("recipient", "key"), ("content", "key"), ("ledger", "batch"))
_RUN: Final = 1024  # rows copied in one transaction while all is well
_LAST_KEY: Final = (1 << 63) - 1
_UNREADABLE: Final = (apsw.CorruptError, apsw.IOError, apsw.NotADBError, apsw.SQLError)
_NUMBERS_SKIPPED: Final = 1_000_000  # queue-ID numbers left out when the ledger's last rows may be lost


@dataclass(slots=True)
class Salvaged:
    """What a copy brought over, for the log."""

    generation: int = 0
    messages: int = 0
    unreadable: list[str] = field(default_factory=list)  # "table: keys a to b: why"
    corrupt: int = 0  # messages that lost something

    def __str__(self) -> str:
        """One line for the log."""
        lost = f", {len(self.unreadable)} places unreadable, {self.corrupt} messages corrupt" if self.unreadable else ""
        return f"copied {self.messages} messages to store {self.generation}{lost}"


def salvage(directory: StoreDirectory, old: int, vfs: str | None = None) -> Salvaged:
    """Copy generation `old` to the next one and make that the store. Raises apsw.Error, OSError: the old one stays."""
    result = Salvaged(generation=old + 1)
    final = directory.store_path(result.generation)
    temporary = final + ".new"
    directory.remove_files([temporary])
    os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    connection = apsw.Connection(temporary, vfs=vfs)
    try:
        _prepare(connection, directory.store_path(old))
        for table, key in _TABLES:
            _copy_table(connection, table, key, result)
        _repair(connection, result)
    finally:
        connection.close()
    descriptor = os.open(temporary, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, final)
    sync_directory(directory.path)
    _put_aside(directory, old, bool(result.unreadable))
    return result


def _prepare(connection: apsw.Connection, old_path: str) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    connection.execute("PRAGMA journal_mode = MEMORY")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(SCHEMA)
    connection.execute("DELETE FROM ledger")
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    try:
        connection.execute("ATTACH ? AS old", (old_path,))
        connection.execute("PRAGMA old.locking_mode = EXCLUSIVE")  # no shared memory file beside the old one
        connection.execute("SELECT count(*) FROM old.sqlite_schema")
    except _UNREADABLE:
        return  # then each table's copy says so


def _copy_table(connection: apsw.Connection, table: str, key: str, result: Salvaged) -> None:
    """Copy all rows in runs; where a run cannot be read, in ever shorter ones."""
    after = -1
    run = _RUN
    while after < _LAST_KEY:
        try:
            last = _copy_run(connection, table, key, (after, run))
        except _UNREADABLE as error:
            roll_back(connection)
            if run > 1:
                run = max(1, run // 4)
                continue
            last = _next_readable(connection, table, key, after)
            result.unreadable.append(f"{table}: keys {after + 1} to {last}: {error}")
        else:
            run = min(run * 2, _RUN)
        if last is None:
            return
        after = last


def _copy_run(connection: apsw.Connection, table: str, key: str, where: tuple[int, int]) -> int | None:
    """Copy the next rows in a transaction; returns the last key, None when there were none."""
    after, run = where
    connection.execute("BEGIN")
    connection.execute(
        f"INSERT OR REPLACE INTO main.{table} SELECT * FROM old.{table} WHERE {key} > ? ORDER BY {key} LIMIT ?",
        (after, run),
    )
    last = connection.execute(f"SELECT max({key}) FROM main.{table} WHERE {key} > ?", (after,)).get
    connection.execute("COMMIT")
    return cast("int | None", last)


def _next_readable(connection: apsw.Connection, table: str, key: str, after: int) -> int:
    """The last key to leave out so that the row behind it can be read; the largest key when none can."""
    bad, step = 0, 1
    found = _read_from(connection, table, key, after + 1)
    while found is None and step < 1 << 61:  # ever longer steps …
        bad, step = step, step * 2
        found = _read_from(connection, table, key, after + step)
    if found is None:
        return _LAST_KEY
    good = step
    while good - bad > 1:  # … then back to the shortest that will do
        middle = (good + bad) // 2
        nearer = _read_from(connection, table, key, after + middle)
        good, bad, found = (good, middle, found) if nearer is None else (middle, bad, nearer)
    return found - 1


def _read_from(connection: apsw.Connection, table: str, key: str, after: int) -> int | None:
    """The first key behind `after` if its row can be read; _LAST_KEY behind the last row; None: it cannot."""
    try:
        found = connection.execute(
            f"SELECT {key} FROM old.{table} WHERE {key} > ? ORDER BY {key} LIMIT 1", (after,)
        ).get
        connection.execute(f"SELECT * FROM old.{table} WHERE {key} = ?", (found,)).fetchall()
    except _UNREADABLE:
        return None
    return _LAST_KEY if found is None else cast("int", found)


def _repair(connection: apsw.Connection, result: Salvaged) -> None:
    """Set aside what lost a part, delete parts without a message, and write a ledger row that tells the truth."""
    connection.execute("BEGIN")
    span = f"r.key BETWEEN message.key * {RECIPIENT_SPAN} AND message.key * {RECIPIENT_SPAN} + {RECIPIENT_SPAN - 1}"
    if result.unreadable:
        connection.execute(
            f"UPDATE message SET state = {S_CORRUPT}, due = NULL WHERE (spool IS NULL AND key NOT IN "
            "(SELECT key FROM content)) OR recipient_count != (SELECT count(*) FROM recipient AS r WHERE " + span + ")"
        )
        result.corrupt = connection.changes()
    counts = connection.execute(
        "SELECT count(*), total(state = 0), total(state = 1), total(state = 2), total(state = 3) FROM message"
    ).get
    result.messages, *states = map(int, cast("tuple[float, ...]", counts))
    batch, number = cast(
        "tuple[int, int]",
        connection.execute("SELECT ifnull(max(batch), 0), ifnull(max(next_number), 1) FROM ledger").get,
    )
    if result.unreadable:
        number += _NUMBERS_SKIPPED
    connection.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, '')", (batch + 1, *states, number))
    connection.execute("COMMIT")


def _put_aside(directory: StoreDirectory, old: int, is_damaged: bool) -> None:
    path = directory.store_path(old)
    if is_damaged:
        kept = os.path.join(directory.path, f"damaged-{old}.sqlite")
        for end in ("-wal", ""):
            if os.path.exists(path + end):
                os.rename(path + end, kept + end)
        sync_directory(directory.path)
    directory.remove_store(old)
    directory.clear_failed()
