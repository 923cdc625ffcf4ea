"""Destinations and transports: what waits for where, and how much may be under way at once.

A destination is one nexthop of one transport (or one recipient, where the transport takes one recipient at a time).
Its window starts at initial_destination_concurrency, grows with deliveries that reach the destination and shrinks with
those that do not; a destination whose window is gone is dead for a while, and what waits for it is deferred at once
(SCHEDULER_README's behaviour: feedback 1 per delivery, one failed cohort).
Sources: postconf(5) *_destination_concurrency_*, qmgr(8).
"""

from collections import deque
from dataclasses import dataclass

from posthouse.daemons.qmgr.message import ActiveMessage


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """What main.cf and master.cf say of one transport."""

    processes: int  # master.cf maxproc: deliveries at once over all destinations
    window_initial: int
    window_limit: int  # 0: none
    recipients: int  # in one delivery; 1 makes every recipient a destination of its own
    failed_cohorts: float = 1.0
    positive_feedback: float = 1.0
    negative_feedback: float = 1.0
    rate_delay_s: float = 0.0


class Entry:
    """Some recipients of one message for one destination: one delivery request."""

    __slots__ = ("destination", "message", "nexthop", "rcpt_ids")

    def __init__(self, message: ActiveMessage, destination: "Destination", nexthop: str, rcpt_ids: list[int]) -> None:
        self.message = message
        self.destination = destination
        self.nexthop = nexthop
        self.rcpt_ids = rcpt_ids


class Destination:
    """Entries for one nexthop, and its concurrency window."""

    __slots__ = (
        "_failures",
        "dead_until",
        "in_flight",
        "name",
        "not_before",
        "queued",
        "todo",
        "transport",
        "why",
        "window",
    )

    def __init__(self, transport: "Transport", name: str) -> None:
        self.transport = transport
        self.name = name
        self.todo: deque[Entry] = deque()
        self.in_flight = 0
        self.window = float(transport.limits.window_initial)
        self.dead_until = 0.0
        self.why = ""
        self.not_before = 0.0  # rate delay
        self.queued = False  # stands in the transport's round robin
        self._failures = 0.0

    @property
    def ready(self) -> bool:
        """Whether another delivery may start, as far as the window goes."""
        return bool(self.todo) and self.in_flight < int(self.window)

    def reached(self) -> None:
        """A delivery reached the destination, whatever became of the message. `in_flight` does not count it any more.

        The window grows only while it is needed: success of one at a time says nothing about twenty at once.
        """
        limits = self.transport.limits
        self._failures = 0.0
        if self.window >= self.in_flight + 1 + limits.window_initial:
            return
        grown = self.window + limits.positive_feedback
        self.window = grown if not limits.window_limit else min(grown, float(limits.window_limit))

    def not_reached(self, now: float, why: str, pause_s: float) -> bool:
        """A delivery could not reach it. True: it is dead from now on, for pause_s seconds."""
        limits = self.transport.limits
        self._failures += 1.0 / max(self.window, 1.0)
        self.window = max(self.window - limits.negative_feedback, 1.0)
        if limits.failed_cohorts and self._failures >= limits.failed_cohorts:
            self.dead_until, self.why = now + pause_s, why
            self.window = float(limits.window_initial)
            self._failures = 0.0
            return True
        return False


class Transport:
    """One delivery service of master.cf: its destinations in turn, within its process limit."""

    __slots__ = ("destinations", "in_flight", "limits", "name", "turn")

    def __init__(self, name: str, limits: TransportLimits) -> None:
        self.name = name
        self.limits = limits
        self.destinations: dict[str, Destination] = {}
        self.turn: deque[Destination] = deque()
        self.in_flight = 0

    def destination(self, name: str) -> Destination:
        """Find or make a destination."""
        found = self.destinations.get(name)
        if found is None:
            found = self.destinations[name] = Destination(self, name)
        return found

    def add(self, entry: Entry) -> None:
        """Queue an entry with its destination."""
        destination = entry.destination
        destination.todo.append(entry)
        if not destination.queued:
            destination.queued = True
            self.turn.append(destination)

    def next_entry(self, now: float) -> Entry | None:
        """Take the next delivery that may start now: destinations in turn, entries in order."""
        if self.limits.processes and self.in_flight >= self.limits.processes:
            return None
        for _ in range(len(self.turn)):
            destination = self.turn[0]
            self.turn.rotate(-1)
            if not destination.todo:
                self.turn.pop()
                destination.queued = False
            elif destination.ready and destination.not_before <= now:
                self.in_flight += 1
                destination.in_flight += 1
                if self.limits.rate_delay_s:
                    destination.not_before = now + self.limits.rate_delay_s
                return destination.todo.popleft()
        return None

    def done(self, entry: Entry) -> None:
        """A delivery ended."""
        self.in_flight -= 1
        entry.destination.in_flight -= 1

    def forget_idle(self, now: float) -> None:
        """Drop destinations with nothing to remember, so that memory does not grow with the names ever seen."""
        for name, destination in list(self.destinations.items()):
            if not destination.todo and not destination.in_flight and destination.dead_until <= now:
                if destination.queued:
                    self.turn.remove(destination)
                del self.destinations[name]
