"""What operators ask of the queue: listings, flushes, holding, deleting, a look at a message (ipc/showq.py).

Root and our own user may do everything, the mail owner (showq) may list and flush. Everything works on pages, so a
million messages hold up nobody.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol, TypeVar

from posthouse.daemons.qmgr.ledger import known_envelope
from posthouse.ipc import showq
from posthouse.ipc.record import replace
from posthouse.ipc.showq import (
    Count,
    Counts,
    Fetch,
    Fetched,
    Flush,
    FromShowq,
    Listed,
    ListedPage,
    ListedRecipient,
    ListPage,
    Steer,
    Steered,
    ToShowq,
    problem_of,
)
from posthouse.ipc.stream import Channel
from posthouse.queue.spool import SpoolContent
from posthouse.queue.store import Store
from posthouse.queue.values import (
    DEFERRED,
    DONE,
    FORCED_EXPIRE,
    HOLD,
    INCOMING,
    RECIPIENT_PAGE,
    UNTOLD,
    Change,
    Changed,
    Filter,
    StoredMessage,
    StoredRecipient,
    StoreError,
    StoreFullError,
)
from posthouse.util import eager, log
from posthouse.util.errors import TemporaryError
from posthouse.util.files import close_done

CHANGES: Final = {
    showq.HOLD: (Change.HOLD, "placed on hold"),
    showq.RELEASE: (Change.RELEASE, "released from hold"),
    showq.DELETE: (Change.DELETE, "removed"),
    showq.EXPIRE: (Change.EXPIRE, "expired"),
    showq.EXPIRE_RELEASE: (Change.EXPIRE_RELEASE, "released and expired"),
}
ALL: Final = "ALL"
ACTIVE: Final = "active"
NAMED: Final = (INCOMING, DEFERRED, HOLD)  # where ALL looks when no queue is named; what is corrupt has to be named
NOT_ALLOWED: Final = "only root may do this"
FULL_TRIES: Final = 10
FULL_WAIT_S: Final = 0.5  # the reserve is given up meanwhile (governor(8)), or deliveries free some room
PAGE_SIZE: Final = 3_000_000  # characters of a page of a listing: reasons are long, and a record has its limit
STEER_S: Final = 10.0  # of work on many messages for one request: who asks waits a minute, then goes on
REQUEUE_PAGE: Final = 10  # messages requeued between two looks at the clock
LEAVE_TRIES: Final = 20  # for deliveries under way to end before a message is requeued
LEAVE_WAIT_S: Final = 0.1
T = TypeVar("T")


class Live(Protocol):
    """The running part of the queue manager, as far as operators touch it."""

    def is_active(self, queue_id: str) -> bool:
        """Whether the message is in the active queue."""

    def active_ids(self) -> list[str]:
        """Which messages are."""

    def withdraw(self, queue_id: str, *, gone: bool) -> None:
        """Start no more deliveries of it."""

    def force_expire(self, queue_id: str) -> None:
        """Return it at the end of this round."""

    def look(self, since: float) -> None:
        """Something may be due now, by a time that was given at or after `since`."""

    def revive(self, site: str) -> None:
        """Forget that destinations are dead."""

    async def requeue(self, stored: StoredMessage) -> int:
        """Send it through cleanup again; 1 when that was done."""


class Idle:
    """Nothing runs: a command has opened the queue while the system is down."""

    def is_active(self, queue_id: str) -> bool:
        """Nothing is active."""
        return False

    def active_ids(self) -> list[str]:
        """Nothing is active."""
        return []

    def withdraw(self, queue_id: str, *, gone: bool) -> None:
        """Nothing to stop."""

    def force_expire(self, queue_id: str) -> None:
        """Its flag in the store is enough."""

    def look(self, since: float) -> None:
        """The next queue manager will."""

    def revive(self, site: str) -> None:
        """Nothing is remembered."""

    async def requeue(self, stored: StoredMessage) -> int:
        """Not without cleanup."""
        raise TemporaryError(f"{stored.queue_id}: requeueing needs the running system; start it with: postfix start")


class Admin:
    """See the module's docstring."""

    def __init__(self, store: Store, live: Live) -> None:
        self._store, self._live = store, live

    def on_record(self, may_steer: bool, channel: Channel[ToShowq], record: ToShowq) -> None:
        """Answer a request."""
        if isinstance(record, (Steer, Fetch)) and not may_steer:
            channel.send(Steered(record.id, 0, NOT_ALLOWED))
            return
        eager.start(self.answer(record), partial(_send, channel, record.id))

    async def answer(self, record: ToShowq) -> tuple[FromShowq, int]:
        """The reply, and a descriptor that goes with it or -1."""
        if problem := problem_of(record):
            return Steered(record.id, 0, problem), -1
        if isinstance(record, ListPage):
            return await self._list(record), -1
        if isinstance(record, Steer):
            return await self._steer(record), -1
        if isinstance(record, Flush):
            return Steered(record.id, await self.flush(record.site, record.queue_id)), -1
        if isinstance(record, Fetch):
            return await self._fetch(record)
        return self._count(record), -1

    async def _list(self, record: ListPage) -> ListedPage:
        if record.queue_id:
            stored = await self._store.get(record.queue_id)
            if stored is None:
                return ListedPage(record.id, [], "")
            rows, following = await self._recipients(stored, int(record.after or "0"))
            return ListedPage(record.id, [self._listed(stored, rows, following)], "")
        after, limit, which = int(record.after or "0"), showq.PAGE, _filter(record.queue_name, record.site)
        page = await self._store.page(which, after, limit)
        while limit > 1 and _size(page.messages) > PAGE_SIZE:
            limit //= 5
            page = await self._store.page(which, after, limit)
        listed = [self._with_active(each) for each in page.messages]
        if record.queue_name:
            listed = [each for each in listed if each.queue_name == record.queue_name]
        return ListedPage(record.id, listed, str(page.next) if page.next else "")

    def _with_active(self, listed: Listed) -> Listed:
        """The store does not know which messages are active."""
        return replace(listed, queue_name=ACTIVE) if self._live.is_active(listed.queue_id) else listed

    async def _recipients(self, stored: StoredMessage, after: int) -> tuple[list[StoredRecipient], int]:
        """A page of them, and the number after which the next one begins; 0: there is none."""
        if not after:
            return stored.recipients, RECIPIENT_PAGE if stored.has_more_recipients else 0
        rows = await self._store.recipients(stored.key, after, RECIPIENT_PAGE)
        return rows, rows[-1].rcpt_id if len(rows) == RECIPIENT_PAGE else 0

    def _listed(self, stored: StoredMessage, rows: list[StoredRecipient], following: int) -> Listed:
        name = ACTIVE if self._live.is_active(stored.queue_id) else stored.queue_name
        recipients = [
            ListedRecipient(rcpt.address, rcpt.original, rcpt.text, rcpt.dsn, rcpt.due, rcpt.attempts)
            for rcpt in rows
            if rcpt.state not in (DONE, UNTOLD)
        ]
        expire = bool(stored.flags & FORCED_EXPIRE)
        sender = stored.sender
        return Listed(name, stored.queue_id, stored.arrival, stored.size, sender, recipients, expire, following)

    async def _steer(self, record: Steer) -> Steered:
        if record.operation == showq.REQUEUE:
            return await self._requeue(record)
        change, word = CHANGES[record.operation]
        if record.queue_id != ALL:
            return Steered(record.id, await self._change(change, word, [record.queue_id], record.queue_name))
        if record.queue_name == ACTIVE:
            count = 0
            active = self._live.active_ids()
            for start in range(0, len(active), showq.PAGE):
                count += await self._change(change, word, active[start : start + showq.PAGE], ACTIVE)
            return Steered(record.id, count)
        return await self._change_all(record, change, word)

    async def _change_all(self, record: Steer, change: str, word: str) -> Steered:
        """Change page after page, for a while."""
        until = time.monotonic() + STEER_S
        count, after = 0, record.after
        while True:
            began = time.time()
            which = Filter(queue_names=(record.queue_name,) if record.queue_name else NAMED)
            page = await _with_room(partial(self._store.change_page, change, which, after))
            self._changed(change, word, page.messages, began)
            count += len(page.messages)
            after = page.next
            if not after or time.monotonic() >= until:
                return Steered(record.id, count, "", after)

    async def _change(self, change: str, word: str, queue_ids: list[str], queue_name: str) -> int:
        """Change these messages, as far as they are in the queue that was named ("": wherever they are)."""
        began = time.time()
        if queue_name and queue_name != ACTIVE:
            found = [await self._store.get(queue_id) for queue_id in queue_ids]
            queue_ids = [each.queue_id for each in found if each is not None and each.queue_name == queue_name]
        elif queue_name:
            queue_ids = [queue_id for queue_id in queue_ids if self._live.is_active(queue_id)]
        changed = await _with_room(partial(self._store.change, change, queue_ids))
        self._changed(change, word, changed, began)
        return len(changed)

    def _changed(self, change: str, word: str, changed: list[Changed], began: float) -> None:
        for each in changed:
            log.info(f"{each.queue_id}: {word}", event="postsuper", queue_id=each.queue_id, change=change)
            if change in (Change.HOLD, Change.DELETE):
                self._live.withdraw(each.queue_id, gone=change == Change.DELETE)
            elif change in (Change.EXPIRE, Change.EXPIRE_RELEASE):
                self._live.force_expire(each.queue_id)
        if change not in (Change.HOLD, Change.DELETE):
            self._live.look(began)

    async def _requeue(self, record: Steer) -> Steered:
        """Requeue one message, or for a while all that were here at first: those that this makes have later keys."""
        last = record.last or self._store.last_key
        if record.queue_id != ALL:
            return Steered(record.id, await self._requeue_one(record.queue_id, record.queue_name, last))
        until = time.monotonic() + STEER_S
        count, after = 0, record.after
        while True:
            page = await self._store.page(_filter(record.queue_name or NAMED, ""), after, REQUEUE_PAGE)
            for listed in page.messages:
                count += await self._requeue_one(listed.queue_id, record.queue_name, last)
            after = page.next
            if not after or after >= last:
                return Steered(record.id, count)
            if time.monotonic() >= until:
                return Steered(record.id, count, "", after, last)

    async def _requeue_one(self, queue_id: str, queue_name: str, last: int) -> int:
        """Requeue a message when nobody delivers it: who is served by the old one must not be by the new one too."""
        stored = await self._store.get(queue_id)
        if stored is None or stored.key > last:
            return 0
        is_active = self._live.is_active(queue_id)
        if queue_name not in ("", stored.queue_name) and not (queue_name == ACTIVE and is_active):
            return 0
        if is_active:
            self._live.withdraw(queue_id, gone=False)
            for _ in range(LEAVE_TRIES):
                if not self._live.is_active(queue_id):
                    break
                await asyncio.sleep(LEAVE_WAIT_S)
            else:
                log.warning(f"{queue_id}: not requeued: it is being delivered just now")
                return 0
            if (stored := await self._store.get(queue_id)) is None:
                return 0
        count = await self._live.requeue(stored)
        if count:
            self._live.withdraw(queue_id, gone=True)
        return count

    async def flush(self, site: str, queue_id: str) -> int:
        """Make deferred mail due now: of one site, one message, or all."""
        self._live.revive(site)
        began = time.time()
        count = after = 0
        if queue_id:
            count = len(await _with_room(partial(self._store.change, Change.FLUSH, [queue_id])))
        while not queue_id:
            which = Filter(queue_names=(DEFERRED,), domain=site.lower())
            page = await _with_room(partial(self._store.change_page, Change.FLUSH, which, after))
            count += len(page.messages)
            after = page.next
            if not after:
                break
        self._live.look(began)
        return count

    async def clock_went_back(self) -> None:
        """Make everything due now that was to be tried by a time that is far away now."""
        self._live.revive("")
        after = 0
        while True:
            which = Filter(queue_names=(INCOMING, DEFERRED))
            page = await _with_room(partial(self._store.change_page, Change.WAKE, which, after))
            after = page.next
            if not after:
                break
        self._live.look(0.0)

    async def _fetch(self, record: Fetch) -> tuple[Fetched, int]:
        stored = await self._store.get(record.queue_id)
        content: bytes | SpoolContent | None = b""
        if stored is not None and not record.after:
            content = await self._store.content(stored.key)
        if stored is None or content is None:
            return Fetched(record.id, f"no such message: {record.queue_id}", None, "", [], [], b""), -1
        rows, following = await self._recipients(stored, record.after)
        listed = self._listed(stored, rows, following)
        done = [rcpt.address for rcpt in rows if rcpt.state in (DONE, UNTOLD)]
        octets, descriptor = (b"", content.descriptor) if isinstance(content, SpoolContent) else (content, -1)
        envelope, name = known_envelope(stored), listed.queue_name
        fetched = Fetched(record.id, "", envelope, name, listed.recipients, done, octets, descriptor >= 0, following)
        return fetched, descriptor

    def _count(self, record: Count) -> Counts:
        counts = self._store.counts._asdict()
        counts[ACTIVE] = len(self._live.active_ids())
        counts[INCOMING] = max(0, counts[INCOMING] - counts[ACTIVE])
        return Counts(record.id, counts)


def _filter(queue_name: str | tuple[str, ...], site: str) -> Filter:
    if isinstance(queue_name, tuple):
        return Filter(queue_names=queue_name, domain=site.lower())
    if queue_name == ACTIVE:
        return Filter(queue_names=(INCOMING, DEFERRED), domain=site.lower())
    return Filter(queue_names=(queue_name,) if queue_name else (), domain=site.lower())


def _size(messages: list[Listed]) -> int:
    return sum(
        len(rcpt.address) + len(rcpt.original) + len(rcpt.reason) for each in messages for rcpt in each.recipients
    )


async def _with_room(change: Callable[[], Awaitable[T]]) -> T:
    """Change the store; a full one again and again, since what operators do then is how it gets room."""
    for _ in range(FULL_TRIES):
        try:
            return await change()
        except StoreFullError:
            await asyncio.sleep(FULL_WAIT_S)
    return await change()


def _send(channel: Channel[ToShowq], number: int, outcome: eager.Outcome[tuple[FromShowq, int]]) -> None:
    try:
        reply, descriptor = outcome.result()
    except (StoreError, TemporaryError) as error:
        reply, descriptor = Steered(number, 0, str(error)), -1
    if descriptor >= 0:
        channel.send_with_descriptor(reply, descriptor)
        close_done(descriptor)
    else:
        channel.send(reply)
