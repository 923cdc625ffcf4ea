"""WriteOut: what was written to spool files and is not on the disk yet stays within a budget.

The kernel would keep it in memory for half a minute. That memory cannot be taken back while it is needed, and in a
control group it is ours: many large messages at once would get a daemon killed. So the files with most of it are
synced early, in a thread, and until that is done nothing more is read. They are synced at their end anyway.

An error is the message's end: the kernel reports it once, so the sync at its end would call it written.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from posthouse.daemons.cleanup.outcome import WRITE_ERROR
from posthouse.daemons.cleanup.transaction import Transaction
from posthouse.util import log
from posthouse.util.files import close_done

BUDGET: Final = 16 * 1024 * 1024  # bytes of one process
SMALL_BUDGET: Final = 4 * 1024 * 1024  # while memory is short


class WriteOut:
    """Of one process. `pause` is told to stop (True) and to go on with (False) reading."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pause: Callable[[bool], None]) -> None:
        self._loop = loop
        self._pause = pause
        self._unsynced: dict[Transaction, int] = {}
        self._total = 0
        self._busy = False
        self._syncing: frozenset[Transaction] = frozenset()
        self._waiting: list[asyncio.Future[None]] = []
        self.budget = BUDGET

    def wrote(self, transaction: Transaction, size: int) -> None:
        """Count what was written."""
        self._unsynced[transaction] = self._unsynced.get(transaction, 0) + size
        self._total += size
        if self._total > self.budget and not self._busy:
            self._begin()

    def forget(self, transaction: Transaction) -> None:
        """Its file is synced, or given up."""
        self._total -= self._unsynced.pop(transaction, 0)

    async def settled(self, transaction: Transaction) -> None:
        """Wait until nothing of ours has its file open but the transaction itself: qmgr wants it closed."""
        while transaction in self._syncing:
            done: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append(done)
            await done

    def _begin(self) -> None:
        """Sync the largest files, until half of the budget is free."""
        chosen: list[tuple[Transaction, int]] = []
        left = self._total
        for transaction, size in sorted(self._unsynced.items(), key=lambda each: -each[1]):
            if left <= self.budget // 2:
                break
            if transaction.spool is not None:
                chosen.append((transaction, os.dup(transaction.spool.descriptor)))
                left -= size
                self.forget(transaction)
        if not chosen:
            return
        self._busy = True
        self._syncing = frozenset(transaction for transaction, _ in chosen)
        self._pause(True)
        descriptors = [descriptor for _, descriptor in chosen]
        future = self._loop.run_in_executor(None, _sync, descriptors)
        future.add_done_callback(lambda done: self._done([each for each, _ in chosen], done.result()))

    def _done(self, transactions: list[Transaction], errors: list[str]) -> None:
        for transaction, error in zip(transactions, errors, strict=True):
            if error:
                log.warning(f"{transaction.envelope.queue_id}: sync spool file: {error}")
                transaction.refuse(WRITE_ERROR)
        self._busy, self._syncing = False, frozenset()
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
        if self._total > self.budget:
            self._begin()
        if not self._busy:
            self._pause(False)


def _sync(descriptors: list[int]) -> list[str]:
    """Sync and close each (thread); what went wrong, "" for nothing."""
    errors = []
    for descriptor in descriptors:
        try:
            os.fdatasync(descriptor)
            errors.append("")
        except OSError as error:
            errors.append(error.strerror or str(error))
        finally:
            close_done(descriptor)
    return errors
