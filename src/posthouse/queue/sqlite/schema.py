"""The store file: its tables, its settings, and how it is opened. What the tables mean is told in docs/queue.md.

`message` and `recipient` are what is asked for; content lies apart, so that no listing reads past it. A recipient's
key is the message's key times 2^20 plus rcpt_id: the recipients of a message, and of neighbouring messages, are
neighbours. Fresh mail is in one index beside its queue ID's (message_due); the domain's holds tried recipients only.
`ledger` gets one row in each transaction: counts, the next queue-ID number, and the queue IDs that it removed.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Final, cast

import apsw

from posthouse.queue.sqlite.layer import CHECKED, reserve_checksums
from posthouse.queue.sqlite.log import PAGE_SIZE, is_cut_short, is_too_short

VERSION: Final = 1
APPLICATION_ID: Final = 0x50485132  # "PHQ2", for file(1): a store whose pages have checksums
WITHOUT_CHECKSUMS: Final = 0x50485131  # "PHQ1": one made before there were any, or on a file layer of a test
RECIPIENT_BITS: Final = 20
RECIPIENT_SPAN: Final = 1 << RECIPIENT_BITS

CACHE_KIB: Final = 8192  # of pages, taken as they are needed
CHECKPOINT_BYTES: Final = 16 * 1024 * 1024  # of WAL: its recovery at start stays below 50 ms
HELD_BYTES: Final = 1024 * 1024 * 1024  # of WAL that may gather while somebody reads the store
WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024  # a WAL that grew larger is cut back
STATEMENT_CACHE: Final = 250
_FAILED_CALLS: Final = {
    apsw.SQLITE_IOERR_READ: "read",
    apsw.SQLITE_IOERR_WRITE: "write",
    apsw.SQLITE_IOERR_TRUNCATE: "truncate",
    apsw.SQLITE_IOERR_FSYNC: "sync",
    apsw.SQLITE_IOERR_DIR_FSYNC: "sync of the directory",
}

_MAKE: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI  # ATTACH names a layer

# States of a message, in the order of values.QUEUE_NAMES and of the counts in `ledger`.
S_INCOMING, S_DEFERRED, S_HOLD, S_CORRUPT = range(4)

SCHEMA: Final = f"""
CREATE TABLE message (
    key INTEGER PRIMARY KEY,
    queue_id TEXT NOT NULL UNIQUE,
    state INTEGER NOT NULL,
    due REAL,                      -- NULL: on hold or corrupt
    arrival REAL NOT NULL,
    size INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    recipient_count INTEGER NOT NULL,
    sender TEXT NOT NULL,          -- like all addresses: BLOB when it is not valid UTF-8
    attributes BLOB NOT NULL,
    spool TEXT                     -- name of the content's file; NULL: it is in `content`
);
CREATE INDEX message_due ON message (due) WHERE due IS NOT NULL;
CREATE INDEX message_spool ON message (spool) WHERE spool IS NOT NULL;
CREATE TABLE recipient (
    key INTEGER PRIMARY KEY,       -- message key * {RECIPIENT_SPAN} + rcpt_id
    address TEXT NOT NULL,
    domain TEXT NOT NULL,          -- of address, lower case
    original TEXT NOT NULL,
    dsn_orcpt TEXT NOT NULL,
    notify INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL,
    dsn TEXT,
    text TEXT,
    relay TEXT,
    remote_mta TEXT,
    diagnostic TEXT,
    action TEXT,
    finished REAL
);
CREATE INDEX recipient_domain ON recipient (domain) WHERE attempts > 0 AND state = 0;
CREATE TABLE content (
    key INTEGER PRIMARY KEY,       -- the message's
    data BLOB NOT NULL
);
CREATE TABLE ledger (
    batch INTEGER PRIMARY KEY,
    incoming INTEGER NOT NULL,
    deferred INTEGER NOT NULL,
    hold INTEGER NOT NULL,
    corrupt INTEGER NOT NULL,
    next_number INTEGER NOT NULL,
    removed TEXT NOT NULL          -- queue IDs, separated by spaces
);
INSERT INTO ledger VALUES (1, 0, 0, 0, 0, 1, '');
PRAGMA user_version = {VERSION};
"""

_SETTINGS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a sync in each commit, before it is acknowledged
    "PRAGMA secure_delete = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA wal_autocheckpoint = 0",  # the engine does it, after the acknowledgements
    f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}",
    f"PRAGMA cache_size = -{CACHE_KIB}",
)


def create(path: str, vfs: str | None = None) -> apsw.Connection:
    """Make the tables of a store in an empty file; `finish` before it gets its name. Raises apsw.Error."""
    connection = apsw.Connection(path, vfs=vfs or CHECKED, flags=_MAKE)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        if vfs is None:
            reserve_checksums(connection)
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = FULL")
        with transaction(connection):
            connection.execute(SCHEMA)
            identity = APPLICATION_ID if vfs is None else WITHOUT_CHECKSUMS
            connection.execute(f"PRAGMA application_id = {identity}")
    except BaseException:
        connection.close()
        raise
    return connection


def finish(connection: apsw.Connection) -> None:
    """Close a store that was made, as a file that `connect` need not change."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def connect(path: str, vfs: str | None = None) -> apsw.Connection:
    """Open a store file with our settings. Raises apsw.Error; NotADBError also when it is empty; ValueError."""
    connection = apsw.Connection(path, statementcachesize=STATEMENT_CACHE, vfs=vfs or CHECKED)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # before the first access: no shared memory file
        check_version(path, cast("int", connection.execute("PRAGMA user_version").get))
        for setting in _SETTINGS:
            connection.execute(setting)
    except BaseException:
        leave(connection)
        raise
    return connection


def check_version(path: str, version: int) -> None:
    """Raise NotADBError: it is no store at all; ValueError: it is one of another program."""
    if version == 0:
        raise apsw.NotADBError("the file holds no store")
    if version != VERSION:
        raise ValueError(f"{path} has version {version} of the queue, this program knows version {VERSION}")


def files_problem(connection: apsw.Connection, path: str) -> str:
    """Say what SQLite does not notice: a log that goes on behind a damaged place, a file that ends too early.

    Nobody may write meanwhile. Raises apsw.Error, OSError.
    """
    pages = cast("int", connection.execute("PRAGMA page_count").get)
    frames, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    if is_cut_short(path + "-wal", frames):
        return f"the log is damaged behind frame {frames}"
    return f"the file ends before page {pages}" if is_too_short(path, pages, frames) else ""


def reason_of(error: BaseException, number: int = 0) -> str:
    """What SQLite said, for the mark of a failed store. number: errno of the system call behind it, where known."""
    code = getattr(error, "extendedresult", 0)  # SQLite's errors have one
    is_checksum = code == apsw.SQLITE_IOERR_DATA
    said = "a page does not match its checksum" if is_checksum else str(error)
    if isinstance(error, apsw.IOError) and code in _FAILED_CALLS:
        said += f", {_FAILED_CALLS[code]}" + (f": {os.strerror(number)}" if number else "")
    return f"{'CorruptError' if is_checksum else type(error).__name__}: {said}"


def is_damage(reason: str) -> bool:
    """Whether such a mark says that the file is damaged, and not that the disk failed."""
    return "CorruptError: " in reason or "NotADBError: " in reason


def leave(connection: apsw.Connection) -> None:
    """Close a store without copying its log into it."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    with contextlib.suppress(apsw.Error):
        connection.close(True)


@contextlib.contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """Run a block as one transaction."""
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def roll_back(connection: apsw.Connection) -> None:
    """End a transaction that failed, if SQLite has not done it."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
