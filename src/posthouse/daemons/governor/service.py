"""GovernorService: the socket of governor(8), what is in force, the log of changes, and the warnings."""

import socket
import time
from typing import Final

from posthouse.config.parameters import MYHOSTNAME
from posthouse.daemons.governor import parameters as p
from posthouse.daemons.governor.by_service import by_service
from posthouse.daemons.governor.notifier import Notifier
from posthouse.daemons.governor.reports import Reports, Subscriber
from posthouse.daemons.governor.watcher import Watcher
from posthouse.governor import conditions as c
from posthouse.governor.board import Board, Entry, next_steps
from posthouse.governor.drain import Drain, read_drain
from posthouse.governor.journal import Journal
from posthouse.governor.level import Level
from posthouse.governor.notice import Notice
from posthouse.governor.steps import Measures, describe
from posthouse.ipc.cleanup import CleanupClient
from posthouse.ipc.governor import SERVER, Ask, ConditionState, Picture, Report, State, Subscribe, ToGovernor
from posthouse.ipc.stream import Channel
from posthouse.net.dns_client import DnsClient
from posthouse.protocol.message.date import format_date
from posthouse.skeleton.daemon import Context, Service
from posthouse.skeleton.resources import OwnMemory
from posthouse.util import log
from posthouse.util.clock import local_zone

CHANGE_SHARE: Final = 64  # free space is told anew when it changed by one part in so many


class GovernorService(Service):
    """See the module's docstring."""

    def __init__(self, context: Context) -> None:
        settings, loop = context.settings, context.loop
        self._context = context
        self._hostname = settings[MYHOSTNAME]
        self._warning_s = settings[p.RESOURCE_WARNING_TIME]
        self._enforces = settings[p.RESOURCE_CONTROL] == "enforce"
        self._cleanup = CleanupClient(loop, context.public("cleanup"))
        self._dns = DnsClient(loop, context.private("dns"))
        self._notifier = Notifier(loop, settings, self._cleanup, self._dns)
        self._journal = Journal(loop.time)
        self._reports = Reports()
        self._memory = OwnMemory()
        self.board = Board()
        self._watcher = Watcher(loop, settings, context.queue_directory, self.board, self._reports)
        self._watcher.changed = self._level_changed
        self._watcher.polled = self._review
        self._channels: dict[Channel[ToGovernor], Subscriber] = {}
        self._state: State | None = None
        self._drain: Drain | None = None
        self._watcher.start()

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a daemon's connection, or that of `posthouse status`: nobody else reaches private/."""
        Channel(self._context.loop, sock, SERVER, self._on_record, self._on_close)

    @property
    def busy(self) -> bool:
        """Whether a warning is on its way."""
        return self._notifier.busy

    def closing(self) -> None:
        """Close the connections."""
        for channel in list(self._channels):
            channel.close()
        self._cleanup.close()
        self._dns.close()

    # Connections.

    def _on_record(self, channel: Channel[ToGovernor], record: ToGovernor) -> None:
        if isinstance(record, Report):
            subscriber = self._channels.get(channel)
            if subscriber is not None:
                self._reports.take(subscriber, record, self._context.loop.time())
        elif isinstance(record, Subscribe):
            subscriber = self._channels[channel] = Subscriber(record.service)
            subscriber.heard = self._context.loop.time()
            self._reports.subscribers.add(subscriber)
            if self._state is not None:
                channel.send(self._state)
        elif isinstance(record, Ask):
            channel.send(self._picture(record.id))

    def _on_close(self, channel: Channel[ToGovernor]) -> None:
        subscriber = self._channels.pop(channel, None)
        if subscriber is not None:
            self._reports.subscribers.discard(subscriber)

    # What is in force.

    def _review(self) -> None:
        """After a look at everything: tell the daemons, and the postmaster."""
        self._review_drain()
        state = self._state_now()
        if self._state is None or _differs(state, self._state):
            self._state = state
            for channel in self._channels:
                channel.send(state)
        now = self._context.loop.time()
        for entry in self.board.warnings(now, self._warning_s):
            if self._notifier.is_due(entry.reading.key):
                self._notifier.tell(self._notice(entry))

    def _review_drain(self) -> None:
        before, self._drain = self._drain, read_drain(self._context.queue_directory)
        if self._drain is None and before is not None:
            log.info("drain: over, mail is taken again", event="drain")
        elif self._drain is not None and self._drain != before:
            log.warning(f"drain: {_describe(self._drain)}; posthouse drain --off ends it", event="drain")

    def _state_now(self) -> State:
        measures = self.board.measures() if self._enforces else Measures()
        reports = self._reports
        behind = reports.queue.get("queue_room", 1.0) <= 0
        return State(
            level=self.board.level,
            queue_free=self._watcher.queue_free,
            queue_known=self._watcher.queue.space is not None,
            content_share=measures.content_share,
            stress=measures.stress,
            fewer_sessions=measures.fewer_sessions,
            slow_intake=behind or (measures.slow_intake and reports.flow.grows(self._context.loop.time())),
            small_messages=measures.small_messages,
            refuse_mail=measures.refuse_mail,
            refuse_sessions=measures.refuse_sessions,
            hold_reserve=self._watcher.holds_reserve,
            deliveries_only=self._watcher.deliveries_only and self._enforces,
            drain=self._drain is not None,
            drain_to=self._drain.to if self._drain is not None else "",
        )

    def _level_changed(self, key: str, before: Level) -> None:
        """Say it in the log, with its numbers."""
        left_out = self._journal.admit()
        if left_out < 0:
            return
        entry = self.board.entries[key]
        level = entry.gauge.level
        steps = describe(self.board.steps()) if self._enforces else "nothing (resource_control = warn)"
        lines = f" ({left_out} lines left out before)" if left_out else ""
        say = log.warning if level > before else log.info
        say(
            f"resources: {c.title(key)} {before.word} -> {level.word}: {entry.reading.text}; in force: {steps}{lines}",
            event="resource-level",
            condition=key,
            before=before.word,
            level=level.word,
            value=round(entry.reading.value, 3),
            system=self.board.level.word,
        )

    def _notice(self, entry: Entry) -> Notice:
        wall = int(time.time())
        since = int(entry.since)
        return Notice(
            hostname=self._hostname,
            key=entry.reading.key,
            level=entry.gauge.level,
            value=entry.reading.text,
            at=format_date(wall, *local_zone(wall)),
            since=format_date(since, *local_zone(since)) if since else "",
            done=describe(self.board.steps()) if self._enforces else "nothing (resource_control = warn)",
            next=next_steps(entry) if self._enforces else "",
            numbers=self.numbers(),
            forecast=entry.forecast,
            floor=entry.reading.floor or 0.0,
        )

    # What everybody may know.

    def numbers(self) -> dict[str, float]:
        """Give every number that is known, by name: for metrics, `posthouse status` and the webhook."""
        found: dict[str, float] = {"level": float(self.board.level), "draining": float(self._drain is not None)}
        for key, entry in self.board.entries.items():
            found[key] = round(entry.reading.value, 3)
            found[f"{key}_level"] = float(entry.gauge.level)
        space = self._watcher.queue.space
        if space is not None:
            found |= {
                "queue_disk_size": space.size,
                "queue_disk_free": space.free,
                "queue_free": self._watcher.queue_free,
            }
            found |= {"queue_refusal": self._watcher.refusal, "queue_files": space.files}
        found |= {"memory_of_posthouse": self._reports.memory + self._memory.read(), "sessions": self._reports.sessions}
        found |= {"processes_reporting": len(self._reports.subscribers), "notices_sent": self._notifier.sent}
        return found | self._reports.queue

    def _picture(self, number: int) -> Picture:
        conditions = [
            ConditionState(
                key,
                entry.gauge.level,
                entry.reading.text,
                entry.since,
                -1.0 if entry.forecast is None else entry.forecast.seconds,
            )
            for key, entry in self.board.entries.items()
        ]
        steps = [step.value for step in self.board.steps()] if self._enforces else []
        if self._drain is not None:
            steps.insert(0, _describe(self._drain))
        services = by_service(self._reports.subscribers)
        return Picture(number, self.board.level, self.board.since, conditions, steps, self.numbers(), services)


def _describe(drain: Drain) -> str:
    return "no new mail is taken" + (f", what is queued goes to {drain.to}" if drain.to else "")


def _differs(new: State, old: State) -> bool:
    """Whether daemons should hear of it: anything but a small change of free space while there is plenty."""
    if abs(new.queue_free - old.queue_free) * CHANGE_SHARE > old.queue_free:
        return True
    if new.level >= Level.BUSY:
        return new != old
    fields = (name for name in State.__struct_fields__ if name != "queue_free")
    return any(getattr(new, name) != getattr(old, name) for name in fields)
