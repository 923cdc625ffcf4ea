"""One transaction of the store: a batch's commits, results, deferrals and removals as few statements on many rows.

Each statement gives up Python's lock and takes it again; with a busy event loop that can cost more than the statement.
So rows go in by VALUES lists of many rows, and keys by carray. What the transaction will mean for memory once it is
durable (counts, files to unlink, removed queue IDs) gathers in the object; who commits applies it.
"""

from array import array
from collections.abc import Iterable, Sequence
from typing import Final

import apsw

from posthouse.ipc.message import BOUNCED, DEFERRED, RecipientResult
from posthouse.queue import values
from posthouse.queue.engine import Commit
from posthouse.queue.spool import SpoolFile
from posthouse.queue.sqlite.schema import RECIPIENT_SPAN, S_DEFERRED, S_HOLD, S_INCOMING
from posthouse.queue.values import NewMessage

Cell = str | bytes | int | float | None  # what a column holds

_EXACT: Final = 16  # up to so many rows a statement is kept for each number; then for multiples, so the cache holds all
_LARGE: Final = 64
_MESSAGE: Final = "INSERT INTO message VALUES"
_RECIPIENT: Final = "INSERT INTO recipient (key, address, domain, original, dsn_orcpt, notify) VALUES"
_CONTENT: Final = "INSERT INTO content VALUES"
_RESULTS: Final = "WITH v AS (VALUES"
_RESULTS_END: Final = """)
UPDATE recipient SET state = v.column2, attempts = attempts + 1, due = v.column3, dsn = v.column4, text = v.column5,
    relay = v.column6, remote_mta = v.column7, diagnostic = v.column8, action = v.column9, finished = v.column10
FROM v WHERE recipient.key = v.column1 AND recipient.state = 0"""
_DEFERRALS: Final = "WITH v AS (VALUES"
_DEFERRALS_END: Final = f""")
UPDATE message SET state = {S_DEFERRED}, due = v.column2
FROM v WHERE message.key = v.column1 AND message.state <= {S_DEFERRED}"""
_KEYS: Final = "key IN (SELECT value FROM carray(?))"
_RECIPIENT_KEYS: Final = f"""key IN (SELECT r.key FROM carray(?) AS c CROSS JOIN recipient AS r
    ON r.key BETWEEN c.value * {RECIPIENT_SPAN} AND c.value * {RECIPIENT_SPAN} + {RECIPIENT_SPAN - 1})"""
_STATE_OF_RESULT: Final = {  # anything else: DONE
    DEFERRED: values.WAITING,
    BOUNCED: values.BOUNCED,
    values.UNTOLD: values.UNTOLD,
}


class Transaction:
    """The statements between BEGIN and COMMIT, and what will be true after it."""

    def __init__(self, connection: apsw.Connection, counts: Sequence[int], next_number: int, storable: bool) -> None:
        """storable: pass texts through `storable_text`; without, one that is no UTF-8 raises UnicodeEncodeError."""
        self.connection = connection
        self.counts = list(counts)
        self.next_number = next_number
        self.removed: list[str] = []  # queue IDs
        self.unlink: list[str] = []  # spool files
        self._storable = storable

    def begin(self) -> None:
        """Start the transaction."""
        self.connection.execute("BEGIN")

    def commit(self, batch: int) -> None:
        """Write the ledger's row and make everything durable."""
        row = (batch, *self.counts, self.next_number, " ".join(self.removed))
        self.connection.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self.connection.execute("COMMIT")

    def insert(self, commits: Iterable[Commit]) -> None:
        """Store new messages. Raises apsw.ConstraintError: one of them is there already."""
        messages: list[Cell] = []
        recipients: list[Cell] = []
        contents: list[Cell] = []
        for commit in commits:
            key, message = commit.key, commit.message
            content = message.content
            spool = content.name if isinstance(content, SpoolFile) else None
            if not isinstance(content, SpoolFile):
                contents += (key, content)
            messages += _message_row(key, message, spool)
            row = key * RECIPIENT_SPAN
            for recipient in message.recipients:
                row += 1
                address = recipient.address
                domain = address.rpartition("@")[2].lower()
                recipients += (row, address, domain, recipient.original, recipient.dsn_orcpt, recipient.notify)
            self.counts[S_HOLD if message.hold else S_INCOMING] += 1
        self._insert(_MESSAGE, messages, 11)
        self._insert(_RECIPIENT, recipients, 6)
        self._insert(_CONTENT, contents, 2)

    def record(self, results: Iterable[tuple[int, RecipientResult, float]]) -> None:
        """Write down what became of recipients. Those that are done already stay as they are (replayed results)."""
        rows: dict[int, tuple[Cell, ...]] = {}  # by key; of several results of a recipient the first final one, or last
        for message_key, result, due in results:
            key = message_key * RECIPIENT_SPAN + result.rcpt_id
            if (known := rows.get(key)) is not None and known[1] != values.WAITING:
                continue
            rows[key] = (
                key,
                _STATE_OF_RESULT.get(result.outcome, values.DONE),
                due,
                result.dsn,
                result.text,
                result.relay,
                result.remote_mta,
                result.diagnostic,
                result.action,
                result.finished,
            )
        self._insert(_RESULTS, [cell for row in rows.values() for cell in row], 10, _RESULTS_END)

    def defer(self, deferrals: Iterable[tuple[int, float]]) -> None:
        """Set when messages are tried next. One that was put on hold meanwhile stays there."""
        due = dict(deferrals)
        moved = self._get(f"SELECT count(*) FROM message WHERE {_KEYS} AND state = {S_INCOMING}", due)
        self.counts[S_INCOMING] -= moved
        self.counts[S_DEFERRED] += moved
        self._insert(_DEFERRALS, [cell for row in due.items() for cell in row], 2, _DEFERRALS_END)

    def settle(self, keys: Iterable[int]) -> None:
        """Make BOUNCED and UNTOLD recipients DONE: the sender was told."""
        condition = f"{_RECIPIENT_KEYS} AND state IN ({values.BOUNCED}, {values.UNTOLD})"
        self._execute(f"UPDATE recipient SET state = {values.DONE} WHERE {condition}", keys)

    def remove(self, removals: Iterable[tuple[int, str]]) -> None:
        """Delete messages."""
        keys = dict(removals)
        if not keys:
            return
        gone = self.connection.execute(
            "SELECT count(*), total(state = 0), total(state = 1), total(state = 2), total(state = 3), "
            f"group_concat(spool, ' ') FROM message WHERE {_KEYS}",
            (_carray(keys),),
        ).get
        for state in range(4):
            self.counts[state] -= int(gone[1 + state])
        if gone[5]:
            self.unlink += gone[5].split(" ")
        self.removed += filter(None, keys.values())
        self._execute(f"DELETE FROM message WHERE {_KEYS}", keys)
        self._execute(f"DELETE FROM content WHERE {_KEYS}", keys)
        self._execute(f"DELETE FROM recipient WHERE {_RECIPIENT_KEYS}", keys)

    def _get(self, statement: str, keys: Iterable[int]) -> int:
        return int(self.connection.execute(statement, (_carray(keys),)).get)

    def _execute(self, statement: str, keys: Iterable[int]) -> None:
        self.connection.execute(statement, (_carray(keys),))

    def _insert(self, statement: str, cells: list[Cell], width: int, end: str = "") -> None:
        """Run `statement` with all rows, in as few pieces as the cache of prepared statements has sizes for."""
        if self._storable:
            cells = [storable_text(cell) if cell.__class__ is str else cell for cell in cells]
        count = len(cells) // width
        at = 0
        while count > 0:
            rows = count if count <= _EXACT else _LARGE if count >= _LARGE else count - count % _EXACT
            piece = cells[at : at + rows * width] if rows < count or at else cells
            self.connection.execute(_statement(statement, width, rows, end), piece)
            at += rows * width
            count -= rows


_statements: dict[tuple[str, int], str] = {}  # built text of statements; a pure function's cache


def _statement(start: str, width: int, rows: int, end: str) -> str:
    text = _statements.get((start + end, rows))
    if text is None:
        row = "(" + ",".join("?" * width) + ")"
        text = _statements[start + end, rows] = f"{start} {','.join([row] * rows)}{end}"
    return text


def _message_row(key: int, message: NewMessage, spool: str | None) -> tuple[Cell, ...]:
    state, due = (S_HOLD, None) if message.hold else (S_INCOMING, message.arrival)
    return (
        key,
        message.queue_id,
        state,
        due,
        message.arrival,
        message.content.size if isinstance(message.content, SpoolFile) else len(message.content),
        message.flags,
        len(message.recipients),
        message.sender,
        message.attributes,
        spool,
    )


def storable_text(text: str) -> str | bytes:
    """Text as it is, or as octets when it holds octets that are no UTF-8 (surrogate escapes)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")
    return text


def _carray(keys: Iterable[int]) -> "apsw.CArrayBinding":
    return apsw.carray(array("q", keys))
