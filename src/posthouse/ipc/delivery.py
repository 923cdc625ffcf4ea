"""The protocol between qmgr(8) and delivery agents. Both ends' records.

qmgr connects to the transport's socket and keeps the connection; deliveries are numbered and interleave, at most the
transport's process limit at once over all its connections. An agent keeps each result until it is acknowledged, which
means committed. An agent that retires says so, gets nothing more, and closes when everything is acknowledged: without
a word it would be busy for as long as mail flows. When the connection is lost, the agent brings what was not
acknowledged to qmgr's own socket (protocol "results": LateResults, answered by LateTaken), so a message the remote
server took is not sent twice.
"""

from typing import Final

import msgspec

from posthouse.ipc.message import Envelope, RecipientResult
from posthouse.ipc.record import Request
from posthouse.ipc.stream import Protocol

NAME: Final = "delivery"
RESULTS_NAME: Final = "results"
VERSION: Final = 1


class DeliverTo(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One recipient of a delivery request."""

    rcpt_id: int
    address: str
    original: str = ""
    dsn_orcpt: str = ""
    notify: int = 0


class Deliver(Request, frozen=True, tag=1):
    """Deliver content to these recipients by way of nexthop. with_descriptor: the content comes as a descriptor."""

    envelope: Envelope
    nexthop: str
    recipients: list[DeliverTo]
    active: float  # when the queue manager took it up (seconds since the epoch), for delays=
    content: bytes
    with_descriptor: bool = False
    reuse: bool = False  # more mail for the same destination is waiting


class Acknowledge(Request, frozen=True, tag=2):
    """The results of delivery `id` are committed."""


class Results(Request, frozen=True, tag=11):
    """What became of the recipients of delivery `id`.

    destination_dead: the fault was the destination's, not the message's, and its text is `why`.
    """

    queue_id: str
    results: list[RecipientResult]
    destination_dead: bool = False
    why: str = ""


class Leaving(Request, frozen=True, tag=12):
    """The agent retires (`id` is 0): what it has it finishes, whatever is new should go to another process."""


class LateResults(Request, frozen=True, tag=1):
    """Results whose connection was lost; `id` numbers this request."""

    queue_id: str
    results: list[RecipientResult]


class StillDelivering(Request, frozen=True, tag=2):
    """An agent that lost its connection is still busy with this message; results will come late."""

    queue_id: str


class LateTaken(Request, frozen=True, tag=11):
    """LateResults `id` are committed, or StillDelivering `id` is noted."""


ToAgent = Deliver | Acknowledge
FromAgent = Results | Leaving
ToResults = LateResults | StillDelivering
AGENT: Final[Protocol[ToAgent]] = Protocol(NAME, VERSION, ToAgent)  # what an agent receives
QMGR: Final[Protocol[FromAgent]] = Protocol(NAME, VERSION, FromAgent)  # what qmgr receives
LATE_SERVER: Final[Protocol[ToResults]] = Protocol(RESULTS_NAME, VERSION, ToResults)
LATE_CLIENT: Final[Protocol[LateTaken]] = Protocol(RESULTS_NAME, VERSION, LateTaken)
