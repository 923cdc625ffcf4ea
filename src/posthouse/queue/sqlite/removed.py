"""Which messages were removed lately, so that a replayed commit of one is answered "already there".

Two generations of queue IDs: when the younger holds GENERATION of them it becomes the older, and the older is
forgotten. So at least the last GENERATION removals are known and at most twice as many. The ledger's rows are the
durable form; `oldest_batch` is the first of them that is still needed.
"""

from collections.abc import Iterable
from typing import Final

GENERATION: Final = 10_000  # IDs; at full speed some seconds, and a peer asks again within one or two


class Removed:
    """The queue IDs of messages that are gone."""

    def __init__(self) -> None:
        self.oldest_batch = 0
        self._young: set[str] = set()
        self._old: set[str] = set()
        self._young_since = 0  # the batch that put the first ID into _young

    def __contains__(self, queue_id: str) -> bool:
        return queue_id in self._young or queue_id in self._old

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, queue_ids: Iterable[str], batch: int) -> bool:
        """Remember what a batch removed. Returns whether older ledger rows are not needed any more."""
        if len(self._young) < GENERATION:
            self._young.update(queue_ids)
            return False
        self.oldest_batch = self._young_since
        self._old = self._young
        self._young = set(queue_ids)
        self._young_since = batch
        return True
