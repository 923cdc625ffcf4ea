"""What goes into the queue store and what comes out of it: values, queue names, errors. No SQL, no files, no threads.

The rows of the hot path are named tuples: they are made in a third of the time of a frozen dataclass, and a batch of
them is bound to a statement without unpacking. A message has a `key`, a small number that the store gives it and that
is never given again while the process lives; everything but an operator's command names messages by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from posthouse.ipc.message import Recipient
from posthouse.ipc.showq import Listed
from posthouse.queue.spool import SpoolFile
from posthouse.util.errors import TemporaryError

# Queue names as Postfix has them. Active is a notion of qmgr's memory: the store calls such mail incoming (it was
# never deferred) or deferred.
INCOMING: Final = "incoming"
DEFERRED: Final = "deferred"
HOLD: Final = "hold"
CORRUPT: Final = "corrupt"
QUEUE_NAMES: Final = (INCOMING, DEFERRED, HOLD, CORRUPT)

# States of a recipient.
WAITING: Final = 0  # to be delivered, now or later
DONE: Final = 1  # delivered, or the sender was told that it could not be
BOUNCED: Final = 2  # will not be delivered; the sender was not told yet
UNTOLD: Final = 3  # delivered; the sender, who asked to hear of it, was not told yet. Also the outcome of such a result

# Bits of a message's flags. The lower 16 are the store's, the others are free for qmgr.
FORCED_EXPIRE: Final = 1  # postsuper -e: return to sender at the next attempt
DELAY_WARNED: Final = 2  # the sender was told that the message is late

MAX_RECIPIENTS: Final = (1 << 20) - 1  # of one message: rcpt_id takes 20 bits of a row's key
RECIPIENT_PAGE: Final = 1000  # rcpt_ids 1 to 1000 come with a message; `recipients` pages through the rest
INLINE_CONTENT: Final = 64 * 1024  # bytes; larger content belongs in a spool file (ipc.queue.SPOOL_FROM)
FOREVER: Final = 1e18  # seconds since the epoch; due(FOREVER) is every message that is not on hold: a flush


class StoreError(Exception):
    """The queue store did not do what was asked."""


class NotStoredError(StoreError, TemporaryError):
    """This message was not stored, the store itself is well: 451 4.3.0."""


class StoreFullError(StoreError, TemporaryError):
    """No room on the disk. The store goes on when there is: 452 4.3.1."""


class StoreFailedError(StoreError):
    """A write or sync failed: nothing is acknowledged any more. The process must end; the next one copies the store."""


class UnreadableError(StoreError):
    """A message's attributes make no sense to who reads them; str() says why. It is for an operator to look at."""


class StoreLockedError(StoreError):
    """Another process has this queue open."""


class NewMessage(NamedTuple):
    """A message to be stored."""

    queue_id: str
    sender: str
    arrival: float  # seconds since the epoch
    size: int  # octets, as the envelope has it; what the store keeps and lists is the length of the content itself
    attributes: bytes  # everything of the envelope that the store need not understand
    content: bytes | SpoolFile
    recipients: Sequence[Recipient]  # the first one has rcpt_id 1
    hold: bool = False  # goes to the hold queue
    flags: int = 0
    replaces: int = 0  # key of the message that this one takes the place of, in the same transaction (requeue)


class Committed(NamedTuple):
    """A message is durable. already: it was there before (a replayed request); key is then the old one's, 0 if gone."""

    key: int
    already: bool


class StoredRecipient(NamedTuple):
    """A recipient and what the last attempt gave."""

    rcpt_id: int
    address: str
    original: str
    dsn_orcpt: str
    notify: int
    state: int  # WAITING, DONE, BOUNCED, UNTOLD
    attempts: int
    due: float  # when it will be tried again, as told by the last deferral; 0: never tried
    dsn: str
    text: str
    relay: str
    remote_mta: str
    diagnostic: str
    action: str
    finished: float


class StoredMessage(NamedTuple):
    """A message as it stands in the store, without its content."""

    key: int
    queue_id: str
    queue_name: str  # one of QUEUE_NAMES
    due: float  # when to try it (next); 0 on hold
    arrival: float
    size: int
    flags: int
    recipient_count: int  # all of them, done or not
    sender: str
    attributes: bytes
    spooled: bool  # content is in a file of its own
    recipients: list[StoredRecipient]  # see the call that returned it: those not done, or all; RECIPIENT_PAGE

    @property
    def has_more_recipients(self) -> bool:
        """Whether there are recipients beyond RECIPIENT_PAGE, to be asked for with `recipients`."""
        return self.recipient_count > RECIPIENT_PAGE


class DueKey(NamedTuple):
    """A place in the order in which messages become due."""

    due: float = 0.0
    key: int = 0


class DuePage(NamedTuple):
    """Messages that are due."""

    messages: list[StoredMessage]
    after: DueKey  # where the next page begins
    complete: bool  # nothing else is due
    next_due: float | None  # if complete: when the next message will be due; None: there is none


class Page(NamedTuple):
    """Messages in the order of their keys. next: the key to go on after; 0 at the end. May be empty and not the end."""

    messages: list[StoredMessage]
    next: int


class Listing(NamedTuple):
    """A piece of a listing. next: the key to go on after; 0 at the end. May be empty and not the end."""

    messages: list[Listed]
    next: int


class Changed(NamedTuple):
    """A message that an operator's command changed, and the queue it was in before."""

    key: int
    queue_id: str
    queue_name: str


class ChangedPage(NamedTuple):
    """What a page of a command on many messages changed. next: the key to go on after; 0 at the end."""

    messages: list[Changed]
    next: int


class Counts(NamedTuple):
    """How many messages each queue holds."""

    incoming: int = 0
    deferred: int = 0
    hold: int = 0
    corrupt: int = 0


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages a listing or a command is about. Empty fields do not restrict."""

    queue_names: tuple[str, ...] = ()
    sender: str | None = None  # "" is the null sender
    domain: str = ""  # a recipient in this domain, lower case
    recipient: str = ""  # a recipient with this address
    arrived_before: float = 0.0  # seconds since the epoch; 0: does not matter


class Change:
    """What an operator can do to messages (postsuper, postqueue)."""

    HOLD: Final = "hold"  # incoming and deferred mail: not tried until released
    RELEASE: Final = "release"  # held mail: deferred, due now
    DELETE: Final = "delete"
    EXPIRE: Final = "expire"  # not held mail: due now and to be returned to the sender
    EXPIRE_RELEASE: Final = "release-expire"  # as expire, held mail is released first
    FLUSH: Final = "flush"  # deferred mail: due now
    WAKE: Final = "wake"  # not held mail: due now, in whatever queue it is
    CORRUPT: Final = "corrupt"  # set aside, kept for inspection, never tried


ALL_CHANGES: Final = (
    Change.HOLD,
    Change.RELEASE,
    Change.DELETE,
    Change.EXPIRE,
    Change.EXPIRE_RELEASE,
    Change.FLUSH,
    Change.WAKE,
    Change.CORRUPT,
)
