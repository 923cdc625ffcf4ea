"""Transaction: one message from MAIL to the end of its content, on its way to cleanup(8)."""

import re
import time
from typing import Final

from posthouse.daemons.smtpd.client import Client
from posthouse.ipc import message
from posthouse.ipc.cleanup import CleanupClient, Done
from posthouse.ipc.cleanup import Transaction as CleanupTransaction
from posthouse.ipc.message import ClientInfo, Envelope, Recipient
from posthouse.ipc.origin import Origin
from posthouse.ipc.record import replace
from posthouse.protocol.smtp.events import Mail, Rcpt
from posthouse.util import log

_NOTIFY: Final = {
    "NEVER": message.NOTIFY_NEVER,
    "SUCCESS": message.NOTIFY_SUCCESS,
    "FAILURE": message.NOTIFY_FAILURE,
    "DELAY": message.NOTIFY_DELAY,
}
# What makes a line one of a mailbox, or, where the group is None, may be the beginning of that
_FROM: Final = re.compile(rb">{0,2000}+(?:(From )|(?:F(?:r(?:om?)?)?)?\Z)")
_BLANKS: Final = frozenset({b" ", b"\t"})
TOO_BIG: Final = Done(0, 552, "5.3.4", "Error: message file too big", "")
LARGE_NOW: Final = Done(0, 452, "4.3.1", "Insufficient system storage for a message of this size, try again later", "")
_CONTROLS: Final = dict.fromkeys((*range(9), *range(10, 32), 127), " ")
DISCARDED: Final = "Ok: queued as"


def one_field(text: str) -> bytes:
    """Make a line of the header of what a table says: a line end or a NUL in it must not begin another one."""
    return text.translate(_CONTROLS).encode("utf-8", "surrogateescape") + b"\n"


class Transaction:
    """Holds the envelope; streams the content. Knows no reply but the last."""

    def __init__(self, mail: Mail, size_limit: int, origin: Origin, actions: list[tuple[str, str]]) -> None:
        self.mail = mail
        self._origin = origin
        self._actions = actions  # of access tables: HOLD, PREPEND ...; the session adds to it
        self._applied = 0  # how many of them cleanup has heard of
        self.arrival = time.time()
        self.queue_id = ""
        self.recipients: list[Recipient] = []
        self.overshoot = 0  # recipients beyond smtpd_recipient_limit
        self.size = 0  # bytes of content, LF line ends
        self._size_limit = size_limit
        self._too_big: Done | None = None  # the answer, when it is
        self._beyond_limit = TOO_BIG
        self._first: bytes | None = b""  # content of which too little came to tell its first line; None: all is clear
        self._mailbox_line = False  # content is inside of a "From " line
        self._cleanup: CleanupTransaction | None = None
        self._ours = b""  # header lines of ours that leave with the first content
        self._discard = False

    def put_off_beyond(self, size: int) -> None:
        """While room is short a large message is not refused but put off."""
        if not self._size_limit or size < self._size_limit:
            self._size_limit, self._beyond_limit = size, LARGE_NOW

    def add(self, rcpt: Rcpt) -> None:
        """Take a recipient that was accepted."""
        notify = 0
        for word in rcpt.notify:
            notify |= _NOTIFY[word]
        self.recipients.append(Recipient(rcpt.recipient, "", rcpt.orcpt, notify))

    def begin(self, cleanup: CleanupClient, info: ClientInfo, received: bytes) -> None:
        """Open the message at cleanup. Raises TemporaryError."""
        mail, origin = self.mail, self._origin
        envelope = Envelope(
            queue_id=self.queue_id,
            sender=mail.sender,
            arrival=min(mail.arrival or self.arrival, self.arrival),
            size=mail.size or 0,
            encoding=_ENCODINGS[mail.body],
            smtputf8=mail.smtputf8,
            dsn_ret=mail.ret,
            dsn_envid=mail.envid,
            client=info,
            filter=origin.filter,
            overrides=origin.overrides,
            finds_smtputf8=origin.finds_smtputf8,
        )
        if self._actions:
            envelope = self._apply_actions(envelope)
            if envelope.discard:
                self._discard = True
                return
            received = b"".join(one_field(field) for name, field in self._actions if name == "PREPEND") + received
        self._cleanup = cleanup.begin(envelope, self.recipients)
        self._ours = received

    def _apply_actions(self, envelope: Envelope) -> Envelope:
        """Do what access tables asked for since the last time; of several only BCC adds up."""
        for name, argument in self._actions[self._applied :]:
            if name == "HOLD":
                envelope = replace(envelope, hold=argument or "access table")
            elif name == "FILTER":
                envelope = replace(envelope, filter=argument)
            elif name == "REDIRECT":
                envelope = replace(envelope, redirect=argument)
            elif name == "BCC":
                envelope = replace(envelope, bcc=(*envelope.bcc, argument))
            elif name == "DISCARD":
                envelope = replace(envelope, discard=argument or "access table")
        self._applied = len(self._actions)
        return envelope

    def write(self, data: bytes) -> None:
        """Pass content on."""
        self.size += len(data)
        if self._too_big is not None or self._cleanup is None:
            return
        if 0 < self._size_limit < self.size:
            self._too_big = self._beyond_limit
            log.warning(f"{self.queue_id}: queue file size limit exceeded")
            self._cleanup.abort()
            return
        if self._first is not None:
            data = self._begin_content(data)
        if data:
            self._send(data)

    def _send(self, data: bytes) -> None:
        assert self._cleanup is not None
        if self._ours:
            data, self._ours = self._ours + data, b""
        self._cleanup.content(data)

    @property
    def congested(self) -> bool:
        """Whether cleanup takes content more slowly than it comes."""
        return self._cleanup is not None and self._cleanup.congested

    async def end(self) -> Done:
        """The content is complete; returns when the message is durable, or is not taken."""
        if self._discard:
            return Done(0, 250, "2.0.0", f"{DISCARDED} {self.queue_id}", self.queue_id)
        if self._too_big is not None:
            return self._too_big
        assert self._cleanup is not None, "end before begin"
        if self._first or self._ours:
            self._send(self._first or b"")
        if len(self._actions) > self._applied:  # smtpd_end_of_data_restrictions
            self._cleanup.amend(self._apply_actions(Envelope(self.queue_id, "", 0.0)))
        return await self._cleanup.end()

    def abort(self) -> None:
        """Forget the message."""
        if self._cleanup is not None and not self._cleanup.ended:
            self._cleanup.abort()

    def _begin_content(self, data: bytes) -> bytes:
        """See to it that the first line cannot be taken for part of our own header.

        A "From " line of a mailbox becomes a header; a line that begins with a blank would continue our Received:.
        """
        assert self._first is not None
        data, self._first = self._first + data, b""
        while data:
            if not self._mailbox_line:
                match = _FROM.match(data)
                if match is None:
                    self._first = None
                    return b"\n" + data if data[:1] in _BLANKS else data
                if match[1] is None:
                    self._first = data
                    return b""
                data = b"X-Mailbox-Line: " + data
            line, newline, data = data.partition(b"\n")
            self._mailbox_line = not newline
            self._send(line + newline)
        return b""


_ENCODINGS: Final = {"": "", "7BIT": "7bit", "8BITMIME": "8bit"}


def client_info(client: Client, helo: str | None, protocol: str, *, local_headers: bool) -> ClientInfo:
    """Say who the client is, for cleanup and those behind it."""
    return ClientInfo(
        name=client.name,
        address=client.address,
        port=client.port,
        reverse_name=client.reverse_name,
        helo=helo or "",
        protocol=protocol,
        rewrite_context="local" if local_headers else "remote",
    )
