"""Is the store what it should be: the file's structure, each message's rows and content, spool files, times.

Reads only. A message in the corrupt queue is known to be damaged and is not looked at. Each finding says what is
wrong and, where it is not for `posthouse queue repair`, what to do.
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

import apsw

from posthouse.queue.directory import StoreDirectory
from posthouse.queue.spool import is_spool_name
from posthouse.queue.sqlite.parts import spool_problem
from posthouse.queue.sqlite.schema import RECIPIENT_BITS, RECIPIENT_SPAN, S_CORRUPT, S_DEFERRED, S_HOLD
from posthouse.queue.values import QUEUE_NAMES, UNTOLD

STORE, MESSAGE, SPOOL, FOREIGN, CLOCK = "store", "message", "spool", "foreign", "clock"  # kinds of findings
FUTURE_S: Final = 30 * 86400.0  # a next attempt later than this is a clock's mistake
CLOCK_S: Final = 86400.0  # how far clocks may be apart
ORPHAN_AGE_S: Final = 60.0  # younger files without a row may be on their way into the store

_OF: Final = f"BETWEEN m.key * {RECIPIENT_SPAN} AND m.key * {RECIPIENT_SPAN} + {RECIPIENT_SPAN - 1}"
_LIVE: Final = f"m.state != {S_CORRUPT}"
_CHECKS: Final = {  # what is wrong: a query that finds it
    "no content": f"SELECT queue_id FROM message AS m WHERE {_LIVE} AND spool IS NULL "
    "AND NOT EXISTS (SELECT 1 FROM content AS c WHERE c.key = m.key)",
    "content is not as long as recorded": f"SELECT queue_id FROM message AS m JOIN content AS c ON c.key = m.key "
    f"WHERE {_LIVE} AND (length(data) != size OR spool IS NOT NULL)",
    "recipients are missing": f"SELECT queue_id FROM message AS m WHERE {_LIVE} AND recipient_count != "
    f"(SELECT count(*) FROM recipient AS r WHERE r.key {_OF})",
    "unknown state": f"SELECT queue_id FROM message AS m WHERE state NOT BETWEEN 0 AND {S_CORRUPT}",
    "unknown state of a recipient": "SELECT queue_id FROM message AS m WHERE key IN "
    f"(SELECT key >> {RECIPIENT_BITS} FROM recipient WHERE state NOT BETWEEN 0 AND {UNTOLD} OR attempts < 0)",
    "waits, but has no time for its next attempt": "SELECT queue_id FROM message AS m "
    f"WHERE state <= {S_DEFERRED} AND due IS NULL",
    "is held, but has a time for its next attempt": "SELECT queue_id FROM message AS m "
    f"WHERE state >= {S_HOLD} AND due IS NOT NULL",
    "content without a message": "SELECT 'key ' || key FROM content WHERE key NOT IN (SELECT key FROM message)",
    "recipients without a message": f"SELECT DISTINCT 'key ' || (key >> {RECIPIENT_BITS}) FROM recipient "
    f"WHERE key >> {RECIPIENT_BITS} NOT IN (SELECT key FROM message)",
}
_TIMES: Final = "SELECT queue_id, due, arrival FROM message AS m WHERE due NOT BETWEEN 0 AND ? OR arrival > ?"
_COUNTS: Final = "SELECT total(state = 0), total(state = 1), total(state = 2), total(state = 3) FROM message"
_LEDGER: Final = "SELECT incoming, deferred, hold, corrupt FROM ledger ORDER BY batch DESC LIMIT 1"


class Finding(NamedTuple):
    """Something that is not as it should be."""

    kind: str  # STORE, MESSAGE, SPOOL, FOREIGN, CLOCK
    name: str  # a queue ID, a file's name, or empty
    text: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.name}: {self.text}" if self.name else self.text


@dataclass(slots=True)
class Numbers:
    """How much there is."""

    queues: dict[str, int] = field(default_factory=dict)
    recipients: int = 0
    spool_files: int = 0
    octets: int = 0  # of content, wherever it is


def check_rows(connection: apsw.Connection, now: float) -> Iterator[Finding]:
    """Look at everything in the store file; a page that cannot be read is one finding, and the rest goes on."""
    steps = (_structure, _rows, _times, _ledger)
    for step in steps:
        try:
            yield from step(connection, now)
        except (apsw.CorruptError, apsw.IOError, apsw.NotADBError) as error:
            yield Finding(STORE, "", f"{step.__name__.strip('_')}: cannot be read: {error}")


def _structure(connection: apsw.Connection, _now: float) -> Iterator[Finding]:
    for (text,) in cast("Iterable[tuple[str]]", connection.execute("PRAGMA integrity_check")):
        if text != "ok":
            yield Finding(STORE, "", " ".join(text.split()))


def _rows(connection: apsw.Connection, _now: float) -> Iterator[Finding]:
    for text, statement in _CHECKS.items():
        for (name,) in cast("Iterable[tuple[str]]", connection.execute(statement)):
            yield Finding(MESSAGE, name, text)


def _times(connection: apsw.Connection, now: float) -> Iterator[Finding]:
    rows = connection.execute(_TIMES, (now + FUTURE_S, now + CLOCK_S))
    for queue_id, due, arrival in cast("Iterable[tuple[str, float | None, float]]", rows):
        if due is not None and not 0 <= due <= now + FUTURE_S:
            yield Finding(MESSAGE, queue_id, f"its next attempt is {(due - now) / 86400:.0f} days away")
        else:
            days = (arrival - now) / 86400
            yield Finding(CLOCK, queue_id, f"it arrives {days:.0f} days from now; look at the clock")


def _ledger(connection: apsw.Connection, _now: float) -> Iterator[Finding]:
    counts = tuple(int(each) for each in cast("tuple[float, ...]", connection.execute(_COUNTS).get))
    ledger = connection.execute(_LEDGER).get
    if counts != ledger:
        yield Finding(STORE, "", f"the ledger counts {ledger}, the messages are {counts} ({', '.join(QUEUE_NAMES)})")


def check_spool(
    connection: apsw.Connection, directory: StoreDirectory, names: list[str], is_online: bool
) -> Iterator[Finding]:
    """Compare the spool files with the rows that name them. names: what was there before the rows were read."""
    known: set[str] = set()
    rows = connection.execute("SELECT spool, queue_id, state, size FROM message WHERE spool IS NOT NULL")
    for name, queue_id, state, size in cast("Iterable[tuple[str, str, int, int]]", rows):
        known.add(name)
        problem = spool_problem(os.path.join(directory.spool_path, name), size)
        if problem and state != S_CORRUPT:
            yield Finding(MESSAGE, queue_id, f"its content, spool file {name}, {problem}")
    for name in sorted(names):
        if name in known:
            continue
        if not is_spool_name(name):
            yield Finding(FOREIGN, f"spool/{name}", "not the queue's; move it away")
        elif not is_online or _age(os.path.join(directory.spool_path, name)) > ORPHAN_AGE_S:
            yield Finding(SPOOL, f"spool/{name}", "belongs to no message")


def _age(path: str) -> float:
    """Seconds since it was named; 0: it is gone."""
    try:
        return time.time() - os.lstat(path).st_ctime
    except FileNotFoundError:
        return 0.0


def check_directory(directory: StoreDirectory, generation: int) -> Iterator[Finding]:
    """Look at what lies in the directory beside the store."""
    for name in directory.foreign():
        yield Finding(FOREIGN, name, "not the queue's; move it away")
    failed = directory.failed()
    if failed is not None:
        yield Finding(STORE, "", f"store {failed[0]} failed ({failed[1]}); it is copied at the next start")
    for other in directory.generations():
        if other != generation:
            yield Finding(STORE, f"store-{other}.sqlite", "was replaced by a newer one; deleted at the next start")


def count(connection: apsw.Connection) -> Numbers:
    """Count what there is."""
    states = cast("tuple[float, ...]", connection.execute(_COUNTS).get)
    numbers = Numbers({name: int(each) for name, each in zip(QUEUE_NAMES, states, strict=True)})
    numbers.recipients = int(connection.execute("SELECT count(*) FROM recipient").get)
    found = connection.execute("SELECT count(spool), ifnull(sum(size), 0) FROM message").get
    numbers.spool_files, numbers.octets = cast("tuple[int, int]", found)
    return numbers
