"""Destinations and transports: what waits for where, and how much may be under way at once.

A destination is one nexthop of one transport (or one recipient, where the transport takes one recipient at a time).
Its window starts at initial_destination_concurrency, grows with deliveries that reach the destination and shrinks with
those that do not; a destination whose window is gone is dead for a while, and what waits for it is deferred at once
(SCHEDULER_README's behaviour: feedback 1 per delivery, one failed cohort).

A destination is *prompt* while its deliveries reach it and do not take long. In a crowd, those that are not (tarpits,
hosts that are away, those never tried) get one delivery each and leave a part of the transport to the prompt ones.
Sources: postconf(5) *_destination_concurrency_*, qmgr(8).
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from posthouse.daemons.qmgr.message import ActiveMessage

PROMPT_S: Final = 10.0  # what a delivery to a prompt destination takes at most
# Shares of the process limit:
CROWD: Final = 0.25  # with more than that under way, a destination that is not prompt gets one delivery
KEPT_FREE: Final = 0.25  # for prompt destinations only


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

    __slots__ = ("began", "destination", "message", "nexthop", "rcpt_ids", "was_prompt")

    def __init__(self, message: ActiveMessage, destination: "Destination", nexthop: str, rcpt_ids: list[int]) -> None:
        self.message = message
        self.destination = destination
        self.nexthop = nexthop
        self.rcpt_ids = rcpt_ids
        self.began = 0.0  # loop time
        self.was_prompt = False  # its destination, then


class Destination:
    """Entries for one nexthop, and its concurrency window."""

    __slots__ = (
        "_failures",
        "dead_until",
        "in_flight",
        "name",
        "not_before",
        "prompt",
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
        self.prompt = False
        self.queued = False  # stands in one of the transport's round robins
        self._failures = 0.0

    @property
    def ready(self) -> bool:
        """Whether another delivery may start, as far as the window goes."""
        return bool(self.todo) and self.in_flight < int(self.window)

    def reached(self, took_s: float = 0.0) -> None:
        """A delivery reached the destination, whatever became of the message. `in_flight` does not count it any more.

        The window grows only while it is needed: success of one at a time says nothing about twenty at once.
        """
        limits = self.transport.limits
        self._failures = 0.0
        self.prompt = took_s <= PROMPT_S
        if self.window >= self.in_flight + 1 + limits.window_initial:
            return
        grown = self.window + limits.positive_feedback
        self.window = grown if not limits.window_limit else min(grown, float(limits.window_limit))

    def not_reached(self, now: float, why: str, pause_s: float) -> bool:
        """A delivery could not reach it. True: it is dead from now on, for pause_s seconds."""
        limits = self.transport.limits
        self.prompt = False
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

    __slots__ = (
        "_others",
        "_others_in_flight",
        "_prompt",
        "_prompt_first",
        "destinations",
        "in_flight",
        "limits",
        "name",
    )

    def __init__(self, name: str, limits: TransportLimits) -> None:
        self.name = name
        self.limits = limits
        self.destinations: dict[str, Destination] = {}
        self.in_flight = 0
        self._others_in_flight = 0
        self._prompt: deque[Destination] = deque()  # two round robins; a destination is moved when its turn comes
        self._others: deque[Destination] = deque()
        self._prompt_first = False

    @property
    def waiting(self) -> bool:
        """Whether destinations stand in line (perhaps with nothing left to do)."""
        return bool(self._prompt or self._others)

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
            self._line(destination).append(destination)

    def next_entry(self, now: float) -> Entry | None:
        """Take the next delivery that may start now: destinations in turn, entries in order."""
        if self.limits.processes and self.in_flight >= self.limits.processes:
            return None
        self._prompt_first = not self._prompt_first
        entry = None
        for prompt in (self._prompt_first, not self._prompt_first):
            if entry is None and (prompt or self._others_may):
                entry = self._next_of(self._prompt if prompt else self._others, now)
        return entry

    def _line(self, destination: Destination) -> deque[Destination]:
        return self._prompt if destination.prompt else self._others

    @property
    def _others_may(self) -> bool:
        """Whether a destination that is not prompt may have another delivery."""
        limit = self.limits.processes
        return not limit or self._others_in_flight < limit - int(KEPT_FREE * limit)

    def _next_of(self, line: deque[Destination], now: float) -> Entry | None:
        crowded = bool(self.limits.processes) and self.in_flight >= CROWD * self.limits.processes
        for _ in range(len(line)):
            destination = line.popleft()
            if not destination.todo:
                destination.queued = False
                continue
            self._line(destination).append(destination)
            if not destination.ready or destination.not_before > now:
                continue
            if destination.prompt or (self._others_may and not (crowded and destination.in_flight)):
                return self._begin(destination, now)
        return None

    def _begin(self, destination: Destination, now: float) -> Entry:
        entry = destination.todo.popleft()
        entry.began, entry.was_prompt = now, destination.prompt
        self.in_flight += 1
        self._others_in_flight += not destination.prompt
        destination.in_flight += 1
        if self.limits.rate_delay_s:
            destination.not_before = now + self.limits.rate_delay_s
        return entry

    def done(self, entry: Entry) -> None:
        """A delivery ended."""
        self.in_flight -= 1
        self._others_in_flight -= not entry.was_prompt
        entry.destination.in_flight -= 1

    def forget_idle(self, now: float) -> None:
        """Drop destinations with nothing to remember, so that memory does not grow with the names ever seen."""
        for name, destination in list(self.destinations.items()):
            if not destination.todo and not destination.in_flight and destination.dead_until <= now:
                if destination.queued:
                    for line in (self._prompt, self._others):
                        if destination in line:
                            line.remove(destination)
                del self.destinations[name]
