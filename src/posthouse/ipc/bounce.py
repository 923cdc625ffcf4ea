"""The protocol of bounce(8), defer(8), trace(8): qmgr → bounce. Both ends' records.

qmgr asks for a notice about some recipients of one message and hands over what the notice needs; the answer comes
when the notice is committed as a message of its own (or need not be sent), and only then are the recipients done.
"""

from typing import Final

import msgspec

from posthouse.ipc.message import Envelope, RecipientResult
from posthouse.ipc.record import Request
from posthouse.ipc.stream import Protocol

NAME: Final = "bounce"
VERSION: Final = 1

FAILED, DELAYED, DELIVERED = "failed", "delayed", "delivered"  # RFC 3464 actions that a notice is about


class About(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One recipient in a notice."""

    address: str
    original: str
    dsn_orcpt: str
    notify: int
    result: RecipientResult


class Notify(Request, frozen=True, tag=1):
    """Send the notice `kind` to the sender of the message. headers_only: content is the header section alone."""

    kind: str
    envelope: Envelope
    about: list[About]
    content: bytes
    headers_only: bool
    will_retry_until: float = 0.0  # DELAYED: when the message expires


class Notified(Request, frozen=True, tag=11):
    """Empty error: the notice is committed as notice_id, or none was wanted (empty notice_id)."""

    error: str
    notice_id: str


SERVER: Final[Protocol[Notify]] = Protocol(NAME, VERSION, Notify)
CLIENT: Final[Protocol[Notified]] = Protocol(NAME, VERSION, Notified)
