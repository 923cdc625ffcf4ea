"""Reading and steering the queue: postqueue, postsuper, postcat, showq → qmgr (or, listing only, showq). Both ends.

Listings come in pages by key, so that a million messages cost neither side memory. Who may ask what is decided by the
uid the kernel tells: anybody may list and flush (through showq), only root, the mail owner and qmgr's own user steer.
"""

import re
from typing import Final

import msgspec

from posthouse.ipc.message import Envelope
from posthouse.ipc.record import Request
from posthouse.ipc.stream import Protocol

NAME: Final = "showq"
VERSION: Final = 1
PAGE: Final = 500  # messages in one page
HOLD, RELEASE, DELETE, REQUEUE, EXPIRE, EXPIRE_RELEASE = (
    "hold",
    "release",
    "delete",
    "requeue",
    "expire",
    "release-expire",
)
OPERATIONS: Final = frozenset((HOLD, RELEASE, DELETE, REQUEUE, EXPIRE, EXPIRE_RELEASE))
MAX_REQUEST: Final = 4096  # bytes; any user may send one
QUEUE_NAMES: Final = frozenset(("", "active", "corrupt", "deferred", "hold", "incoming", "maildrop"))
_KEY: Final = re.compile(r"[0-9]{0,18}", re.ASCII)  # fits 64 bits
_WORD: Final = re.compile(r"[0-9A-Za-z]{0,40}", re.ASCII)
_MAX_SITE: Final = 255  # characters of a domain name


class ListPage(Request, frozen=True, tag=1):
    """Ask for messages after key `after` ("" for the first page), of one queue or of all ("").

    With queue_id: for the recipients of that message after the number `after`.
    """

    after: str
    queue_name: str = ""
    queue_id: str = ""  # only this message
    site: str = ""  # only messages with a recipient in this domain


class Steer(Request, frozen=True, tag=2):
    """Do `operation` (HOLD …) to the message queue_id, or, with "ALL", to every message of queue_name ("": all)."""

    operation: str
    queue_id: str
    queue_name: str = ""
    after: int = 0  # with "ALL": go on behind this key …
    last: int = 0  # … up to this one, as the last answer said


class Flush(Request, frozen=True, tag=3):
    """Try deferred mail now: all of it, for one site, or one message."""

    site: str = ""
    queue_id: str = ""


class Fetch(Request, frozen=True, tag=4):
    """Ask for one message with its content, for postcat; after: for its recipients after this number alone."""

    queue_id: str
    after: int = 0


class Count(Request, frozen=True, tag=5):
    """Ask how many messages each queue holds."""


class ListedRecipient(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A recipient that is not done."""

    address: str
    original: str
    reason: str  # why it is deferred; empty otherwise
    dsn: str = ""
    next_attempt: float = 0.0
    attempts: int = 0


class Listed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message in a listing."""

    queue_name: str  # active, deferred, hold, incoming, maildrop, corrupt
    queue_id: str
    arrival: float
    size: int
    sender: str
    recipients: list[ListedRecipient]
    forced_expire: bool = False
    next: int = 0  # the recipients after this number are not here: ask for them by queue_id; 0: all are


class ListedPage(Request, frozen=True, tag=11):
    """A page; next: the key for the following page, "" at the end."""

    messages: list[Listed]
    next: str


class Steered(Request, frozen=True, tag=12):
    """How many messages it concerned; error: why it was refused. after: there is more, ask again with these two."""

    count: int
    error: str = ""
    after: int = 0
    last: int = 0


class Fetched(Request, frozen=True, tag=13):
    """The message; descriptor: the content comes with this record as a descriptor. error: why not."""

    error: str
    envelope: Envelope | None
    queue_name: str
    recipients: list[ListedRecipient]
    done: list[str]
    content: bytes
    with_descriptor: bool = False
    next: int = 0  # as in Listed


class Counts(Request, frozen=True, tag=14):
    """Messages by queue."""

    counts: dict[str, int]


ToShowq = ListPage | Steer | Flush | Fetch | Count
FromShowq = ListedPage | Steered | Fetched | Counts
SERVER: Final[Protocol[ToShowq]] = Protocol(NAME, VERSION, ToShowq, max_frame=MAX_REQUEST)
CLIENT: Final[Protocol[FromShowq]] = Protocol(NAME, VERSION, FromShowq)


def problem_of(record: ToShowq) -> str:
    """Say what is wrong with the words of a request, which any user may have sent; empty: nothing."""
    if isinstance(record, Count):
        return ""
    queue_name = getattr(record, "queue_name", "")
    site = getattr(record, "site", "")
    if isinstance(record, Steer) and record.operation not in OPERATIONS:
        return f"no such operation: {shown(record.operation)}"
    if not _WORD.fullmatch(record.queue_id):
        return f"bad mail queue id: {shown(record.queue_id)}"
    if queue_name not in QUEUE_NAMES:
        return f"bad mail queue name: {shown(queue_name)}"
    if len(site) > _MAX_SITE or not site.isprintable():
        return f"bad site name: {shown(site)}"
    if isinstance(record, ListPage) and not _KEY.fullmatch(record.after):
        return f"bad page of a listing: {shown(record.after)}"
    return ""


def shown(text: str) -> str:
    """The start of a text, in characters that can be shown."""
    return "".join(character if character.isprintable() else "?" for character in text[:100])
