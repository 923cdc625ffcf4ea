"""Resources: what governor(8) says is scarce, for a daemon to look at; and the subscription that keeps it up to date.

The governor is never waited for. Until it has spoken everything is allowed, unless the system is drained; when it is
away its last word holds.
The subscription also tells the governor how this process is: delay of its event loop, memory, descriptors, sessions.
"""

import asyncio
import errno
import os
import resource
from collections.abc import Callable
from typing import Final

from posthouse.governor.drain import Drain
from posthouse.governor.measures import parse_pss
from posthouse.ipc.governor import CLIENT, FromGovernor, Report, State, Subscribe
from posthouse.ipc.record import replace
from posthouse.ipc.stream import Channel, connect_to
from posthouse.util.files import close_done

GOVERNOR: Final = "governor"  # the service
TICK_S: Final = 1.0  # how often the event loop is tried
REPORT_TICKS: Final = 5  # every so many ticks, and at once when the loop was late
MEMORY_TICKS: Final = 30  # reading it costs a millisecond
LATE_S: Final = 0.1
RECONNECT_S: Final = 1.0
UNKNOWN: Final = State(0, 0, False, 1.0, False, False, False, False, False, "", True, False, False, "")


class Resources:
    """What is in force now. One object for the life of a process; `watch` tells when it changes."""

    __slots__ = ("_master_stress", "_watchers", "report", "state")

    def __init__(self, drain: Drain | None = None) -> None:
        drained = {"drain": True, "drain_to": drain.to} if drain is not None else {}
        self.state: State = replace(UNKNOWN, **drained)  # until the governor speaks
        self._master_stress = False
        self._watchers: list[Callable[[], None]] = []
        self.report: Callable[[], None] = lambda: None  # tell the governor our numbers now

    @property
    def stress(self) -> bool:
        """Whether new sessions use the settings with stress=yes: the governor says so, or master (a full service)."""
        return self._master_stress or self.state.stress

    def watch(self, changed: Callable[[], None]) -> None:
        """Call this after every change."""
        self._watchers.append(changed)

    def take(self, state: State) -> None:
        """Take the governor's word."""
        if state != self.state:
            self.state = state
            self._tell()

    def set_master_stress(self, *, on: bool) -> None:
        """Take master's word: the service has had, or has not any more, as many clients as it may have."""
        if on != self._master_stress:
            self._master_stress = on
            self._tell()

    def _tell(self) -> None:
        for changed in self._watchers:
            changed()


class OwnMemory:
    """This process's share of memory. Opened before the walls go up: a rule would not find the file again."""

    def __init__(self) -> None:
        try:
            self._descriptor = os.open("/proc/self/smaps_rollup", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._descriptor = -1

    def read(self) -> int:
        """Give bytes; 0: it cannot be told."""
        if self._descriptor < 0:
            return 0
        try:
            return parse_pss(os.pread(self._descriptor, 4096, 0))
        except (OSError, ValueError):
            return 0


class Subscription:
    """A process's connection to governor(8), made again when it is lost."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        path: str,
        service: str,
        resources: Resources,
        memory: OwnMemory,
    ) -> None:
        self._loop, self._path, self._service = loop, path, service
        self._resources, self._own_memory = resources, memory
        self._channel: Channel[FromGovernor] | None = None
        self._closed = False
        self._expected = 0.0  # when the next tick is due
        self._ticks = 0
        self._worst = 0.0  # of the loop's delays since the last report
        self._memory = 0
        self._numbers: dict[str, float] = {}
        resources.report = self.report
        self.numbers: Callable[[], dict[str, float]] = dict
        self.sessions: Callable[[], int] = int

    def start(self) -> None:
        """Connect, and begin to look at the event loop."""
        self._connect()
        self._tick_later()

    def close(self) -> None:
        """Say and hear nothing more."""
        self._closed = True
        if self._channel is not None:
            self._channel.close()

    def _connect(self) -> None:
        if self._closed:
            return
        try:
            sock = connect_to(self._path)
        except OSError:
            self._loop.call_later(RECONNECT_S, self._connect)
            return
        self._channel = Channel(self._loop, sock, CLIENT, self._on_record, self._on_close)
        self._channel.send(Subscribe(self._service))
        self._numbers = {}
        self._ticks = 0

    def _on_record(self, _channel: Channel[FromGovernor], record: FromGovernor) -> None:
        if isinstance(record, State):
            self._resources.take(record)

    def _on_close(self, channel: Channel[FromGovernor]) -> None:
        self._channel = None
        self._loop.call_later(RECONNECT_S, self._connect)

    def _tick_later(self) -> None:
        self._expected = self._loop.time() + TICK_S
        self._loop.call_at(self._expected, self._tick)

    def _tick(self) -> None:
        if self._closed:
            return
        late = self._loop.time() - self._expected
        self._worst = max(self._worst, late)
        if self._ticks % MEMORY_TICKS == 0:
            self._memory = self._own_memory.read()
        numbers = self.numbers()
        if self._channel is not None and (self._ticks % REPORT_TICKS == 0 or late > LATE_S or numbers != self._numbers):
            self._numbers = numbers
            self._channel.send(self._report(numbers))
            self._worst = 0.0
        self._ticks += 1
        self._tick_later()

    def report(self) -> None:
        """Tell the governor how this process is, now and not at the next tick."""
        if self._channel is not None:
            self._channel.send(self._report(self.numbers()))
            self._channel.flush()

    def _report(self, numbers: dict[str, float]) -> Report:
        soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return Report(self._worst, self._memory, self.sessions(), open_descriptors(), soft, numbers)


def open_descriptors() -> int:
    """Tell how many descriptors are open, or nearly: the lowest number that is free. All numbers below are in use."""
    try:
        descriptor = os.dup(0)
    except OSError as error:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0] if error.errno == errno.EMFILE else 0
    close_done(descriptor)
    return descriptor
