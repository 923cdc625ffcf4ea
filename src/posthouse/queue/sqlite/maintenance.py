"""What keeps the store well beside mail: reading the ledger at start, sweeping orphans, checking.

Everything here goes in steps that hold up a batch by milliseconds, except `verify`.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final, cast

import apsw

from posthouse.queue.spool import Spool, is_spool_name
from posthouse.queue.sqlite.parts import Lost, damaged_spool
from posthouse.queue.sqlite.removed import GENERATION, Removed
from posthouse.queue.sqlite.schema import transaction
from posthouse.queue.values import Counts

SWEEP_FILES: Final = 500  # looked at in one step


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
        self._checked: str | None = ""  # names of spool files up to this one were looked at; None: all

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to sweep."""
        return not self._names and not self._before and self._checked is None

    def later(self, names: Iterable[str]) -> None:
        """Delete these files, whose rows are gone, when nobody reads the store any more."""
        self._names += names

    def damaged(self) -> list[Lost]:
        """Look at the spool files of some messages that were there at start; those that are not as they should be."""
        if self._checked is None:
            return []
        found, self._checked = damaged_spool(self._connection, self._spool.path, self._checked, SWEEP_FILES)
        return [lost for _, lost in found]

    def check_again(self) -> None:
        """Begin anew with looking at spool files: what was found could not be stored."""
        self._checked = ""

    def forget_ledger_before(self, batch: int) -> None:
        """Ledger rows older than `batch` may go."""
        self._before = batch

    def step(self) -> bool:
        """Do a little; returns whether that was all."""
        if self._before:
            with suppress(apsw.FullError):  # done again when there is room
                with transaction(self._connection):
                    self._connection.execute("DELETE FROM ledger WHERE batch < ?", (self._before,))
                self._before = 0
        names, self._names = self._names[:SWEEP_FILES], self._names[SWEEP_FILES:]
        if names:
            rows = self._connection.execute(
                "SELECT spool FROM message WHERE spool IN (SELECT value FROM carray(?))", (apsw.carray(tuple(names)),)
            )
            kept = {name for (name,) in cast("Iterable[tuple[str]]", rows)}
            self._spool.remove(name for name in names if name not in kept and is_spool_name(name))
        return self.is_done
