"""The metrics as a table: name, unit, labels, what it says, and where in the governor's Picture it is found.

docs/metrics.md shows the same table (`make docs`). A value that is not known is left out, never made up: what the
kernel does not tell (pressure, for one) has no sample. Names and units are what OpenMetrics 1.0 asks for: base units,
counters end in _total.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Final

from posthouse.governor import conditions as c
from posthouse.governor.conditions import kind_of
from posthouse.governor.steps import Step
from posthouse.ipc.governor import Picture, ServiceState

PREFIX: Final = "posthouse"
QUEUES: Final = ("incoming", "active", "deferred", "hold", "corrupt")
GAUGE, COUNTER = "gauge", "counter"
Sample = tuple[tuple[str, ...], float]  # values of the labels, and the value
Source = Callable[[Picture], Iterator[Sample]]


def _version() -> str:
    try:
        return metadata.version(PREFIX)
    except metadata.PackageNotFoundError:  # a copy that nobody installed
        return "unknown"


VERSION: Final = _version()  # read in the warm image: behind the walls it could not be


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. name: without the prefix; a counter's without _total, as the specification has it."""

    name: str
    kind: str
    help: str
    source: Source
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """Give the name of its samples."""
        return f"{PREFIX}_{self.name}{'_total' if self.kind == COUNTER else ''}"


def _gauge(name: str, words: str, source: Source, *labels: str) -> Family:
    return Family(name, GAUGE, words, source, labels)


def _counter(name: str, words: str, source: Source) -> Family:
    return Family(name, COUNTER, words, source)


def number(name: str, scale: float = 1.0) -> Source:
    """Take one of the governor's numbers, multiplied to be in a base unit."""

    def source(picture: Picture) -> Iterator[Sample]:
        if (value := picture.numbers.get(name)) is not None:
            yield (), value * scale

    return source


def places(condition: str) -> Source:
    """Take the values of a condition that is watched in several places; the label is the place."""

    def source(picture: Picture) -> Iterator[Sample]:
        for each in picture.conditions:
            kind, place = kind_of(each.key)
            if kind == condition and each.key in picture.numbers:
                yield (place,), picture.numbers[each.key]

    return source


def services(read: Callable[[ServiceState], float]) -> Source:
    """Take something of every service whose processes report."""

    def source(picture: Picture) -> Iterator[Sample]:
        for each in picture.services:
            yield (each.service,), read(each)

    return source


def _levels(picture: Picture) -> Iterator[Sample]:
    for each in picture.conditions:
        yield kind_of(each.key), float(each.level)


def _forecasts(picture: Picture) -> Iterator[Sample]:
    for each in picture.conditions:
        if each.forecast >= 0:
            yield kind_of(each.key), each.forecast


def _steps(picture: Picture) -> Iterator[Sample]:
    for step in Step:
        yield (step.name.lower(),), float(step.value in picture.steps)


def _queues(picture: Picture) -> Iterator[Sample]:
    for name in QUEUES:
        if (value := picture.numbers.get(f"queue_{name}")) is not None:
            yield (name,), value


def _since(picture: Picture) -> Iterator[Sample]:
    if picture.since:
        yield (), picture.since


FAMILIES: Final = (
    # How it is.
    _gauge(
        "resource_level", "Worst level of all conditions: 0 normal, 1 busy, 2 strained, 3 critical.", number("level")
    ),
    _gauge("resource_level_since_timestamp_seconds", "When the level changed last, if it ever did.", _since),
    _gauge("condition_level", "Level of one condition, from 0 normal to 3 critical.", _levels, "condition", "place"),
    _gauge(
        "condition_forecast_seconds",
        "Time until a condition is critical at its present rate.",
        _forecasts,
        "condition",
        "place",
    ),
    _gauge("step_in_force", "Whether a step is taken against scarcity: 1 or 0.", _steps, "step"),
    _gauge("draining", "Whether the administrator has stopped the intake of mail: 1 or 0.", number("draining")),
    _counter("resource_notices", "Warnings sent to the postmaster since governor(8) started.", number("notices_sent")),
    _gauge(
        "services_absent_seconds",
        "How long a daemon has failed to start or said nothing; 0: all are there.",
        number(c.SERVICES),
    ),
    # Mail.
    _counter("messages_arrived", "Messages put into the queue since qmgr(8) started.", number("queue_arrived")),
    _counter(
        "messages_left",
        "Messages that left the queue, delivered or returned, since qmgr(8) started.",
        number("queue_left"),
    ),
    _gauge("queue_messages", "Messages in each queue.", _queues, "queue"),
    _gauge("queue_active_room_messages", "Messages that the active queue still takes.", number("queue_room")),
    _gauge(
        "queue_oldest_active_seconds",
        "How long the oldest message has been in the active queue.",
        number("queue_oldest_active"),
    ),
    _gauge("queue_content_memory_bytes", "Memory in which qmgr(8) keeps content.", number("queue_content_memory")),
    # Disks.
    _gauge("queue_disk_size_bytes", "Size of the file system of the queue.", number("queue_disk_size")),
    _gauge(
        "queue_disk_free_bytes",
        "Bytes free where the queue is, those of a lost reserve included.",
        number("queue_disk_free"),
    ),
    _gauge("queue_mail_free_bytes", "Bytes free for mail.", number("queue_free")),
    _gauge(
        "queue_mail_refused_below_bytes",
        "Mail is put off when this many bytes or fewer are free for it.",
        number("queue_refusal"),
    ),
    _gauge(
        "queue_disk_files",
        "Files that the file system of the queue can have; 0: it does not count them.",
        number("queue_files"),
    ),
    _gauge("queue_disk_free_files", "Files that can still be made where the queue is.", number(c.QUEUE_INODES)),
    _gauge("queue_reserve_bytes", "Bytes held in reserve for deliveries.", number("reserve_bytes_held")),
    _gauge("queue_reserve_wanted_bytes", "Bytes that should be held in reserve.", number("reserve_bytes_wanted")),
    _gauge("queue_reserve_files", "Files held in reserve.", number("reserve_files_held")),
    _gauge("queue_reserve_wanted_files", "Files that should be held in reserve.", number("reserve_files_wanted")),
    _gauge("mailbox_disk_free_bytes", "Bytes free where mailboxes are.", places(c.MAILBOX_SPACE), "place"),
    _gauge(
        "mailbox_disk_free_files",
        "Files that can still be made where mailboxes are.",
        places(c.MAILBOX_INODES),
        "place",
    ),
    _gauge(
        "certificate_remaining_seconds",
        "Time until a certificate expires; less than 0: it has.",
        places(c.CERTIFICATE),
        "place",
    ),
    # The machine.
    _gauge(
        "memory_available_bytes", "Memory that can still be had, of the machine or the control group.", number(c.MEMORY)
    ),
    _gauge(
        "memory_pressure_ratio",
        "Share of the last 10 s in which all tasks waited for memory.",
        number(c.MEMORY_PRESSURE, 0.01),
    ),
    _gauge(
        "io_pressure_ratio", "Share of the last 60 s in which all tasks waited for a disk.", number(c.IO_PRESSURE, 0.01)
    ),
    _gauge(
        "descriptors_used_ratio", "Descriptors in use, of the fullest process or of the machine.", number(c.DESCRIPTORS)
    ),
    _gauge("processes_used_ratio", "Processes there are of those there may be.", number(c.PROCESSES)),
    # Our processes. Those that talk to governor(8): the long-lived ones.
    _gauge("memory_bytes", "Memory of all processes that report (PSS).", number("memory_of_posthouse")),
    _gauge("sessions", "Clients that a service has now.", services(lambda each: each.sessions), "service"),
    _gauge(
        "service_processes", "Processes of a service that report.", services(lambda each: each.processes), "service"
    ),
    _gauge(
        "service_memory_bytes",
        "Memory of the processes of a service (PSS).",
        services(lambda each: each.memory),
        "service",
    ),
    _gauge(
        "service_descriptors",
        "Descriptors that the processes of a service have open.",
        services(lambda each: each.descriptors),
        "service",
    ),
    _gauge(
        "service_loop_delay_seconds",
        "How late the event loops of a service are: the worst one.",
        services(lambda each: each.loop_delay),
        "service",
    ),
)
# Numbers of the governor that are no metric: they stand in another one.
ELSEWHERE: Final = frozenset(
    {
        c.QUEUE_SPACE,  # queue_mail_free_bytes
        c.QUEUE_AGE,  # queue_oldest_active_seconds
        c.LOOP_DELAY,  # service_loop_delay_seconds
        "sessions",  # by service
        "processes_reporting",  # by service
    }
)
