"""Cache: outcomes of lookups for as long as their TTL allows, bounded in number; equal questions are asked once.

The bound counts records, so that answers with many of them do not make it larger than meant. What leaves first is
what was put in first: with TTLs of minutes to hours that is nearly what expires first, and costs nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final

from posthouse.net.dns import MAX_NEGATIVE_TTL_S, MAX_TTL_S, Found

MAX_WEIGHT: Final = 50_000  # records and outcomes, about 300 bytes each: 15 MB
MAX_ASKING: Final = 2_000  # different questions in progress; more must wait for their caller's next attempt

Key = tuple[str, str]


class Cache:
    """Outcomes by (name, type). `resolve` is called for what is not there."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, resolve: Callable[[str, str], Coroutine[object, object, Found]]
    ) -> None:
        self._loop = loop
        self._resolve = resolve
        self._kept: dict[Key, tuple[float, Found]] = {}
        self._weight = 0
        self._asking: dict[Key, asyncio.Future[Found]] = {}

    def get(self, name: str, rrtype: str) -> tuple[Found, float] | None:
        """Give what is known and how many seconds it still holds."""
        key = (name.lower().removesuffix("."), rrtype)
        entry = self._kept.get(key)
        if entry is None:
            return None
        left_s = entry[0] - self._loop.time()
        if left_s > 0:
            return entry[1], left_s
        self._drop(key)
        return None

    def ask(self, name: str, rrtype: str) -> "asyncio.Future[Found] | None":
        """Begin a lookup, or join the one that is in progress; None: there are too many."""
        key = (name.lower().removesuffix("."), rrtype)
        future = self._asking.get(key)
        if future is None and len(self._asking) < MAX_ASKING:
            future = self._asking[key] = self._loop.create_task(self._resolve(*key))
            future.add_done_callback(lambda done: self._done(key, done))
        return future

    @property
    def asking(self) -> bool:
        """Whether lookups are in progress."""
        return bool(self._asking)

    def _done(self, key: Key, future: "asyncio.Future[Found]") -> None:
        del self._asking[key]
        if future.cancelled() or future.exception() is not None:
            return
        found = future.result()
        most_s = MAX_TTL_S if found.records else MAX_NEGATIVE_TTL_S
        if key in self._kept:
            self._drop(key)
        self._kept[key] = (self._loop.time() + min(found.ttl_s, most_s), found)
        self._weight += 1 + len(found.records)
        while self._weight > MAX_WEIGHT:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        _, found = self._kept.pop(key)
        self._weight -= 1 + len(found.records)
