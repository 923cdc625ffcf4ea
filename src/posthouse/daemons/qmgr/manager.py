"""QueueManager: the way of a message through one round of delivery attempts.

admitted → resolved → queued with the scheduler → results → round over: removed, deferred, or returned to the sender.
A message enters only when it is committed; what became of a recipient is acknowledged to the agent only when that is
committed. Nothing here waits: resolving, notices and the store answer by callbacks.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import compress
from typing import Final

from posthouse.config.parameters import DOUBLE_BOUNCE_SENDER, MYHOSTNAME, RECIPIENT_DELIMITER, RELAY_TRANSPORT
from posthouse.config.settings import Settings
from posthouse.daemons.qmgr.clock import Clock
from posthouse.daemons.qmgr.ledger import Ledger
from posthouse.daemons.qmgr.limits import RetryTimes
from posthouse.daemons.qmgr.message import ActiveMessage
from posthouse.daemons.qmgr.notices import Notices
from posthouse.daemons.qmgr.parameters import (
    DEFAULT_FILTER_NEXTHOP,
    DEFER_TRANSPORTS,
    QMGR_CONTENT_MEMORY,
    QMGR_MESSAGE_ACTIVE_LIMIT,
)
from posthouse.daemons.qmgr.routing import filtered, plan_round
from posthouse.daemons.qmgr.scheduler import Scheduler, log_refused
from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import BOUNCED, DEFERRED, NOTIFY_SUCCESS, SENT, TRACE_VERIFY, RecipientResult
from posthouse.ipc.rewrite import FAILED, Resolved
from posthouse.rewriting.client import RewriteClient
from posthouse.util import eager, log
from posthouse.util.errors import TemporaryError

UNTRIED: Final = ""  # status of a recipient that was not tried


class QueueManager:
    """See the module's docstring. `ledger` is the store, `scheduler` the way to the agents."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: Settings,
        ledger: Ledger,
        scheduler: Scheduler,
        resolver: RewriteClient,
        notices: Notices,
    ) -> None:
        self._loop = loop
        self._ledger = ledger
        self._scheduler = scheduler
        self._resolver = resolver
        self._notices = notices
        self._times = RetryTimes.of(settings)
        self.clock = Clock()
        self._active_limit = settings[QMGR_MESSAGE_ACTIVE_LIMIT]
        self._content_limit = self._content_budget = self._content_room = settings[QMGR_CONTENT_MEMORY]
        self._defer_transports = frozenset(settings[DEFER_TRANSPORTS])
        self._delimiters = settings[RECIPIENT_DELIMITER]
        self._double_bounce = settings[DOUBLE_BOUNCE_SENDER]
        self._filter_nexthop = settings[DEFAULT_FILTER_NEXTHOP]
        self._myhostname = settings[MYHOSTNAME]
        self._divert_transport = settings[RELAY_TRANSPORT].partition(":")[0]
        self._active: dict[str, ActiveMessage] = {}
        self.diverted_to = ""  # next hop of everything, while the system is drained to another
        self.left = 0  # messages whose round has ended, since the start
        self.on_room: Callable[[], None] = _nothing  # called when the active queue has room again
        self.on_deferred: Callable[[float], None] = _ignore_time  # called with each next attempt
        scheduler.owner = self

    # Into the active queue.

    @property
    def room(self) -> int:
        """How many more messages the active queue takes."""
        return self._active_limit - len(self._active)

    def is_active(self, queue_id: str) -> bool:
        """Whether the message is in the active queue."""
        return queue_id in self._active

    def active(self) -> dict[str, ActiveMessage]:
        """The active queue, by queue ID."""
        return self._active

    def share_content_memory(self, share: float) -> None:
        """Keep at most this share of qmgr_content_memory; what is too much is read from the store when it is sent."""
        budget = int(self._content_limit * share)
        self._content_room += budget - self._content_budget
        self._content_budget = budget
        for message in self._active.values() if self._content_room < 0 else ():
            if message.content is not None:
                self._content_room += len(message.content)
                message.content = None
                if self._content_room >= 0:
                    break

    @property
    def content_memory(self) -> int:
        """Bytes of content in memory."""
        return self._content_budget - self._content_room

    def oldest_active(self) -> float:
        """Seconds that the oldest message of the active queue has been there."""
        message = next(iter(self._active.values()), None)
        if message is None or not message.active:
            return 0.0
        return self.clock.age(message.active)

    def admit(self, message: ActiveMessage) -> None:
        """Begin a round."""
        envelope = message.envelope
        if message.content is not None:
            if len(message.content) > self._content_room:
                message.content = None
            else:
                self._content_room -= len(message.content)
        self._active[message.queue_id] = message
        log.info(
            f"{envelope.queue_id}: from=<{envelope.sender}>, size={envelope.size}, nrcpt={len(message.recipients)} "
            "(queue active)",
            event="queued",
            queue_id=envelope.queue_id,
            sender=envelope.sender,
            size=envelope.size,
            nrcpt=len(message.recipients),
        )
        if message.forced_expire:
            self._refuse_all(message, "4.4.7", "message expired")
        elif not message.pending:
            self._round_over(message)
        elif envelope.refusal:
            dsn, _, text = envelope.refusal.partition(" ")
            self._refuse_all(message, dsn, text, BOUNCED)
        else:
            asked = message.to_do()
            eager.start(self._resolve(message, asked), partial(self._resolved, message, asked))

    async def _resolve(self, message: ActiveMessage, asked: Sequence[DeliverTo]) -> Sequence[Resolved]:
        addresses = [rcpt.address for rcpt in asked]
        if self.diverted_to:
            return [Resolved(0, self._divert_transport, self.diverted_to, address) for address in addresses]
        envelope = message.envelope
        if envelope.filter and not envelope.trace & TRACE_VERIFY:
            return filtered(envelope.filter, self._filter_nexthop, addresses, self._myhostname)
        return await self._resolver.resolve_many(envelope.sender, addresses)

    def _resolved(
        self, message: ActiveMessage, asked: Sequence[DeliverTo], outcome: eager.Outcome[Sequence[Resolved]]
    ) -> None:
        if self._active.get(message.queue_id) is not message:
            return  # it was deleted meanwhile
        try:
            resolved = outcome.result()
        except TemporaryError as error:
            log.warning(f"{message.queue_id}: address resolver failure: {error}")
            resolved = [Resolved(FAILED, "", "", "")] * len(asked)
        if message.withdrawn:
            self.held_back(message, [rcpt.rcpt_id for rcpt in message.to_do()])
            return
        if len(asked) > len(message.pending):  # an agent of the last queue manager brought results meanwhile
            waiting = [rcpt.rcpt_id in message.pending for rcpt in asked]
            asked, resolved = list(compress(asked, waiting)), list(compress(resolved, waiting))
        plan = plan_round(
            asked,
            resolved,
            self._scheduler.takes_one,
            self._defer_transports,
            self._delimiters,
            self._double_bounce,
        )
        for rcpt_id, address in plan.readdressed.items():
            old = message.recipients[rcpt_id]
            message.recipients[rcpt_id] = DeliverTo(
                rcpt_id, address, old.original or old.address, old.dsn_orcpt, old.notify
            )
        if plan.refused:
            log_refused(message, plan.refused)
        for (transport, nexthop, name), rcpt_ids in plan.groups.items():
            self._scheduler.submit(message, transport, nexthop, name, rcpt_ids)
        if plan.refused:
            self.took(message, plan.refused, _nothing)

    # What the scheduler asks (scheduler.Owner).

    def fetch_content(self, message: ActiveMessage, then: Callable[[bytes, int, str], None]) -> None:
        """Read content that is not in memory."""
        self._ledger.fetch_content(message, then)

    def took(self, message: ActiveMessage, results: list[RecipientResult], acknowledge: Callable[[], None]) -> None:
        """Take results of some recipients; those that have one already are only acknowledged."""
        taken = [result for result in results if message.take(result)]
        if not taken or self._active.get(message.queue_id) is not message:
            acknowledge()
            return
        if message.over and message.all_sent and not _wants_success_notice(message):
            self._remove(message, acknowledge)  # the usual case: one operation says it all
            return
        final = [result for result in taken if result.outcome != DEFERRED]
        if final:
            self._ledger.record(message, final, acknowledge)
        else:
            acknowledge()
        if message.over:
            self._round_over(message)

    def took_late(self, queue_id: str, results: list[RecipientResult], done: Callable[[], None]) -> None:
        """Take results that an agent had when its connection was lost."""
        message = self._active.get(queue_id)
        if message is not None:
            self.took(message, [result for result in results if result.rcpt_id in message.pending], done)
        else:
            final = [result for result in results if result.outcome != DEFERRED]
            eager.start(self._ledger.sent_late(queue_id, final), partial(_late_stored, done))

    def withdraw(self, queue_id: str, *, gone: bool) -> None:
        """An operator took the message: start no more deliveries of it. gone: it was deleted from the store."""
        message = self._active.get(queue_id)
        if message is None:
            return
        message.withdrawn = True
        waiting = self._scheduler.withdraw(message)
        if gone:
            self._leave(message)
        elif waiting:
            self.held_back(message, waiting)

    def held_back(self, message: ActiveMessage, rcpt_ids: list[int]) -> None:
        """End the round for recipients of a withdrawn message that were not tried: they have no new reason to wait."""
        self.took(message, [RecipientResult(rcpt_id, DEFERRED, UNTRIED, "", "none") for rcpt_id in rcpt_ids], _nothing)

    def force_expire(self, queue_id: str) -> None:
        """Return the message to its sender at the end of this round."""
        message = self._active.get(queue_id)
        if message is not None:
            message.forced_expire = True

    # The end of a round.

    def _round_over(self, message: ActiveMessage) -> None:
        envelope = message.envelope
        old = self._times.expired(self.clock.age(envelope.arrival), is_bounce=not envelope.sender)
        has_deferred = bool(message.with_outcome(DEFERRED))
        if has_deferred and (old or message.forced_expire) and not message.withdrawn:  # held mail does not expire
            log.info(
                f"{envelope.queue_id}: from=<{envelope.sender}>, status={'force-' * message.forced_expire}expired, "
                "returned to sender",
                event="expired",
                queue_id=envelope.queue_id,
                sender=envelope.sender,
            )
            message.expire("message expired")
        if _wants_success_notice(message):
            self._notices.delivered(message, partial(self._success_told, message))
        else:
            self._tell_failure(message)

    def _success_told(self, message: ActiveMessage, error: str) -> None:
        """A notice of success that could not be made does not hold up anything."""
        if error:
            log.warning(f"{message.queue_id}: success notice: {error}")
        self._tell_failure(message, told=not error)

    def _tell_failure(self, message: ActiveMessage, *, told: bool = False) -> None:
        """Tell the sender who failed. told: he heard of success already."""
        if self._active.get(message.queue_id) is not message:
            return  # it was deleted while the sender was told
        bounced, deferred = message.with_outcome(BOUNCED), message.with_outcome(DEFERRED)
        if bounced:
            self._notices.failed(message, bounced, partial(self._failure_told, message))
        elif deferred:
            if told:
                self._ledger.settle(message)
            self._defer(message, deferred)
        else:
            self._remove(message, _nothing)

    def _failure_told(self, message: ActiveMessage, error: str) -> None:
        """The sender knows (or need not), so the bounced recipients are done. With an error: all is tried again."""
        if self._active.get(message.queue_id) is not message:
            return
        if error:  # they stay bounced in the store, and the next round asks for the notice again
            log.warning(f"{message.queue_id}: non-delivery notice: {error}; will try again")
            self._defer(message, message.with_outcome(DEFERRED))
            return
        deferred = message.with_outcome(DEFERRED)
        if not deferred:
            self._remove(message, _nothing)
            return
        self._ledger.settle(message)
        self._defer(message, deferred)

    def _defer(self, message: ActiveMessage, results: list[RecipientResult]) -> None:
        age_s = self.clock.age(message.envelope.arrival)
        due = time.time() + self._times.wait(age_s)
        tried = [result for result in results if result.dsn != UNTRIED]
        if tried and self._notices.delay_is_due(message, age_s, self._times.warning_s):
            self._notices.delayed(message, tried, self._expiry(message))
        if message.expansion_told and message.envelope.expanded:
            self._ledger.expansion_told(message)
        self._leave(message)
        self._ledger.defer(message, tried, due)
        self.on_deferred(due)

    def _remove(self, message: ActiveMessage, acknowledge: Callable[[], None]) -> None:
        self._leave(message)
        self._ledger.remove(message, acknowledge)
        log.info(f"{message.queue_id}: removed", event="removed", queue_id=message.queue_id)

    def _leave(self, message: ActiveMessage) -> None:
        if self._active.pop(message.queue_id, None) is not None:
            self.left += 1
            self._content_room += len(message.content or b"")
        if len(self._active) == self._active_limit - 1:
            self.on_room()

    def _expiry(self, message: ActiveMessage) -> float:
        envelope = message.envelope
        return envelope.arrival + (self._times.lifetime_s if envelope.sender else self._times.bounce_lifetime_s)

    def _refuse_all(self, message: ActiveMessage, dsn: str, text: str, outcome: int = DEFERRED) -> None:
        results = [RecipientResult(rcpt_id, outcome, dsn, text, "none") for rcpt_id in message.pending]
        if outcome == BOUNCED:
            log_refused(message, results)
        if results:
            self.took(message, results, _nothing)


def _late_stored(done: Callable[[], None], outcome: eager.Outcome[None]) -> None:
    """What was not stored is not acknowledged: the agent brings it again."""
    if outcome.error is None:
        done()
    else:
        log.warning(f"late results: {outcome.error}")


def _wants_success_notice(message: ActiveMessage) -> bool:
    return message.tells_expansion or any(
        result.outcome == SENT and result.action and message.recipients[rcpt_id].notify & NOTIFY_SUCCESS
        for rcpt_id, result in message.results.items()
    )


def _nothing() -> None:
    """Nobody waits."""


def _ignore_time(_due: float) -> None:
    """Nobody waits."""
