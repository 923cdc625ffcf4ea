"""QmgrService: the sockets of qmgr(8), and how its parts are put together.

One socket takes three protocols (told by the first frame) and Postfix's one-letter triggers. Who may speak which is
decided by the uid the kernel gives.
"""

import asyncio
import os
import socket
import time
from functools import partial
from typing import Final

from posthouse.config.parameters import (
    MAIL_OWNER,
    NETWORK_OWNER,
    QUEUE_RESERVE,
    SENDER_DEPENDENT_DEFAULT_TRANSPORT_MAPS,
    SENDER_DEPENDENT_RELAYHOST_MAPS,
)
from posthouse.daemons.qmgr.admin import Admin
from posthouse.daemons.qmgr.clock import JUMP_S, ClockWatch
from posthouse.daemons.qmgr.due import DueReader
from posthouse.daemons.qmgr.intake import Intake
from posthouse.daemons.qmgr.ledger import Ledger, revive
from posthouse.daemons.qmgr.limits import RetryTimes
from posthouse.daemons.qmgr.manager import QueueManager
from posthouse.daemons.qmgr.message import ActiveMessage
from posthouse.daemons.qmgr.notices import Notices
from posthouse.daemons.qmgr.parameters import TRANSPORT_RETRY_TIME
from posthouse.daemons.qmgr.requeue import REQUEUE_FILTER, Requeuer
from posthouse.daemons.qmgr.scheduler import Scheduler
from posthouse.ipc import delivery, queue, showq
from posthouse.ipc.delivery import LateResults, LateTaken, ToResults
from posthouse.ipc.own_users import Door, own_uids
from posthouse.ipc.record import Hello
from posthouse.ipc.stream import Channel, peek_hello, peer_credentials, refuse_descriptors
from posthouse.queue.reserve import Reserve
from posthouse.queue.store import Store
from posthouse.queue.values import StoredMessage, StoreError, StoreFailedError, UnreadableError
from posthouse.rewriting.client import RewriteClient
from posthouse.skeleton.daemon import Context, Service
from posthouse.util import eager, log
from posthouse.util.errors import Fatal

START_GRACE_S: Final = 0.5  # agents that outlived the last queue manager bring their results first
STILL_DELIVERING_S: Final = 60.0  # how long a message that an agent is busy with is kept back
RETIRE_WAIT_S: Final = 10.0  # how long deliveries may go on when qmgr is replaced
HELLO_WAIT_S: Final = 10.0
TRIGGER_WAKEUP, TRIGGER_FLUSH = b"WIA", b"FD"  # Postfix's letters: look for mail; try deferred mail now


class QmgrService(Service):
    """See the module's docstring."""

    def __init__(self, context: Context, store: Store) -> None:
        settings, loop = context.settings, context.loop
        self._context, self._store, self._loop = context, store, loop
        self._ledger = Ledger(store)
        self._scheduler = Scheduler(loop, settings, context.private, settings[TRANSPORT_RETRY_TIME])
        self._notices = Notices(loop, settings, context.private, self._ledger)
        by_sender = bool(settings[SENDER_DEPENDENT_RELAYHOST_MAPS] or settings[SENDER_DEPENDENT_DEFAULT_TRANSPORT_MAPS])
        self._resolver = RewriteClient(loop, context.private("rewrite"), sender_matters=by_sender)
        self._manager = QueueManager(loop, settings, self._ledger, self._scheduler, self._resolver, self._notices)
        self._due = DueReader(loop, store.due, lambda: self._manager.room, self._take_stored)
        self._requeuer = Requeuer(loop, store, context.public("cleanup"), settings.text(REQUEUE_FILTER))
        self._admin = Admin(store, self)
        self._manager.on_room = self._due.scan
        self._manager.on_deferred = self._due.expect
        self._due.farthest_s = RetryTimes.of(settings).longest_wait + JUMP_S
        self._due.on_too_far = self._clock_went_back
        self._clock_watch = ClockWatch(loop, self._manager.clock, self._clock_went_back)
        self._own = {0, os.geteuid()}
        self._inner = own_uids(settings, (MAIL_OWNER,))
        self._agents = own_uids(settings, (MAIL_OWNER, NETWORK_OWNER))
        self._door = Door(settings, "qmgr")
        refuse_descriptors(context.listeners)
        self._closing = False
        self._closed = False
        self._arrived = 0  # messages, since the start
        self._reviving: dict[str, bool] = {}  # by queue ID: all recipients are being read; False: withdrawn meanwhile
        self._reserve = Reserve(f"{context.queue_directory}/posthouse", settings[QUEUE_RESERVE], log.warning)
        context.resources.watch(self._review_resources)
        store.on_failure(self._store_failed)
        loop.call_later(START_GRACE_S, self._due.scan)

    # Connections.

    def accept(self, sock: socket.socket, listener: int) -> None:
        """See what the other end says first. Strangers are not waited for: they could hold all descriptors."""
        if not self._door.admits(sock):
            return
        sock.setblocking(False)
        timer = self._loop.call_later(HELLO_WAIT_S, self._drop, sock)
        self._loop.add_reader(sock.fileno(), self._first_bytes, sock, timer)

    def _drop(self, sock: socket.socket) -> None:
        if sock.fileno() >= 0:
            self._loop.remove_reader(sock.fileno())
            sock.close()

    def _first_bytes(self, sock: socket.socket, timer: asyncio.TimerHandle) -> None:
        try:
            said = peek_hello(sock)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            said = b""
        timer.cancel()
        self._loop.remove_reader(sock.fileno())
        if isinstance(said, Hello):
            self._open(sock, said.protocol)
            return
        uid = peer_credentials(sock).uid
        sock.close()
        if said and not self._closing:
            self._trigger(said, uid)

    def _open(self, sock: socket.socket, protocol: str) -> None:
        uid = peer_credentials(sock).uid
        if protocol == queue.NAME and uid in self._inner:
            intake = Intake(self._ledger, self._stored, self._context.resources)
            Channel(self._loop, sock, queue.SERVER, intake.on_record, intake.on_close)
        elif protocol == delivery.RESULTS_NAME and uid in self._agents:
            Channel(self._loop, sock, delivery.LATE_SERVER, self._late, lambda _channel: None)
        elif protocol == showq.NAME and uid in self._inner:
            may_steer = uid in self._own
            Channel(self._loop, sock, showq.SERVER, partial(self._admin.on_record, may_steer), lambda _channel: None)
        else:
            log.warning(f"uid {uid} may not use the {protocol!r} protocol; connection closed")
            sock.close()

    def _trigger(self, letters: bytes, uid: int) -> None:
        if any(letter in TRIGGER_FLUSH for letter in letters) and uid in self._inner:
            eager.start(self._admin.flush("", ""), lambda _outcome: None)
        elif any(letter in TRIGGER_WAKEUP for letter in letters):
            self._due.scan()

    # Messages.

    def _stored(self, message: ActiveMessage) -> None:
        """A new message is durable."""
        self._arrived += 1
        if self._closing or self._manager.room <= 0:
            self._due.set_back(message.envelope.arrival)
            return
        message.active = time.time()
        self._manager.admit(message)

    def _take_stored(self, stored: StoredMessage) -> None:
        """A message from the store is due."""
        if self._closing or self._manager.is_active(stored.queue_id):
            return
        self._reviving[stored.queue_id] = True
        eager.start(revive(self._store, stored, time.time()), partial(self._revived, stored.queue_id))

    def _revived(self, queue_id: str, outcome: eager.Outcome[ActiveMessage]) -> None:
        wanted = self._reviving.pop(queue_id, False)
        try:
            message = outcome.result()
        except UnreadableError as error:
            eager.start(self._ledger.set_aside(queue_id, error), _set_aside)
            return
        except StoreError as error:
            log.warning(f"reading the queue: {error}")
            return
        if wanted and not self._manager.is_active(queue_id):
            self._manager.admit(message)

    def _late(self, channel: Channel[ToResults], record: ToResults) -> None:
        def taken() -> None:
            channel.send(LateTaken(record.id))

        if isinstance(record, LateResults):
            self._manager.took_late(record.queue_id, record.results, taken)
        elif self._manager.is_active(record.queue_id):
            taken()
        else:
            until = time.time() + STILL_DELIVERING_S
            eager.start(self._ledger.keep_back(record.queue_id, until), lambda _outcome: taken())

    def _clock_went_back(self) -> None:
        """What was due by the time that it was is due now."""
        self._due.set_back(0.0)
        eager.start(self._admin.clock_went_back(), _woken)

    # What is scarce.

    def _review_resources(self) -> None:
        state = self._context.resources.state
        self._manager.share_content_memory(state.content_share)
        self._manager.diverted_to = state.drain_to
        if state.content_share < 1.0:
            self._resolver.forget()
        if state.queue_known:
            self._review_reserve(wanted=state.hold_reserve)

    def _review_reserve(self, *, wanted: bool) -> None:
        """Make the reserve, or give it up. The governor is told before, else it would take the room for new."""
        reserve = self._reserve
        if reserve.is_whole if wanted else not reserve.is_there:
            return
        reserve.intended = wanted
        self._context.resources.report()
        if wanted:
            reserve.hold()
        else:
            log.warning(f"no room where the queue is: the reserve of {reserve.size} bytes is given up")
            reserve.give_up()
        reserve.intended = None
        self._context.resources.report()

    def numbers(self) -> dict[str, float]:
        """Count mail in and out, and what is where."""
        manager, counts = self._manager, self._store.counts
        found: dict[str, float] = {
            "queue_arrived": self._arrived,
            "queue_left": manager.left,
            "queue_active": len(manager.active()),
            "queue_room": manager.room,
            "queue_oldest_active": round(manager.oldest_active()),
            "queue_content_memory": manager.content_memory,
        }
        found |= {f"queue_{name}": number for name, number in counts._asdict().items()}
        return found | self._reserve.numbers()

    # What operators touch (admin.Live).

    def is_active(self, queue_id: str) -> bool:
        """Whether the message is in the active queue."""
        return self._manager.is_active(queue_id)

    def active_ids(self) -> list[str]:
        """Which messages are."""
        return list(self._manager.active())

    def withdraw(self, queue_id: str, *, gone: bool) -> None:
        """Start no more deliveries of it."""
        if queue_id in self._reviving:
            self._reviving[queue_id] = False
        self._manager.withdraw(queue_id, gone=gone)

    def force_expire(self, queue_id: str) -> None:
        """Return it at the end of this round."""
        self._manager.force_expire(queue_id)

    def look(self, since: float) -> None:
        """Something may be due now; before what was read already, where the clock was set back a little."""
        self._due.set_back(since)
        self._due.scan()

    def revive(self, site: str) -> None:
        """Forget that destinations are dead."""
        self._scheduler.revive(site)

    async def requeue(self, stored: StoredMessage) -> int:
        """Send it through cleanup again."""
        return await self._requeuer.requeue(stored)

    # The end.

    @property
    def busy(self) -> bool:
        """Until the store is closed."""
        return self._closing and not self._closed

    def retire(self) -> None:
        """Start no more deliveries, wait for those and the notices under way for a while, close the store."""
        self._closing = True
        self._due.stop()
        self._clock_watch.stop()
        self._scheduler.pause()
        self._wait_for_deliveries(self._loop.time() + RETIRE_WAIT_S)

    def _wait_for_deliveries(self, deadline: float) -> None:
        is_idle = not self._scheduler.in_flight and self._notices.idle  # a notice that is made now is not made again
        if not is_idle and self._loop.time() < deadline:
            self._loop.call_later(0.02, self._wait_for_deliveries, deadline)
            return
        until = time.time() + STILL_DELIVERING_S
        for queue_id in self._scheduler.in_flight_messages():
            message = self._manager.active().get(queue_id)
            if message is not None:
                self._store.defer(message.key, until)
        self._scheduler.close()
        self._loop.create_task(self._close_store())

    async def _close_store(self) -> None:
        await self._store.close()
        self._closed = True

    def _store_failed(self, failure: StoreFailedError) -> None:
        """Nothing may be acknowledged any more; the next process saves what can be read."""
        raise Fatal(f"queue store failed: {failure}")


def _set_aside(outcome: eager.Outcome[None]) -> None:
    """Say that it could not be done; the next start tries again."""
    if outcome.error is not None:
        log.warning(f"setting a message aside: {outcome.error}")


def _woken(outcome: eager.Outcome[None]) -> None:
    """Say what could not be done; the next jump, or the next start, tries again."""
    if outcome.error is not None:
        log.warning(f"making waiting mail due: {outcome.error}")
