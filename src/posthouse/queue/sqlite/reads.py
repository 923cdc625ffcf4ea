"""What is asked of the store: due mail, listings, single messages. Every answer is bounded; none scans the queue.

Rows come back as they are in `schema`; text that was no UTF-8 comes back with surrogate escapes.
"""

from array import array
from collections.abc import Iterable
from typing import Final, cast

import apsw

from posthouse.ipc.showq import Listed, ListedRecipient
from posthouse.queue import values
from posthouse.queue.sqlite.schema import RECIPIENT_BITS, RECIPIENT_SPAN, S_DEFERRED
from posthouse.queue.sqlite.writes import Cell, storable_text
from posthouse.queue.values import DueKey, DuePage, Filter, Listing, Page, StoredMessage, StoredRecipient

Text = str | bytes | None  # a text column: bytes when it is no UTF-8
_MessageRow = tuple[int, str, int, float | None, float, int, int, int, Text, bytes, str | None]
_ListedRow = tuple[int, int, str, float, int, Text, int, int]
_ListedRecipientRow = tuple[int, Text, Text, Text, str, float, int]
_RecipientRow = tuple[
    int, Text, Text, Text, int, int, int, float | None, Text, Text, Text, Text, Text, Text, float | None
]

EXAMINED: Final = 5000  # messages that one page of a filtered listing looks at
TALLIED: Final = 5000  # messages that one step of a tally looks at

_MESSAGE: Final = "key, queue_id, state, due, arrival, size, flags, recipient_count, sender, attributes, spool"
_RECIPIENT: Final = (
    "r.key, address, original, dsn_orcpt, notify, state, attempts, due, dsn, text, relay, remote_mta, diagnostic, "
    "action, finished"
)
_KEYS: Final = "key IN (SELECT value FROM carray(?))"
_BELONGS: Final = f"r.key BETWEEN c.value * {RECIPIENT_SPAN} AND c.value * {RECIPIENT_SPAN}"
_RECIPIENTS: Final = f"""SELECT {_RECIPIENT} FROM carray(?) AS c
    CROSS JOIN recipient AS r ON {_BELONGS} + {values.RECIPIENT_PAGE}"""
_LISTED_RECIPIENTS: Final = f"""SELECT r.key, address, original, text, ifnull(dsn, ''), ifnull(due, 0.0), attempts
    FROM carray(?) AS c CROSS JOIN recipient AS r ON {_BELONGS} + {values.RECIPIENT_PAGE}
    WHERE state NOT IN ({values.DONE}, {values.UNTOLD}) ORDER BY r.key"""
_LAST_KEY: Final = 1 << (63 - RECIPIENT_BITS)
_OF_MESSAGE: Final = (
    f"r.key BETWEEN message.key * {RECIPIENT_SPAN} AND message.key * {RECIPIENT_SPAN} + {RECIPIENT_SPAN - 1}"
)
_TALLIES: Final = {  # column, table, what a window of message keys is multiplied with
    "sender": ("sender", "message", 1),
    "recipient": ("address", "recipient", RECIPIENT_SPAN),
    "domain": ("domain", "recipient", RECIPIENT_SPAN),
}


def due(connection: apsw.Connection, until: float, after: DueKey, limit: int) -> DuePage:
    """Find the next due messages in the order of message_due."""
    rows = _rows(
        connection,
        f"SELECT {_MESSAGE} FROM message WHERE (due, key) > (?, ?) AND due <= ? ORDER BY due, key LIMIT ?",
        (after.due, after.key, until, limit),
    )
    messages = _messages(connection, rows, f"state != {values.DONE}")
    if len(rows) == limit:
        return DuePage(messages, DueKey(messages[-1].due, messages[-1].key), False, None)
    later = connection.execute("SELECT min(due) FROM message WHERE due > ?", (until,)).get
    last = DueKey(messages[-1].due, messages[-1].key) if messages else after
    return DuePage(messages, last, True, later)


def due_domain(connection: apsw.Connection, domain: str, after: int, limit: int) -> Page:
    """Find deferred messages by recipient_domain."""
    found = connection.execute(
        f"SELECT DISTINCT key / {RECIPIENT_SPAN} FROM recipient WHERE domain = ? AND attempts > 0 AND state = 0 "
        "AND key >= ? ORDER BY key LIMIT ?",
        (domain, (after + 1) * RECIPIENT_SPAN, limit),
    )
    keys = [key for (key,) in cast("Iterable[tuple[int]]", found)]  # some may be on hold
    statement = f"SELECT {_MESSAGE} FROM message WHERE state = {S_DEFERRED} AND {_KEYS} ORDER BY key"
    rows = _rows(connection, statement, (apsw.carray(array("q", keys)),)) if keys else []
    return Page(_messages(connection, rows, f"state != {values.DONE}"), keys[-1] if keys else 0)


def get(connection: apsw.Connection, column: str, value: str | int) -> StoredMessage | None:
    """Find one message by its queue_id or key."""
    rows = _rows(connection, f"SELECT {_MESSAGE} FROM message WHERE {column} = ?", (value,))
    return _messages(connection, rows, "true")[0] if rows else None


def recipients(connection: apsw.Connection, key: int, after: int, limit: int) -> list[StoredRecipient]:
    """Read a message's recipients in their order."""
    first = key * RECIPIENT_SPAN
    rows = connection.execute(
        f"SELECT {_RECIPIENT} FROM recipient AS r WHERE key > ? AND key < ? ORDER BY key LIMIT ?",
        (first + after, first + RECIPIENT_SPAN, limit),
    )
    return [_recipient(row) for row in cast("Iterable[_RecipientRow]", rows)]


def page(connection: apsw.Connection, which: Filter, after: int, limit: int) -> Listing:
    """List messages in the order of their keys, which is the order they were committed in."""
    condition, bindings = where(which)
    last, is_end = window(connection, after, EXAMINED) if condition else (_LAST_KEY, True)
    rows = cast(
        "list[_ListedRow]",
        connection.execute(
            "SELECT key, state, queue_id, arrival, size, sender, flags, recipient_count FROM message "
            f"WHERE key > ? AND key <= ?{condition} ORDER BY key LIMIT ?",
            (after, last, *bindings, limit),
        ).fetchall(),
    )
    recipients: dict[int, list[ListedRecipient]] = {row[0]: [] for row in rows}
    if rows:
        found = connection.execute(_LISTED_RECIPIENTS, (apsw.carray(array("q", recipients)),))
        for key, address, original, text, dsn, due_at, attempts in cast("Iterable[_ListedRecipientRow]", found):
            listed = ListedRecipient(_text(address), _text(original), _text(text), dsn, due_at, attempts)
            recipients[key >> RECIPIENT_BITS].append(listed)
    messages = [
        Listed(
            values.QUEUE_NAMES[state],
            queue_id,
            arrival,
            size,
            _text(sender),
            recipients[key],
            bool(flags & values.FORCED_EXPIRE),
            values.RECIPIENT_PAGE if count > values.RECIPIENT_PAGE else 0,
        )
        for key, state, queue_id, arrival, size, sender, flags, count in rows
    ]
    return Listing(messages, rows[-1][0] if len(rows) == limit else 0 if is_end else last)


def where(which: Filter) -> tuple[str, list[Cell]]:
    """The condition a filter stands for, to be put after another one, and its bindings."""
    parts: list[str] = []
    bindings: list[Cell] = []
    if which.queue_names:
        states = [values.QUEUE_NAMES.index(name) for name in which.queue_names if name in values.QUEUE_NAMES]
        parts.append(f"state IN ({','.join('?' * len(states))})")
        bindings += states
    if which.sender is not None:
        parts.append("sender = ?")
        bindings.append(storable_text(which.sender))
    for column, value in (("domain", which.domain), ("address", which.recipient)):
        if value:
            parts.append(f"EXISTS (SELECT 1 FROM recipient AS r WHERE {_OF_MESSAGE} AND {column} = ? AND state != 1)")
            bindings.append(storable_text(value))
    if which.arrived_before:
        parts.append("arrival < ?")
        bindings.append(which.arrived_before)
    return "".join(f" AND {part}" for part in parts), bindings


def tally(connection: apsw.Connection, by: str, after: int) -> tuple[list[tuple[str, int]], int]:
    """Count by sender, recipient or domain over the next messages; returns the counts and where to go on (0: end)."""
    column, table, factor = _TALLIES[by]
    last, is_end = window(connection, after, TALLIED)
    rows = connection.execute(
        f"SELECT {column}, count(*) FROM {table} WHERE key >= ? AND key < ? GROUP BY {column}",
        ((after + 1) * factor, (last + 1) * factor),
    )
    return [(_text(value), count) for value, count in cast("Iterable[tuple[Text, int]]", rows)], 0 if is_end else last


def window(connection: apsw.Connection, after: int, size: int) -> tuple[int, bool]:
    """The key of the last of the next `size` messages, and whether there are no more behind it."""
    last, count = cast(
        "tuple[int | None, int]",
        connection.execute(
            "SELECT max(key), count(*) FROM (SELECT key FROM message WHERE key > ? ORDER BY key LIMIT ?)", (after, size)
        ).get,
    )
    return last or after, count < size


def _rows(
    connection: apsw.Connection, statement: str, bindings: "tuple[Cell | apsw.CArrayBinding, ...]"
) -> list[_MessageRow]:
    return cast("list[_MessageRow]", connection.execute(statement, bindings).fetchall())


def _messages(connection: apsw.Connection, rows: list[_MessageRow], condition: str) -> list[StoredMessage]:
    """Make messages of rows, with the first RECIPIENT_PAGE of their recipients as far as `condition` wants them."""
    found: dict[int, list[StoredRecipient]] = {row[0]: [] for row in rows}
    if found:
        statement = f"{_RECIPIENTS} WHERE {condition} ORDER BY r.key"
        for row in cast("Iterable[_RecipientRow]", connection.execute(statement, (apsw.carray(array("q", found)),))):
            found[row[0] >> RECIPIENT_BITS].append(_recipient(row))
    return [_message(row, found[row[0]]) for row in rows]


def _message(row: _MessageRow, recipients: list[StoredRecipient]) -> StoredMessage:
    key, queue_id, state, due_at, arrival, size, flags, count, sender, attributes, spool = row
    return StoredMessage(
        key,
        queue_id,
        values.QUEUE_NAMES[state],
        due_at or 0.0,
        arrival,
        size,
        flags,
        count,
        _text(sender),
        attributes,
        spool is not None,
        recipients,
    )


def _recipient(row: _RecipientRow) -> StoredRecipient:
    key, address, original, orcpt, notify, state, attempts, due_at, *_ = row
    dsn, text, relay, remote_mta, diagnostic, action = map(_text, row[8:14])
    return StoredRecipient(
        key & (RECIPIENT_SPAN - 1),
        _text(address),
        _text(original),
        _text(orcpt),
        notify,
        state,
        attempts,
        due_at or 0.0,
        dsn,
        text,
        relay,
        remote_mta,
        diagnostic,
        action,
        row[14] or 0.0,
    )


def _text(value: Text) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else value.decode("utf-8", "surrogateescape")
