"""Scheduler: entries to agents, results back. It knows transports, destinations and connections, no store.

The queue manager gives it a round of a message (`submit`) and is called back once for each result.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from posthouse.config.settings import Settings
from posthouse.daemons.qmgr.agents import Agents
from posthouse.daemons.qmgr.destinations import Destination, Entry, Transport
from posthouse.daemons.qmgr.limits import process_limits, transport_limits
from posthouse.daemons.qmgr.message import ActiveMessage
from posthouse.delivery.status import STATUS_WORD, orig_to
from posthouse.ipc.delivery import Deliver, Results
from posthouse.ipc.message import DEFERRED, RecipientResult
from posthouse.util import log
from posthouse.util.delay import format_delay
from posthouse.util.files import close_done

HOUSEKEEPING_S: Final = 10.0  # how often idle destinations and connections are looked for
MOST_RECIPIENTS: Final = 1000  # of one delivery, also where there is no limit: their results make one record
MAX_LOST: Final = 2  # a message whose agent died so often waits before it is tried again


class Owner(Protocol):
    """What the scheduler asks of the queue manager."""

    def fetch_content(self, message: ActiveMessage, then: Callable[[bytes, int, str], None]) -> None:
        """Read content that is not in memory; `then` gets content, or a descriptor that it closes, or why not."""

    def took(self, message: ActiveMessage, results: list[RecipientResult], acknowledge: Callable[[], None]) -> None:
        """Take results; call `acknowledge` when they are committed."""

    def held_back(self, message: ActiveMessage, rcpt_ids: list[int]) -> None:
        """Take recipients that were not tried because the message was withdrawn."""


class Scheduler:
    """See the module's docstring."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, settings: Settings, private: Callable[[str], str], dead_pause_s: float
    ) -> None:
        self._loop = loop
        self._settings = settings
        self._private = private
        self._dead_pause_s = dead_pause_s
        self._processes = process_limits(settings)
        self._transports: dict[str, Transport] = {}
        self._agents: dict[str, Agents] = {}
        self._lost: dict[tuple[str, int], int] = {}  # by queue ID and first recipient: agents that died with it
        self._paused = False
        self._wanted: set[str] = set()
        self._pump_scheduled = False
        self.owner: Owner | None = None
        self._housekeeper = loop.call_later(HOUSEKEEPING_S, self._housekeeping)

    def transport(self, name: str) -> Transport:
        """Find or make a transport."""
        found = self._transports.get(name)
        if found is None:
            limits = transport_limits(self._settings, name, self._processes)
            found = self._transports[name] = Transport(name, limits)
            self._agents[name] = Agents(
                self._loop, self._private(name), found, self._on_results, self._on_lost, self._want
            )
        return found

    def takes_one(self, transport_name: str) -> bool:
        """Whether a transport takes one recipient at a time."""
        return self.transport(transport_name).limits.recipients == 1

    def submit(self, message: ActiveMessage, transport_name: str, nexthop: str, name: str, rcpt_ids: list[int]) -> None:
        """Queue recipients of a message for a destination (name, or nexthop when it is empty)."""
        transport = self.transport(transport_name)
        destination = transport.destination(name or nexthop)
        if destination.dead_until > self._loop.time():
            why = f"delivery temporarily suspended: {destination.why}"
            self._refuse(message, rcpt_ids, "4.3.0", why)
            return
        most = min(transport.limits.recipients or MOST_RECIPIENTS, MOST_RECIPIENTS)
        for start in range(0, len(rcpt_ids), most):
            transport.add(Entry(message, destination, nexthop, rcpt_ids[start : start + most]))
        self._want(transport)

    def revive(self, site: str = "") -> None:
        """Forget that destinations are dead (flush): of one name, or all."""
        for transport in self._transports.values():
            for destination in transport.destinations.values():
                if not site or destination.name == site:
                    destination.dead_until = 0.0

    def withdraw(self, message: ActiveMessage) -> list[int]:
        """Take back what waits of a message; returns its recipients. Deliveries that run are not stopped."""
        waiting: list[int] = []
        for transport in self._transports.values():
            for destination in transport.destinations.values():
                mine = [entry for entry in destination.todo if entry.message is message]
                for entry in mine:
                    destination.todo.remove(entry)
                    waiting += entry.rcpt_ids
        return waiting

    @property
    def in_flight(self) -> int:
        """Deliveries under way."""
        return sum(transport.in_flight for transport in self._transports.values())

    def in_flight_messages(self) -> set[str]:
        """Queue IDs of messages that agents are busy with."""
        return {queue_id for agents in self._agents.values() for queue_id in agents.in_flight_messages()}

    def pause(self) -> None:
        """Start no more deliveries."""
        self._paused = True

    def close(self) -> None:
        """Close all connections; results that come later are brought by the agents."""
        self._housekeeper.cancel()
        for agents in self._agents.values():
            agents.close()

    def _want(self, transport: Transport) -> None:
        self._wanted.add(transport.name)
        if not self._pump_scheduled:
            self._pump_scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Send what may be sent."""
        self._pump_scheduled = False
        if self._paused:
            return
        wanted, self._wanted = self._wanted, set()
        for name in wanted:
            transport, agents = self._transports[name], self._agents[name]
            if not transport.waiting or not agents.available:
                continue
            while (entry := transport.next_entry(self._loop.time())) is not None:
                self._send(agents, entry)

    def _send(self, agents: Agents, entry: Entry) -> None:
        if not _narrowed(entry):
            entry.destination.transport.done(entry)
            return
        content = entry.message.content
        if content is not None:
            self._request(agents, entry, content, -1)
            return
        assert self.owner is not None, "scheduler without its queue manager"
        self.owner.fetch_content(entry.message, partial(self._fetched, agents, entry))

    def _fetched(self, agents: Agents, entry: Entry, content: bytes, descriptor: int, error: str) -> None:
        """The store gave the content; the delivery's place was kept."""
        if entry.message.withdrawn:
            entry.destination.transport.done(entry)
            self._hold_back(entry.message, entry.rcpt_ids)
        elif error:
            log.warning(f"{entry.message.queue_id}: content cannot be read: {error}")
            entry.destination.transport.done(entry)
            self._refuse(entry.message, entry.rcpt_ids, "4.3.0", "queue file read error")
        elif not _narrowed(entry):
            entry.destination.transport.done(entry)
        elif not agents.available:
            entry.destination.transport.done(entry)
            entry.destination.transport.add(entry)
        else:
            self._request(agents, entry, content, descriptor)
        if descriptor >= 0:
            close_done(descriptor)

    def _request(self, agents: Agents, entry: Entry, content: bytes, descriptor: int) -> None:
        message, transport = entry.message, entry.destination.transport
        request = Deliver(
            agents.next_id(),
            message.envelope,
            entry.nexthop,
            [message.recipients[rcpt_id] for rcpt_id in entry.rcpt_ids],
            message.active,
            content,
            with_descriptor=descriptor >= 0,
            reuse=bool(entry.destination.todo),
        )
        agents.send(entry, request, descriptor)
        if transport.limits.rate_delay_s:
            self._loop.call_later(transport.limits.rate_delay_s, self._want, transport)

    def _on_results(self, entry: Entry, results: Results, acknowledge: Callable[[], None]) -> None:
        assert self.owner is not None, "scheduler without its queue manager"
        destination = entry.destination
        destination.transport.done(entry)
        if results.destination_dead:
            self._not_reached(destination, results.why)
        else:
            destination.reached(self._loop.time() - entry.began)
        if destination.todo or destination.transport.waiting:
            self._want(destination.transport)
        message = entry.message
        given = {result.rcpt_id: result for result in reversed(results.results)}  # the first one for each counts
        self.owner.took(message, [given[rcpt_id] for rcpt_id in entry.rcpt_ids if rcpt_id in given], acknowledge)
        missing = set(entry.rcpt_ids).difference(given)
        if missing:
            log.warning(
                f"{message.queue_id}: transport {destination.transport.name} gave no result for some recipients"
            )
            self._refuse(message, sorted(missing), "4.3.0", "delivery agent gave no result")

    def _not_reached(self, destination: Destination, why: str) -> None:
        now = self._loop.time()
        if destination.not_reached(now, why, self._dead_pause_s):
            todo, destination.todo = list(destination.todo), type(destination.todo)()
            for entry in todo:
                text = f"delivery temporarily suspended: {why}"
                self._refuse(entry.message, entry.rcpt_ids, "4.3.0", text)

    def _on_lost(self, entry: Entry) -> None:
        """The agent went away with this delivery: try again at once, but not for ever."""
        destination = entry.destination
        destination.transport.done(entry)
        waiting = [rcpt_id for rcpt_id in entry.rcpt_ids if rcpt_id in entry.message.pending]
        if not waiting:
            return
        if entry.message.withdrawn:
            self._hold_back(entry.message, waiting)
            return
        key = entry.message.queue_id, entry.rcpt_ids[0]
        times = self._lost[key] = self._lost.get(key, 0) + 1
        if times > MAX_LOST:
            del self._lost[key]
            self._refuse(entry.message, waiting, "4.3.0", "unknown mail transport error")
            return
        destination.transport.add(Entry(entry.message, destination, entry.nexthop, waiting))
        self._want(destination.transport)

    def _hold_back(self, message: ActiveMessage, rcpt_ids: list[int]) -> None:
        """End the round of recipients of a message that an operator took away meanwhile."""
        assert self.owner is not None, "scheduler without its queue manager"
        self.owner.held_back(message, rcpt_ids)

    def _refuse(self, message: ActiveMessage, rcpt_ids: list[int], dsn: str, text: str) -> None:
        assert self.owner is not None, "scheduler without its queue manager"
        results = [RecipientResult(rcpt_id, DEFERRED, dsn, text, "none") for rcpt_id in rcpt_ids]
        log_refused(message, results)
        self.owner.took(message, results, _nothing)

    def _housekeeping(self) -> None:
        now = self._loop.time()
        for name, transport in self._transports.items():
            transport.forget_idle(now)
            self._agents[name].close_idle(now)
            if transport.waiting:
                self._want(transport)  # rate delays, and destinations that are alive again
        if len(self._lost) > 10_000:
            self._lost.clear()
        self._housekeeper = self._loop.call_later(HOUSEKEEPING_S, self._housekeeping)


def _narrowed(entry: Entry) -> bool:
    """Leave out recipients whose results came late, from the agent of a lost connection; whether any are left."""
    entry.rcpt_ids = [rcpt_id for rcpt_id in entry.rcpt_ids if rcpt_id in entry.message.pending]
    return bool(entry.rcpt_ids)


def log_refused(message: ActiveMessage, results: list[RecipientResult]) -> None:
    """Log recipients whose result is the queue manager's own, in the form of a delivery agent."""
    now, arrival = time.time(), message.envelope.arrival
    active = max(message.active, arrival)
    delay = format_delay(now - arrival)
    delays = f"{format_delay(active - arrival)}/{format_delay(now - active)}/0/0"
    for result in results:
        rcpt = message.recipients[result.rcpt_id]
        status = STATUS_WORD[result.outcome]
        log.info(
            f"{message.queue_id}: to=<{rcpt.address}>,{orig_to(rcpt)} relay=none, delay={delay}, delays={delays}, "
            f"dsn={result.dsn}, status={status} ({result.text})",
            event="delivery",
            queue_id=message.queue_id,
            recipient=rcpt.address,
            original_recipient=rcpt.original,
            relay="none",
            delay=round(now - arrival, 3),
            delays=delays,
            dsn=result.dsn,
            status=status,
            reason=result.text,
        )


def _nothing() -> None:
    """Nobody waits for this acknowledgement."""
