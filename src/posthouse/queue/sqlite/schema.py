"""The store file: its tables, its settings, and how it is opened. What the tables mean is told in docs/queue.md.

`message` and `recipient` are what is asked for; content lies apart, so that no listing reads past it. A recipient's
key is the message's key times 2^20 plus rcpt_id: the recipients of a message, and of neighbouring messages, are
neighbours. Fresh mail is in one index beside its queue ID's (message_due); the domain's holds tried recipients only.
`ledger` gets one row in each transaction: counts, the next queue-ID number, and the queue IDs that it removed.
"""

import contextlib
from collections.abc import Iterator
from typing import Final, cast

import apsw

VERSION: Final = 1
APPLICATION_ID: Final = 0x50485131  # "PHQ1", for file(1)
RECIPIENT_BITS: Final = 20
RECIPIENT_SPAN: Final = 1 << RECIPIENT_BITS

PAGE_SIZE: Final = 4096  # bytes; docs/adr/0004 has the comparison
CACHE_KIB: Final = 8192  # of pages, taken as they are needed
CHECKPOINT_BYTES: Final = 16 * 1024 * 1024  # of WAL: its recovery at start stays below 50 ms
WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024  # a WAL that grew larger is cut back
STATEMENT_CACHE: Final = 250

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
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""

_SETTINGS: Final = (
    f"PRAGMA page_size = {PAGE_SIZE}",  # takes effect in an empty file only
    "PRAGMA locking_mode = EXCLUSIVE",  # before the first access: then there is no shared memory file
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a sync in each commit, before it is acknowledged
    "PRAGMA secure_delete = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA wal_autocheckpoint = 0",  # the engine does it, after the acknowledgements
    f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}",
    f"PRAGMA cache_size = -{CACHE_KIB}",
)


def connect(path: str, vfs: str | None = None) -> apsw.Connection:
    """Open a store file with our settings, making its tables when it is new. Raises apsw.Error, ValueError."""
    connection = apsw.Connection(path, statementcachesize=STATEMENT_CACHE, vfs=vfs)
    try:
        for setting in _SETTINGS:
            connection.execute(setting)
        _settle_schema(connection, path, cast("int", connection.execute("PRAGMA user_version").get))
    except BaseException:
        connection.close()
        raise
    return connection


def _settle_schema(connection: apsw.Connection, path: str, version: int) -> None:
    if version == 0:
        with transaction(connection):
            connection.execute(SCHEMA)
    elif version != VERSION:
        raise ValueError(f"{path} has version {version} of the queue, this program knows version {VERSION}")


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
