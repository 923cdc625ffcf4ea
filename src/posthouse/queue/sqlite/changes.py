"""What an operator does to messages: hold, release, delete, expire, flush. Inside a batch's transaction.

Each command is one row of _COMMANDS: the states it applies to, and what becomes of such a message. A command on all
messages goes through the queue in pages, so that mail keeps flowing between them.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import apsw

from posthouse.queue import values
from posthouse.queue.sqlite.reads import EXAMINED, where, window
from posthouse.queue.sqlite.schema import S_CORRUPT, S_DEFERRED, S_HOLD, S_INCOMING
from posthouse.queue.sqlite.writes import Transaction
from posthouse.queue.values import Change, Changed, ChangedPage, Filter

PAGE: Final = 500  # messages changed in one transaction
_ALL: Final = (S_INCOMING, S_DEFERRED, S_HOLD, S_CORRUPT)


@dataclass(frozen=True, slots=True)
class _Command:
    applies_to: tuple[int, ...]
    state: int | None  # the new one; None: as it was
    is_due: bool = True  # now; otherwise it is not tried at all
    flags: int = 0  # added


_COMMANDS: Final = {
    Change.HOLD: _Command((S_INCOMING, S_DEFERRED), S_HOLD, is_due=False),
    Change.RELEASE: _Command((S_HOLD,), S_DEFERRED),
    Change.EXPIRE: _Command((S_INCOMING, S_DEFERRED), None, flags=values.FORCED_EXPIRE),
    Change.EXPIRE_RELEASE: _Command((S_INCOMING, S_DEFERRED, S_HOLD), S_DEFERRED, flags=values.FORCED_EXPIRE),
    Change.FLUSH: _Command((S_DEFERRED,), S_DEFERRED),
    Change.WAKE: _Command((S_INCOMING, S_DEFERRED), None),
    Change.CORRUPT: _Command((S_INCOMING, S_DEFERRED, S_HOLD), S_CORRUPT, is_due=False),
}
_Row = tuple[int, str, int]  # key, queue_id, state


def change(transaction: Transaction, command: str, queue_ids: Sequence[str], now: float) -> list[Changed]:
    """Carry out a command on these messages, where it applies."""
    if not queue_ids:
        return []
    rows = transaction.connection.execute(
        "SELECT key, queue_id, state FROM message WHERE queue_id IN (SELECT value FROM carray(?)) ORDER BY key",
        (apsw.carray(tuple(queue_ids)),),
    ).fetchall()
    return _apply(transaction, command, cast("list[_Row]", rows), now)


def change_page(transaction: Transaction, command: str, which: Filter, after: int, now: float) -> ChangedPage:
    """Carry out a command on the next messages that the filter names, where it applies."""
    condition, bindings = where(which)
    last, is_end = window(transaction.connection, after, EXAMINED)
    rows = cast(
        "list[_Row]",
        transaction.connection.execute(
            f"SELECT key, queue_id, state FROM message WHERE key > ? AND key <= ?{condition} ORDER BY key LIMIT ?",
            (after, last, *bindings, PAGE),
        ).fetchall(),
    )
    following = rows[-1][0] if len(rows) == PAGE else 0 if is_end else last
    return ChangedPage(_apply(transaction, command, rows, now), following)


def _apply(transaction: Transaction, command: str, rows: list[_Row], now: float) -> list[Changed]:
    if command == Change.DELETE:
        transaction.remove((key, queue_id) for key, queue_id, _ in rows)
        return [_changed(row) for row in rows]
    rule = _COMMANDS[command]
    rows = [row for row in rows if row[2] in rule.applies_to]
    if not rows:
        return []
    transaction.connection.execute(
        "UPDATE message SET state = ifnull(?, state), due = ?, flags = flags | ? "
        "WHERE key IN (SELECT value FROM carray(?))",
        (rule.state, now if rule.is_due else None, rule.flags, apsw.carray(array("q", [row[0] for row in rows]))),
    )
    for _, _, state in rows:
        transaction.counts[state] -= 1
        transaction.counts[state if rule.state is None else rule.state] += 1
    return [_changed(row) for row in rows]


def _changed(row: _Row) -> Changed:
    return Changed(row[0], row[1], values.QUEUE_NAMES[row[2]])
