"""The protocol of governor(8): daemons say how they are and hear what is in force; `posthouse status` asks for all.

A daemon subscribes once; from then on it gets a State whenever something changes, the first one at once. Nothing here
is waited for: without a governor the last State holds.
"""

from typing import Final

import msgspec

from posthouse.ipc.record import Record, Request
from posthouse.ipc.stream import Protocol

NAME: Final = "governor"
VERSION: Final = 1
MAX_NUMBERS: Final = 64  # in one report
MAX_FRAME: Final = 64 * 1024


class Subscribe(Record, frozen=True, tag=1):
    """Ask for every State from now on. service: as in master.cf."""

    service: str


class Report(Record, frozen=True, tag=2):
    """How a process is. numbers: what its service counts, by name."""

    loop_delay: float  # seconds by which the event loop was late at most, since the last report
    memory: int  # bytes that are its own (PSS); 0: cannot be told
    sessions: int
    descriptors: int
    descriptor_limit: int
    numbers: dict[str, float]


class Ask(Request, frozen=True, tag=3):
    """Ask for a Picture."""


class State(Record, frozen=True, tag=11):
    """What is in force. Sizes are bytes; queue_free does not count a reserve that was given up."""

    level: int
    queue_free: int
    queue_known: bool  # queue_free was measured
    content_share: float
    stress: bool
    fewer_sessions: bool
    slow_intake: bool
    small_messages: bool
    refuse_mail: bool  # beyond Postfix's rule about queue_free: no more files can be made, for example
    refuse_sessions: str  # why; "" for no
    hold_reserve: bool  # where the queue is; else it is given up
    deliveries_only: bool  # the reserve is in use: mail that is on its way in is put off as well
    drain: bool  # `posthouse drain`: no new mail is taken
    drain_to: str  # the next hop of everything that is queued; "": each message has its own


class ConditionState(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One condition as it stands. since: seconds since the epoch, 0 when it is normal."""

    key: str
    level: int
    value: str
    since: float
    forecast: float  # seconds until it is gone; -1: cannot be told


class ServiceState(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The processes of one service that report, together; loop_delay: of the worst, in seconds. Sizes are bytes."""

    service: str
    processes: int
    sessions: int
    memory: int
    descriptors: int
    loop_delay: float


class Picture(Request, frozen=True, tag=12):
    """All that is known: for people, and for metrics."""

    level: int
    since: float
    conditions: list[ConditionState]
    steps: list[str]
    numbers: dict[str, float]
    services: list[ServiceState]


ToGovernor = Subscribe | Report | Ask
FromGovernor = State | Picture
SERVER: Final[Protocol[ToGovernor]] = Protocol(NAME, VERSION, ToGovernor, max_frame=MAX_FRAME)
CLIENT: Final[Protocol[FromGovernor]] = Protocol(NAME, VERSION, FromGovernor)
