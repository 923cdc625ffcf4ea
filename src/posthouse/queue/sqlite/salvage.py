"""A failed or damaged store is copied, never continued: every row that can be read goes into the next generation.

Invariant: until the new file has its final name, and name and content are synced, the old one is untouched and is the
store. It is read as an image (image_layer.py), so nothing can write to it. Rows that cannot be reached by their tables
are looked for on every page; where the list of free pages is lost as well it cannot be known whether a row was removed
before, and its message goes to the corrupt queue. So does a message that lost content or recipients. When anything was
damaged the old files stay in `corrupt/`, with the parts of messages whose envelope is lost.
"""

import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, cast
from urllib.parse import quote

import apsw

from posthouse.queue.directory import StoreDirectory
from posthouse.queue.sqlite import parts
from posthouse.queue.sqlite.check import FUTURE_S
from posthouse.queue.sqlite.image_layer import layer_of
from posthouse.queue.sqlite.pages import Image
from posthouse.queue.sqlite.schema import RECIPIENT_BITS, S_DEFERRED, check_version, create, finish, roll_back
from posthouse.queue.sqlite.writes import Transaction
from posthouse.queue.values import FOREVER

_TABLES: Final = (("message", "key"), ("recipient", "key"), ("content", "key"), ("ledger", "batch"))
_RUN: Final = 1024  # rows copied in one transaction while all is well
_LAST_KEY: Final = (1 << 63) - 1
_UNREADABLE: Final = (apsw.CorruptError, apsw.IOError, apsw.NotADBError, apsw.SQLError, apsw.ConstraintError)
_NUMBERS_SKIPPED: Final = 1_000_000  # queue-ID numbers left out when the ledger's last rows may be lost
Progress = Callable[[str, int], None]  # table, rows so far


@dataclass(slots=True)
class Salvaged:
    """What a copy brought over, for the log."""

    generation: int = 0
    messages: int = 0
    unreadable: list[str] = field(default_factory=list)  # "table: keys a to b: why"
    lost_pages: int = 0  # of the log
    found: int = 0  # rows that were found page by page
    doubtful: set[int] = field(default_factory=set)  # keys of messages that may have been removed before
    lost: list[parts.Lost] = field(default_factory=list)
    aside: str = ""  # where the damaged store is now

    @property
    def is_damaged(self) -> bool:
        """Whether the old store was."""
        return bool(self.unreadable or self.lost_pages or self.lost)

    def __str__(self) -> str:
        """One line for the log."""
        text = f"copied {self.messages} messages to store {self.generation}"
        if self.is_damaged:
            places = len(self.unreadable) + self.lost_pages
            text += f"; {places} places unreadable, {self.found} rows found all the same"
            text += f", {len(self.lost)} messages not whole; the damaged store is {self.aside}"
        return text


def salvage(
    directory: StoreDirectory,
    old: int,
    vfs: str | None = None,
    *,
    aside: bool = False,
    progress: Progress = lambda _table, _rows: None,
) -> Salvaged:
    """Copy generation `old` to the next one and make that the store.

    vfs: the file layer of the new one. aside: keep the old one in `corrupt/` even when nothing was lost.
    Raises apsw.Error, OSError: the old one stays; ValueError: it has another version.
    """
    result = Salvaged(generation=old + 1)
    path = directory.store_path(old)
    connection = create(directory.create_store_file(result.generation), vfs)
    try:
        connection.execute("DELETE FROM ledger")
        _copy(connection, path, result, progress)
        result.lost = parts.set_aside(connection, directory, old, sorted(result.doubtful))
        if result.is_damaged:
            result.lost += parts.save_lone_files(connection, directory, old)
        _settle_times(connection, forever=not aside)
        _close_books(connection, result)
        finish(connection)
    finally:
        connection.close()
    directory.adopt_store_file(result.generation)
    if result.is_damaged or aside:
        result.aside = directory.set_aside(old)
    directory.remove_store(old)
    directory.clear_failed()
    return result


def _copy(connection: apsw.Connection, path: str, result: Salvaged, progress: Progress) -> None:
    image = Image(path)
    try:
        if image.version:
            check_version(path, image.version)
        result.lost_pages = len(image.log.lost)
        with layer_of(image) as layer, _attached(connection, path, layer):
            for table, key in _TABLES:
                _copy_table(connection, (table, key), result, progress)
        if result.unreadable:
            _look_everywhere(connection, image, result)
    finally:
        image.close()


@contextmanager
def _attached(connection: apsw.Connection, path: str, layer: str) -> Iterator[None]:
    """Have the old store's tables as old.*; when it cannot be read at all each table's copy says so."""
    with suppress(*_UNREADABLE):
        connection.execute("ATTACH ? AS old", (f"file:{quote(path)}?vfs={layer}&mode=ro",))
    try:
        yield
    finally:
        with suppress(*_UNREADABLE):
            connection.execute("DETACH old")


def _copy_table(connection: apsw.Connection, table: tuple[str, str], result: Salvaged, progress: Progress) -> None:
    """Copy all rows in runs; where a run cannot be read, in ever shorter ones."""
    after = -1
    run = _RUN
    rows = 0
    while after < _LAST_KEY:
        try:
            last, count = _copy_run(connection, table, after, run)
        except _UNREADABLE as error:
            roll_back(connection)
            if run > 1:
                run = max(1, run // 4)
                continue
            last = _next_readable(connection, *table, after)
            result.unreadable.append(f"{table[0]}: keys {after + 1} to {last}: {error}")
        else:
            run = min(run * 2, _RUN)
            rows += count
            progress(table[0], rows)
        if last is None:
            return
        after = last


def _copy_run(connection: apsw.Connection, names: tuple[str, str], after: int, run: int) -> tuple[int | None, int]:
    """Copy the next rows in a transaction; returns the last key, None when there were none, and how many there were."""
    table, key = names
    connection.execute("BEGIN")
    connection.execute(
        f"INSERT OR REPLACE INTO main.{table} SELECT * FROM old.{table} WHERE {key} > ? ORDER BY {key} LIMIT ?",
        (after, run),
    )
    count = connection.changes()
    last = connection.execute(f"SELECT max({key}) FROM main.{table} WHERE {key} > ?", (after,)).get
    connection.execute("COMMIT")
    return cast("int | None", last), count


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


def _look_everywhere(connection: apsw.Connection, image: Image, result: Salvaged) -> None:
    """Add the rows that their tables do not lead to any more."""
    free = image.free_pages()
    before = connection.total_changes()
    with connection:
        for row in image.rows(free or set()):
            marks = ",".join("?" * len(row.values))
            connection.execute(f"INSERT OR IGNORE INTO main.{row.table} VALUES ({marks})", row.values)
            if free is None and connection.changes() and row.table != "ledger":
                result.doubtful.add(row.key >> RECIPIENT_BITS if row.table == "recipient" else row.key)
    result.found = connection.total_changes() - before
    if result.doubtful:
        _forget_removed(connection, result)


def _forget_removed(connection: apsw.Connection, result: Salvaged) -> None:
    """Delete again what the ledger knows to have been removed."""
    gone = {name for (text,) in connection.execute("SELECT removed FROM ledger") for name in str(text).split(" ")}
    keys = array("q", result.doubtful)
    rows = connection.execute(
        "SELECT key, queue_id FROM message WHERE key IN (SELECT value FROM carray(?))", (apsw.carray(keys),)
    )
    removed = [(key, queue_id) for key, queue_id in cast("list[tuple[int, str]]", rows.fetchall()) if queue_id in gone]
    transaction = Transaction(connection, [0] * 4, 0, storable=True)
    with connection:
        transaction.remove(removed)
    result.doubtful.difference_update(key for key, _ in removed)


def _settle_times(connection: apsw.Connection, *, forever: bool) -> None:
    """Let mail that waits for no time at all be due now. forever: and believe times in a far future."""
    now = time.time()
    connection.execute(
        f"UPDATE message SET due = ? WHERE state <= {S_DEFERRED} AND (due IS NULL OR due NOT BETWEEN 0 AND ?)",
        (now, FOREVER if forever else now + FUTURE_S),
    )


def _close_books(connection: apsw.Connection, result: Salvaged) -> None:
    """Write a ledger row that tells the truth."""
    counts = connection.execute(
        "SELECT count(*), total(state = 0), total(state = 1), total(state = 2), total(state = 3) FROM message"
    ).get
    result.messages, *states = map(int, cast("tuple[float, ...]", counts))
    batch, number = cast(
        "tuple[int, int]",
        connection.execute("SELECT ifnull(max(batch), 0), ifnull(max(next_number), 1) FROM ledger").get,
    )
    if result.is_damaged:
        number += _NUMBERS_SKIPPED
    connection.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, '')", (batch + 1, *states, number))
