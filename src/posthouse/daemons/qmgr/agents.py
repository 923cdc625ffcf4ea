"""Connections to delivery agents: requests out, results in.

One connection for each process of a transport that is wanted; a second one when the first is busy (an agent process
takes one). A process that leaves keeps what it has and gets nothing more. Deliveries of a lost connection go back to be
tried again; their agent brings results that it had.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from posthouse.daemons.qmgr.destinations import Entry, Transport
from posthouse.ipc.delivery import QMGR, Acknowledge, Deliver, FromAgent, Leaving, Results
from posthouse.ipc.stream import Channel, connect_to
from posthouse.util import log

BUSY_DELIVERIES: Final = 32  # in flight on a connection before another process is asked for
RETRY_S: Final[tuple[float, ...]] = (0.01, 0.05, 0.2, 0.5, 1.0)
ACKNOWLEDGE_S: Final = 0.05  # how long an agent waits for an acknowledgement that has no company
CLOSE_IDLE_S: Final = 60.0  # an idle connection is closed, so that the agent may retire


class AgentChannel:
    """One connection to one process of a transport."""

    __slots__ = ("channel", "deliveries", "leaving", "used")

    def __init__(self, channel: Channel[FromAgent]) -> None:
        self.channel = channel
        self.leaving = False  # finishes what it has; the agent closes it
        self.deliveries: dict[int, Entry] = {}
        self.used = 0.0


class Agents:
    """All connections of one transport."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        path: str,
        transport: Transport,
        on_results: Callable[[Entry, Results, Callable[[], None]], None],
        on_lost: Callable[[Entry], None],
        on_available: Callable[[Transport], None],
    ) -> None:
        self._loop = loop
        self._path = path
        self._transport = transport
        self._on_results, self._on_lost, self._on_available = on_results, on_lost, on_available
        self._channels: list[AgentChannel] = []
        self._number = 0
        self._attempt = 0
        self._acknowledging: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._most = max(1, min(os.cpu_count() or 1, transport.limits.processes or UNLIMITED_PROCESSES))

    @property
    def available(self) -> bool:
        """Whether a request can be sent now; otherwise a connection is being made and on_available will be called."""
        if not self._staying():
            self._connect()
        return bool(self._staying())

    def send(self, entry: Entry, request: Deliver, descriptor: int) -> None:
        """Send a request (its id is set here). descriptor: large content, or -1; it stays the caller's."""
        chosen = self._least_busy()
        if len(chosen.deliveries) >= BUSY_DELIVERIES and len(self._staying()) < self._most:
            self._connect()
        chosen.deliveries[request.id] = entry
        if descriptor >= 0:
            chosen.channel.send_with_descriptor(request, descriptor)
        else:
            chosen.channel.send(request)

    def _least_busy(self) -> AgentChannel:
        """A connection that no process has taken yet gets nothing while there is another."""
        staying = self._staying()
        taken = [each for each in staying if each.channel.greeted]
        return min(taken or staying, key=lambda each: len(each.deliveries))

    def _staying(self) -> list[AgentChannel]:
        return [each for each in self._channels if not each.leaving]

    def next_id(self) -> int:
        """Number for the next request."""
        self._number += 1
        return self._number

    def close_idle(self, now: float) -> None:
        """Close connections that have been idle, so that their processes may retire."""
        for each in list(self._channels):
            if each.deliveries:
                each.used = now
            elif now - each.used > CLOSE_IDLE_S:
                each.channel.close()

    def in_flight_messages(self) -> list[str]:
        """Queue IDs of the deliveries under way."""
        return [entry.message.queue_id for each in self._channels for entry in each.deliveries.values()]

    def close(self) -> None:
        """Close everything."""
        if self._retry is not None:
            self._retry.cancel()
        for each in list(self._channels):
            each.channel.flush()
            each.channel.close()

    def _connect(self) -> None:
        if self._retry is not None:
            return
        try:
            sock = connect_to(self._path)
        except OSError as error:
            if self._attempt == len(RETRY_S):
                log.warning(f"connect to transport {self._transport.name}: {error}; trying on")
            wait = RETRY_S[min(self._attempt, len(RETRY_S) - 1)]
            self._attempt += 1
            self._retry = self._loop.call_later(wait, self._try_again)
            return
        each = AgentChannel(Channel(self._loop, sock, QMGR, self._on_record, self._on_close))
        each.used = self._loop.time()
        self._channels.append(each)

    def _try_again(self) -> None:
        self._retry = None
        if self.available:
            self._on_available(self._transport)

    def _find(self, channel: Channel[FromAgent]) -> AgentChannel | None:
        for each in self._channels:
            if each.channel is channel:
                return each
        return None

    def _on_record(self, channel: Channel[FromAgent], record: FromAgent) -> None:
        self._attempt = 0
        each = self._find(channel)
        if isinstance(record, Leaving):
            if each is not None:
                each.leaving = True
            return
        entry = each.deliveries.pop(record.id, None) if each is not None else None
        if entry is None:
            channel.send(Acknowledge(record.id))
            return

        def acknowledge() -> None:
            channel.send_with_next(Acknowledge(record.id))  # with the next request, or soon
            if self._acknowledging is None:
                self._acknowledging = self._loop.call_later(ACKNOWLEDGE_S, self._flush_all)

        self._on_results(entry, record, acknowledge)

    def _flush_all(self) -> None:
        self._acknowledging = None
        for each in self._channels:
            each.channel.flush()

    def _on_close(self, channel: Channel[FromAgent]) -> None:
        each = self._find(channel)
        if each is None:
            return
        self._channels.remove(each)
        for entry in each.deliveries.values():
            self._on_lost(entry)
        self._on_available(self._transport)


UNLIMITED_PROCESSES: Final = 1_000_000
