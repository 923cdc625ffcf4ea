"""HeaderEditor: make the header of a message complete, as cleanup(8) does, in one pass over the header section.

Dropped: message_drop_headers. Added where headers are rewritten, or with always_add_missing_headers: Message-Id, Date,
From, and To when undisclosed_recipients_header says so; with Resent- headers, the Resent- forms. Never a Sender:.
Refused: too many Received headers. Where a header section ends that no empty line ends: see postconf(5),
non_empty_end_of_header_action. Sources: RFC 5322 3.6, facts B07.03 and B07.09 to B07.14.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from posthouse.config.parameters import (
    HEADER_SIZE_LIMIT,
    LINE_LENGTH_LIMIT,
    MYHOSTNAME,
    UNDISCLOSED_RECIPIENTS_HEADER,
)
from posthouse.config.settings import Settings
from posthouse.daemons.cleanup.addresses import AddressMappings
from posthouse.daemons.cleanup.header_addresses import AddressHeaders
from posthouse.daemons.cleanup.header_scan import RESENT, Field, HeaderScanner, HeaderSection
from posthouse.daemons.cleanup.header_size import cut_header, let_in
from posthouse.daemons.cleanup.mailbox import format_mailbox
from posthouse.daemons.cleanup.outcome import TOO_MANY_HOPS, RefusedError
from posthouse.daemons.cleanup.parameters import (
    ALWAYS_ADD_MISSING_HEADERS,
    DETECT_8BIT_ENCODING_HEADER,
    HOPCOUNT_LIMIT,
    MESSAGE_DROP_HEADERS,
    NON_EMPTY_END_OF_HEADER_ACTION,
)
from posthouse.ipc.message import NO_ADDRESS_MAPPINGS, Envelope
from posthouse.protocol.message.date import format_date
from posthouse.tables.table import printable
from posthouse.util import log
from posthouse.util.clock import local_zone
from posthouse.util.turns import Turns

_EIGHT_BIT: Final = frozenset({b"8bit", b"binary"})
_LF: Final = 10
_PART: Final = re.compile(rb"\ncontent-transfer-encoding:[ \t]*(?:\n[ \t]+)?(?:8bit|binary)\n", re.IGNORECASE)
_NOTICE: Final = b"MIME-Error: message header was not terminated by empty line\n"
_START: Final = itemgetter(0)
_BEFORE_COLON: Final = re.compile(rb"\A([!-9;-~]++)[ \t]++:")
_HEADER: Final = re.compile(r"[!-9;-~]+[ \t]*:")
MAILER_DAEMON: Final = "MAILER-DAEMON"

Sender = Callable[[str, int], Awaitable[str]]  # from envelope sender and overrides


@dataclass(slots=True)
class Edited:
    """The message with its new header, and what the header says of it."""

    content: bytes
    message_id: str
    encoding: str


Edit = tuple[int, int, bytes]  # from where to where in the content, and what comes there


class _Editing:
    """The content on its way to what it becomes: edits of one piece after the other. What has none is not copied."""

    __slots__ = ("_content", "_inserts", "_out", "_position")

    def __init__(self, content: bytes, inserts: Sequence[tuple[int, bytes]]) -> None:
        self._content = content
        self._inserts = deque(inserts)
        self._out: list[bytes] = []
        self._position = 0  # what is before it is in `out`

    def apply(self, edits: list[Edit], end: int) -> None:
        """Make the edits of the piece that ends at `end`, and the inserts up to there."""
        inserts = self._inserts
        before: list[Edit] = []
        while inserts and inserts[0][0] <= end:
            position, text = inserts.popleft()
            before.append((position, position, text))
        if not edits and not before:
            return
        content, position, pieces = self._content, self._position, list[bytes]()
        for start, stop, new in sorted(before + edits, key=_START):
            if start >= position:
                pieces += (content[position:start], new)
                position = stop
        self._out.append(b"".join(pieces))
        self._position = position

    def result(self) -> bytes:
        """Give all of it."""
        if not self._out:
            return self._content
        return b"".join([*self._out, self._content[self._position :]])


class HeaderEditor:
    """One for the life of a process. mappings: rewriting of addresses. sender: gives the final envelope sender."""

    def __init__(self, settings: Settings, mappings: AddressMappings, sender: Sender) -> None:
        self._sender = sender
        self._addresses = {  # None leaves headers alone
            (context, bits): mappings.headers(context, uses_tables=not bits)
            for context in ("local", "remote")
            for bits in (0, NO_ADDRESS_MAPPINGS)
        }
        self._scanner = HeaderScanner(settings[MESSAGE_DROP_HEADERS], settings[HEADER_SIZE_LIMIT])
        self._size_limit = settings[HEADER_SIZE_LIMIT]
        self._line_limit = settings[LINE_LENGTH_LIMIT]
        self._hop_limit = settings[HOPCOUNT_LIMIT]
        self._myhostname = settings[MYHOSTNAME]
        self._always_add = settings[ALWAYS_ADD_MISSING_HEADERS]
        self._undisclosed = settings[UNDISCLOSED_RECIPIENTS_HEADER]
        if self._undisclosed and _HEADER.match(self._undisclosed) is None:
            log.warning(
                f'bad undisclosed_recipients_header header text "{printable(self._undisclosed)}" -- '
                'need "headername: headervalue"'
            )
            self._undisclosed = ""
        self._detect_encoding = settings[DETECT_8BIT_ENCODING_HEADER]
        # what comes between the header section and a line that is neither header nor empty
        self.separator = _NOTICE + b"\n" if settings[NON_EMPTY_END_OF_HEADER_ACTION] == "add_header" else b"\n"

    async def edit(self, content: bytes, envelope: Envelope, inserts: Sequence[tuple[int, bytes]] = ()) -> Edited:
        """Edit the header section, which must be complete in `content`. Raises RefusedError, TemporaryError.

        inserts: what is put before the headers that begin there, and is not looked at.
        """
        section = HeaderSection()
        editing: _Editing | None = None  # most headers stay as they are
        turns: Turns | None = None
        context = "local" if envelope.client.rewrite_context == "local" else "remote"
        rewriter = self._addresses[context, envelope.overrides & NO_ADDRESS_MAPPINGS]
        while True:
            more = self._scanner.scan(content, section)
            if section.received >= self._hop_limit:
                log.warning(f"{envelope.queue_id}: message rejected: hopcount exceeded")
                raise RefusedError(TOO_MANY_HOPS)
            if section.addresses:
                section.addresses = [] if rewriter is None else rewriter.incomplete(content, section.addresses)
            if section.addresses or section.dropped or section.blanks or section.oversized or inserts or more:
                editing = editing or _Editing(content, inserts)
                turns = turns or Turns(asyncio.get_running_loop())
                editing.apply(await self._edits(content, section, rewriter, turns), section.end)
            if not more:
                break
            section.next_piece()
            if turns is not None:
                await turns.rest()
        adds = self._always_add or rewriter is not None
        has_author = (b"resent-from" if section.resent else b"from") in section.names
        author = "" if has_author or not adds else await self._author(envelope)
        added, message_id = self._missing(content, section, envelope, author, adds=adds)
        if section.end < len(content) and content[section.end] != _LF:
            added += self.separator
        if editing is not None:
            editing.apply([(section.end, section.end, added)] if added else [], len(content))
            edited = editing.result()
        else:
            edited = b"".join((content[: section.end], added, content[section.end :])) if added else content
        encoding = envelope.encoding
        if encoding != "8bit" and self._detect_encoding and _says_eight_bit(content, section):
            encoding = "8bit"
        return Edited(edited, message_id, encoding)

    async def _edits(
        self, content: bytes, section: HeaderSection, rewriter: AddressHeaders | None, turns: Turns
    ) -> list[Edit]:
        """Say what is to become of the headers of one piece; of two edits of one header the first counts."""
        edits: list[Edit] = [(field.start, field.end, b"") for field in section.dropped]
        if rewriter is not None:
            for field in section.addresses:
                new = await self._rewritten(content, field, rewriter, turns)
                if new is not None:
                    edits.append((field.start, field.end, self._cut_rewritten(new)))
        edits += section.blanks
        edits += [
            (field.start, field.end, self._cut(self._without_blanks(content, field))) for field in section.oversized
        ]
        return edits

    async def _rewritten(self, content: bytes, field: Field, rewriter: AddressHeaders, turns: Turns) -> bytes | None:
        """Rewrite a header with addresses; of a long one, the lines that its limit lets in."""
        if field.end - field.start > self._size_limit:
            content = let_in(self._without_blanks(content, field), self._size_limit, self._line_limit)
            field = Field(field.name, 0, len(content), content.find(b":") + 1)
        return await rewriter.rewrite(content, field, turns)

    async def _author(self, envelope: Envelope) -> str:
        """Give what the missing From: or Resent-From: says."""
        sender = await self._sender(envelope.sender, envelope.overrides)
        return format_mailbox(envelope.full_name, sender) if sender else MAILER_DAEMON

    def _missing(
        self, content: bytes, section: HeaderSection, envelope: Envelope, author: str, *, adds: bool
    ) -> tuple[bytes, str]:
        """Make the headers that are missing, and log the message ID."""
        names = section.names
        resent, prefix = (RESENT, "Resent-") if section.resent else (b"", "")
        lines: list[str] = []
        if section.message_id is not None:
            message_id = _value(content, section.message_id).decode("utf-8", "surrogateescape")
        else:
            message_id = f"<{envelope.queue_id}@{self._myhostname}>" if adds else "<>"
        if adds:
            if resent + b"message-id" not in names:
                message_id = f"<{envelope.queue_id}@{self._myhostname}>"
                lines.append(f"{prefix}Message-Id: {message_id}\n")
            if resent + b"date" not in names:
                lines.append(f"{prefix}Date: {_date()}\n")
            if author:
                lines.append(f"{prefix}From: {author}\n")
            if self._undisclosed and names.isdisjoint(_RECIPIENT_HEADERS):
                lines.append(f"{self._undisclosed}\n")
        log.info(
            f"{envelope.queue_id}: {'resent-' if resent and section.message_id is None else ''}message-id={message_id}",
            event="message-id",
            queue_id=envelope.queue_id,
            message_id=message_id,
        )
        added = "".join(lines).encode("utf-8", "surrogateescape") if lines else b""
        return added, "" if message_id == "<>" else message_id

    def _without_blanks(self, content: bytes, field: Field) -> bytes:
        """Give a header without blanks before its colon; they do not count."""
        return _BEFORE_COLON.sub(rb"\1:", content[field.start : field.end])

    def _cut(self, field: bytes) -> bytes:
        """Keep a header within its limit; with its last line end."""
        if len(field) <= self._size_limit:
            return field
        return cut_header(field.rstrip(b"\n"), self._size_limit) + b"\n"

    def _cut_rewritten(self, field: bytes) -> bytes:
        """The same; the tabs of its lines do not count, as with Postfix."""
        if len(field) <= self._size_limit:
            return field
        return self._cut(field.replace(b"\n\t", b"\n")).rstrip(b"\n").replace(b"\n", b"\n\t") + b"\n"


_RECIPIENT_HEADERS: Final = frozenset({b"to", b"cc", b"resent-to", b"resent-cc"})  # that others see


def _date() -> str:
    now = int(time.time())
    return format_date(now, *local_zone(now))


def is_eight_bit(encoding: bytes) -> bool:
    """Whether the value of a Content-Transfer-Encoding header says 8-bit content: the word alone (RFC 2045 6.2)."""
    return encoding.lstrip().lower() in _EIGHT_BIT


def _says_eight_bit(content: bytes, section: HeaderSection) -> bool:
    """Whether the message, or a part of it, says that it is 8-bit text; parts count only where there is such text."""
    if any(is_eight_bit(content[found.value : found.end].removesuffix(b"\n")) for found in section.encodings):
        return True
    return not content.isascii() and _PART.search(content, section.end) is not None


def _value(content: bytes, field: Field) -> bytes:
    return b" ".join(content[field.value : field.end].split())
