"""Transaction: one message while cleanup(8) receives it: content gathered in memory, or in a spool file when large.

The header section is edited as soon as it is complete and the content has outgrown memory; a small message is edited
as a whole at its end. Content that must be checked is only gathered here; who checks it takes it when he can (`more`).
What was wrong is kept (`refusal`) and answered at the end, as SMTP wants it.
"""

import asyncio
import errno
import os
from typing import Final

from posthouse.daemons.cleanup.content_pass import ContentPass
from posthouse.daemons.cleanup.header_scan import HeaderEnd
from posthouse.daemons.cleanup.outcome import QUEUE_FULL, TOO_BIG, WRITE_ERROR, Refusal
from posthouse.daemons.cleanup.queue_client import Spool
from posthouse.ipc.cleanup import Amend
from posthouse.ipc.message import Envelope, Recipient
from posthouse.ipc.queue import SPOOL_FROM
from posthouse.ipc.record import replace
from posthouse.util import log

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Transaction:
    """See the module's docstring."""

    __slots__ = (
        "_check_at",
        "_given",
        "_header_end",
        "_last",
        "_more",
        "_pieces",
        "_replace_cr",
        "_size_limit",
        "backlog",
        "checks",
        "complete",
        "envelope",
        "message_id",
        "original",
        "recipients",
        "refusal",
        "size",
        "spool",
        "spooling",
    )

    def __init__(self, envelope: Envelope, recipients: list[Recipient], *, size_limit: int, replace_cr: bool) -> None:
        self.envelope = envelope
        self.recipients = recipients
        self.refusal: Refusal | None = None
        self.original = b""  # content before it was edited, for the sender, when what is refused is returned to him
        self.message_id = ""
        self.size = 0  # bytes of content that has come
        self.spool: Spool | None = None
        self.spooling: asyncio.Future[None] | None = None  # the header is being edited and a spool file opened
        self.checks: ContentPass | None = None
        self.backlog = 0  # bytes that wait to be checked
        self.complete = False  # all content has come
        self._more: asyncio.Future[None] | None = None  # somebody waits for content
        self._given = envelope
        self._pieces: list[bytes] = []
        self._size_limit = size_limit
        self._replace_cr = replace_cr
        self._check_at = SPOOL_FROM
        self._header_end = HeaderEnd()
        self._last = b"\n"

    def add(self, data: bytes) -> bool:
        """Take content; True: it is time to begin a spool file."""
        self.size += len(data)
        self._last = data[-1:] or self._last
        if self.refusal is not None:
            return False
        if 0 < self._size_limit < self.size:
            self.refuse(TOO_BIG)
            log.warning(f"{self.envelope.queue_id}: queue file size limit exceeded")
            return False
        if self.checks is not None:
            return self._gather(data)
        if self._replace_cr and b"\r" in data:
            data = data.replace(b"\r", b" ")
        if self.spool is not None:
            self.write(data)
            return False
        self._pieces.append(data)
        if self.size <= self._check_at or self.spooling is not None:
            return False
        content = b"".join(self._pieces)
        self._pieces = [content]
        if self._header_end.is_in(content):
            return True
        # Not too often, since all is copied, nor too seldom: headers are many. A line without end is gone over again.
        self._check_at = self.size + max(SPOOL_FROM, self.size // 32, len(content) - self._header_end.position)
        return False

    def _gather(self, data: bytes) -> bool:
        self._pieces.append(data)
        self.backlog += len(data)
        self._wake()
        return self.backlog > SPOOL_FROM and self.spooling is None

    async def more(self) -> None:
        """Wait until there is content to be taken, or there will be none."""
        if not self._pieces and not self.complete and self.refusal is None:
            self._more = asyncio.get_running_loop().create_future()
            await self._more

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def amend(self, record: Amend) -> None:
        """Take what was decided while the content came; what the checks of a large message have said stays."""
        envelope, given = self.envelope, self._given
        self.envelope = replace(
            envelope,
            filter=(record.filter if envelope.filter == given.filter else "") or envelope.filter,
            redirect=(record.redirect if envelope.redirect == given.redirect else "") or envelope.redirect,
            bcc=(*envelope.bcc, *record.bcc),
            hold=envelope.hold or record.hold,
            discard=envelope.discard or record.discard,
        )

    def remember(self, content: bytes) -> None:
        """Keep the header as it came, for the sender: what was refused is returned without its body."""
        if self.envelope.returns:
            self.original = (content.partition(b"\n\n")[0].rstrip(b"\n") + b"\n")[:SPOOL_FROM]

    @property
    def is_returned(self) -> bool:
        """Whether it was refused for good, and the sender is told with a notice."""
        refusal = self.refusal
        return self.envelope.returns and refusal is not None and refusal.code >= 500 and bool(self.recipients)

    def end(self) -> None:
        """All content has come; a last line without line end gets one."""
        if self._last != b"\n" and self.refusal is None:
            self.add(b"\n")
        self.complete = True
        self._wake()

    def take(self) -> bytes:
        """Take all content that is in memory."""
        content = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces = []
        self.backlog = 0
        return content

    def put_back(self, content: bytes) -> None:
        """Put content in front of what has come since it was taken."""
        if self.refusal is None:
            self._pieces.insert(0, content)

    def write(self, data: bytes) -> None:
        """Write to the spool file."""
        assert self.spool is not None, "no spool file"
        try:
            while data:
                data = data[os.write(self.spool.descriptor, data) :]
        except OSError as error:
            log.warning(f"{self.envelope.queue_id}: write spool file: {error.strerror}")
            self.refuse(QUEUE_FULL if error.errno in FULL else WRITE_ERROR)

    def refuse(self, refusal: Refusal) -> None:
        """Remember why the message is not taken (the first reason counts); its content is not needed any more."""
        self.refusal = self.refusal or refusal
        self._pieces = []
        self.backlog = 0
        self._wake()
