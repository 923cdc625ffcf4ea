"""AgentService: a delivery agent's side of the conversation with qmgr(8).

An agent is one function, `deliver(delivery)`, that starts a delivery and calls `delivery.finish(...)` once, now or
later. Every result is kept until qmgr has committed it; if the connection is lost before, it is brought to qmgr's own
socket, so that a message which the remote server accepted is not sent a second time.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final

from posthouse.config.parameters import QUEUE_OWNER
from posthouse.delivery.status import log_results
from posthouse.ipc.delivery import (
    AGENT,
    LATE_CLIENT,
    Acknowledge,
    Deliver,
    LateResults,
    LateTaken,
    Leaving,
    Results,
    StillDelivering,
    ToAgent,
)
from posthouse.ipc.message import RecipientResult
from posthouse.ipc.own_users import Door
from posthouse.ipc.stream import Channel, Client
from posthouse.skeleton.daemon import Context, Service
from posthouse.util.files import close_done

LATE_TIMEOUT_S: Final = 600.0  # how long results wait for a queue manager that does not come back
ANNOUNCE_S: Final = 20.0  # how often the next queue manager hears of what is under way; it waits for three of these
ANNOUNCE_LIMIT_S: Final = 3600.0  # no delivery takes longer
MAX_CONTENT: Final = 1 << 31


class Delivery:
    """One delivery in progress."""

    __slots__ = ("_content", "_descriptor", "_report", "began", "conn_use", "connected", "request")

    def __init__(self, request: Deliver, descriptor: int, report: "Callable[[Delivery, Results], None]") -> None:
        self.request = request
        self.began = 0.0  # when a connection was asked for (seconds since the epoch), for delays=; 0: never
        self.connected = 0.0  # when it could be used; now - connected is the transmission
        self.conn_use = 0  # how many deliveries the connection has made, where it is used again
        self._descriptor = descriptor
        self._content: bytes | None = None if descriptor >= 0 else request.content
        self._report = report

    def content(self) -> bytes:
        """Return the whole content, LF line ends. Large content is read from its descriptor."""
        if self._content is not None:
            return self._content
        size = os.fstat(self._descriptor).st_size
        pieces, offset = [], 0
        while offset < size and (piece := os.pread(self._descriptor, 1 << 20, offset)):
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)

    @property
    def descriptor(self) -> int:
        """Read-only descriptor of large content, or -1; closed by finish()."""
        return self._descriptor

    def finish(self, results: Sequence[RecipientResult], *, dead: bool = False, why: str = "") -> None:
        """Report all recipients, once. dead: the destination's fault (`why`), so others for it should wait too."""
        if self._descriptor >= 0:
            close_done(self._descriptor)
            self._descriptor = -1
        log_results(self.request, results, self.began, self.connected, self.conn_use)
        queue_id = self.request.envelope.queue_id
        self._report(self, Results(self.request.id, queue_id, list(results), destination_dead=dead, why=why))


class AgentService(Service):
    """Accepts qmgr's connections, hands deliveries to `deliver`, keeps results until they are committed."""

    def __init__(self, context: Context, deliver: Callable[[Delivery], None]) -> None:
        self._context = context
        self._deliver = deliver
        self._door = Door(context.settings, context.settings.service_name, (QUEUE_OWNER,))
        self._channels: dict[Channel[ToAgent], dict[int, Results]] = {}  # results not acknowledged, by delivery
        self._in_progress: dict[Delivery, Channel[ToAgent]] = {}
        self._announcing: asyncio.TimerHandle | None = None
        self._announces_until = 0.0  # loop time
        self._late: Client[LateTaken] = Client(
            context.loop, context.public("qmgr"), LATE_CLIENT, timeout_s=LATE_TIMEOUT_S
        )

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a connection of qmgr; nobody else has mail to deliver."""
        if not self._door.admits(sock):
            return
        channel = Channel(self._context.loop, sock, AGENT, self._on_record, self._on_close)
        self._channels[channel] = {}
        self._context.session_started()

    @property
    def busy(self) -> bool:
        """Whether deliveries or late results are in progress."""
        return bool(self._in_progress) or not self._late.idle

    def retire(self) -> None:
        """Let qmgr go elsewhere: it is told, and its connection is closed once nothing is in progress on it."""
        for channel in self._channels:
            channel.send(Leaving(0))
        self._close_idle_channels()

    def _close_idle_channels(self) -> None:
        if not self._in_progress:
            for channel, unacknowledged in list(self._channels.items()):
                if not unacknowledged:
                    channel.close()

    def _on_record(self, channel: Channel[ToAgent], record: ToAgent) -> None:
        if isinstance(record, Acknowledge):
            self._channels[channel].pop(record.id, None)
            if self._context.lifetime.retiring:
                self._close_idle_channels()
            return
        descriptor = channel.take_descriptor() if record.with_descriptor else -1
        delivery = Delivery(record, descriptor, self._report)
        self._in_progress[delivery] = channel
        try:
            self._deliver(delivery)
        except BaseException:  # a bug of ours, which ends this connection: nobody works on the delivery any more
            self._in_progress.pop(delivery, None)
            raise

    def _report(self, delivery: Delivery, results: Results) -> None:
        channel = self._in_progress.pop(delivery, None)
        if channel is None or channel.closed:
            self._bring(results)
            return
        self._channels[channel][results.id] = results
        channel.send(results)

    def _on_close(self, channel: Channel[ToAgent]) -> None:
        for results in self._channels.pop(channel, {}).values():
            self._bring(results)
        for queue_id in {each.request.envelope.queue_id for each, its in self._in_progress.items() if its is channel}:
            self._announce(queue_id)
            self._announces_until = self._context.loop.time() + ANNOUNCE_LIMIT_S
        if self._announcing is None and self._announces_until:
            self._announcing = self._context.loop.call_later(ANNOUNCE_S, self._announce_again)
        self._context.session_ended()

    def _announce(self, queue_id: str) -> None:
        """Tell the next queue manager that this one is under way, so that it is not sent twice."""
        self._late.request(StillDelivering(self._late.next_id(), queue_id)).add_done_callback(_retrieved)

    def _announce_again(self) -> None:
        """Say it anew while it is so: the queue manager does not wait for ever for who has said it once."""
        self._announcing = None
        lost = {each.request.envelope.queue_id for each, its in self._in_progress.items() if its.closed}
        if not lost or self._context.loop.time() > self._announces_until:
            self._announces_until = 0.0
            return
        if self._late.idle:  # else there is no queue manager yet, and what it will hear waits already
            for queue_id in lost:
                self._announce(queue_id)
        self._announcing = self._context.loop.call_later(ANNOUNCE_S, self._announce_again)

    def _bring(self, results: Results) -> None:
        future = self._late.request(LateResults(self._late.next_id(), results.queue_id, results.results))
        future.add_done_callback(_retrieved)


def _retrieved(future: "asyncio.Future[LateTaken]") -> None:
    future.exception()  # not taken in time: qmgr delivers again, which the crash rule allows
