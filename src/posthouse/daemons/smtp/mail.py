"""OutgoingMail: content and envelope of a delivery, in the form in which a server is to have them.

What depends on the server (8BITMIME) is decided for each; what takes a table, or a look at all of the content, once and
beforehand (`prepare`). Sources: RFC 1870, 3461, 6152, 6531; facts B10.10, B10.11, B10.17.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from typing import Final

from posthouse.daemons.smtp.content import split_long_lines
from posthouse.daemons.smtp.content_rules import ContentRules
from posthouse.daemons.smtp.conversion import Conversion, may_be_converted
from posthouse.daemons.smtp.outgoing import Read, Shaper, reader_of, report_split
from posthouse.delivery.agent import Delivery
from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import NOTIFY_DELAY, NOTIFY_FAILURE, NOTIFY_NEVER, NOTIFY_SUCCESS
from posthouse.protocol.message.mime import MimeParser
from posthouse.protocol.message.mime_events import Problem
from posthouse.protocol.smtp.envelope import Envelope, Recipient
from posthouse.protocol.smtp.features import Features
from posthouse.protocol.smtp.stuffing import stuff_content
from posthouse.rewriting.generic import GenericMaps
from posthouse.util.turns import Turns

PIECE: Final = 1 << 20  # bytes of large content looked at at once
LOOK: Final = 32 * 1024  # the same, where its structure is looked at
_NOTIFY: Final = {
    NOTIFY_NEVER: "NEVER",
    NOTIFY_SUCCESS: "SUCCESS",
    NOTIFY_FAILURE: "FAILURE",
    NOTIFY_DELAY: "DELAY",
}
_NONE: Final[frozenset[str]] = frozenset()
_BODY: Final = {"7bit": "7BIT", "8bit": "8BITMIME"}


class OutgoingMail:
    """See the module's docstring. needs_smtputf8: an address or a header has UTF-8; known after prepare()."""

    __slots__ = ("_addresses", "_delivery", "_limit", "_rules", "_size", "_was_split", "_wire", "needs_smtputf8")

    def __init__(self, delivery: Delivery, rules: ContentRules, line_length_limit: int) -> None:
        self.needs_smtputf8 = False
        self._delivery = delivery
        self._rules = rules
        self._limit = line_length_limit
        self._addresses: dict[str, str] = {}  # what generic maps make of them, where that is something else
        self._size = 0
        self._wire: bytes | None = None
        self._was_split = False  # `_wire` has lines that were cut

    # Beforehand.

    @property
    def must_prepare(self) -> bool:
        """Whether prepare() has anything to do."""
        return self._rules.generic is not None or self._delivery.request.envelope.smtputf8

    async def prepare(self, loop: asyncio.AbstractEventLoop) -> None:
        """Find out what takes a table, or a look at all of the content. Raises TableError."""
        turns = Turns(loop)
        if self._rules.generic is not None:
            await self._map_addresses(self._rules.generic, turns)
        if self._delivery.request.envelope.smtputf8:
            self.needs_smtputf8 = await self._look_for_utf8(turns)

    async def _map_addresses(self, generic: GenericMaps, turns: Turns) -> None:
        request = self._delivery.request
        for address in {request.envelope.sender, *(rcpt.address for rcpt in request.recipients)}:
            await turns.rest()
            mapped = await generic.map(address)
            if mapped != address:
                self._addresses[address] = mapped

    async def _look_for_utf8(self, turns: Turns) -> bool:
        """Whether an address or any header has UTF-8: most mail of SMTPUTF8 senders can go to any server."""
        request = self._delivery.request
        if not request.envelope.sender.isascii() or not all(rcpt.address.isascii() for rcpt in request.recipients):
            return True
        parser, read, offset = MimeParser(self._rules.limits), self.read, 0
        while data := read(offset, LOOK):
            offset += len(data)
            parser.feed(data)
            if Problem.EIGHT_BIT_HEADER in parser.problems:
                return True
            await turns.rest()
        parser.close()
        return Problem.EIGHT_BIT_HEADER in parser.problems

    # The envelope.

    def envelope(self, recipients: Sequence[DeliverTo], size: int) -> Envelope:
        """Make the envelope for some of the recipients."""
        envelope, mapped = self._delivery.request.envelope, self._addresses
        return Envelope(
            mapped.get(envelope.sender, envelope.sender),
            tuple(_recipient(rcpt, mapped.get(rcpt.address, rcpt.address)) for rcpt in recipients),
            size,
            self._body(),
            envelope.smtputf8,
            envelope.dsn_ret,
            envelope.dsn_envid,
            int(envelope.arrival),
        )

    def size(self) -> int:
        """Count the octets that go over the wire, where nothing is converted."""
        if not self._size:
            descriptor = self._delivery.descriptor
            if descriptor < 0:
                self._size = len(self.wire())
            else:
                self._size = sum(len(piece) + piece.count(b"\n") for piece in _pieces(descriptor))
        return self._size

    def _body(self) -> str:
        """Say what BODY says: what is known of the content, else what a look at it shows (RFC 6152 3)."""
        encoding = self._delivery.request.envelope.encoding
        if encoding:
            return _BODY.get(encoding, "")
        return "" if self._is_ascii() else "8BITMIME"

    def _is_ascii(self) -> bool:
        descriptor = self._delivery.descriptor
        if descriptor < 0:
            return self.wire().isascii()
        return all(piece.isascii() for piece in _pieces(descriptor))

    # The content.

    def conversion(self, features: Features, loop: asyncio.AbstractEventLoop) -> Conversion | None:
        """Make what converts the content for a server; None: it goes as it is."""
        rules, delivery = self._rules, self._delivery
        envelope = delivery.request.envelope
        downgrade = rules.must_downgrade(features, envelope.encoding)
        if not rules.always:
            if not downgrade:
                return None
            if delivery.descriptor < 0 and not may_be_converted(delivery.content()):
                return None
        return Conversion(rules, Turns(loop), envelope.queue_id, downgrade=downgrade)

    @property
    def is_large(self) -> bool:
        """Whether the content comes from a descriptor, in pieces."""
        return self._delivery.descriptor >= 0

    @property
    def read(self) -> Read:
        """What reads the content, as long as the delivery has not finished."""
        return reader_of(self._delivery.descriptor, self._delivery.content)

    @property
    def shaper(self) -> Shaper:
        """What brings content that comes in pieces into the form of the wire."""
        return Shaper(self._delivery.request.envelope.queue_id, self._limit)

    def wire(self) -> bytes:
        """Give the content as it goes over the wire."""
        if self._wire is None:
            content = self._delivery.content()
            split = split_long_lines(content, self._limit)
            self._was_split = split is not content
            self._wire = stuff_content(split)
        return self._wire

    def sent_as_it_is(self) -> None:
        """Note that wire() went out."""
        if self._was_split:
            report_split(self._delivery.request.envelope.queue_id, self._limit)


def _pieces(descriptor: int) -> Iterator[bytes]:
    """Read large content, a piece at a time."""
    offset = 0
    while piece := os.pread(descriptor, PIECE, offset):
        offset += len(piece)
        yield piece


def _recipient(rcpt: DeliverTo, address: str) -> Recipient:
    """Make the RCPT command's values (RFC 3461 4; 5.2.1: an ORCPT of ours where the sender gave none).

    address: as the server is to hear it.
    """
    notify = frozenset(name for bit, name in _NOTIFY.items() if rcpt.notify & bit) if rcpt.notify else _NONE
    orcpt = rcpt.dsn_orcpt
    if not orcpt:
        original = rcpt.original or rcpt.address
        orcpt = f"{'rfc822' if original.isascii() else 'utf-8'};{original}"
    return Recipient(address, notify, orcpt)
