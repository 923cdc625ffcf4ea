"""The protocol of qmgr(8) as the owner of the queue: cleanup → qmgr. Both ends.

Every request is idempotent: it is sent again after a reconnect, and a message that is there already is committed.
qmgr's socket also takes Postfix's one-letter triggers; a frame starts with a zero octet, so the first octet tells.
Content above SPOOL_FROM goes to a file: SpoolOpen lends a descriptor of a nameless file, cleanup writes and syncs it,
and Commit names the spool number in place of content.
"""

from typing import Final

from posthouse.ipc.message import Envelope, Recipient
from posthouse.ipc.record import Request
from posthouse.ipc.stream import Protocol

NAME: Final = "queue"
VERSION: Final = 1
SPOOL_FROM: Final = 64 * 1024  # bytes of content; larger content goes to a file of its own (design: at most 64 kB)


class LeaseNumbers(Request, frozen=True, tag=1):
    """Ask for queue-ID numbers; a lease that was not received is simply lost."""

    count: int


class Commit(Request, frozen=True, tag=2):
    """Make a message durable. spool: number of an open spool file when the content is not here."""

    envelope: Envelope
    recipients: list[Recipient]
    content: bytes
    spool: int = 0


class IsCommitted(Request, frozen=True, tag=3):
    """Was this queue ID ever committed? Answered after every commit that was under way."""

    queue_id: str


class SpoolOpen(Request, frozen=True, tag=4):
    """Ask for a spool file (not replayed: the transaction fails with the connection)."""


class SpoolDrop(Request, frozen=True, tag=5):
    """The spool file `spool` is not wanted any more; no answer."""

    spool: int


class LeasedNumbers(Request, frozen=True, tag=11):
    """first … first+count-1."""

    first: int
    count: int


class CommitResult(Request, frozen=True, tag=12):
    """Empty error: durable. Otherwise why not, for the log; the message was not stored."""

    error: str = ""
    full: bool = False  # no room: 452 4.3.1 rather than 451 4.3.0


class IsCommittedResult(Request, frozen=True, tag=13):
    """Answer to IsCommitted."""

    committed: bool


class SpoolOpened(Request, frozen=True, tag=14):
    """A descriptor comes with this record, when error is empty."""

    spool: int
    error: str = ""


ToQueue = LeaseNumbers | Commit | IsCommitted | SpoolOpen | SpoolDrop
FromQueue = LeasedNumbers | CommitResult | IsCommittedResult | SpoolOpened

SERVER: Final[Protocol[ToQueue]] = Protocol(NAME, VERSION, ToQueue)
CLIENT: Final[Protocol[FromQueue]] = Protocol(NAME, VERSION, FromQueue)
