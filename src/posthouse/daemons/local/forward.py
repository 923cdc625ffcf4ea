"""Forwarding: a new message through cleanup(8), so that each address it goes to has its own record in the queue.

"Received:" is added so that hops are counted, "Delivered-To:" so that a message that comes round again is recognised
(facts B11.18, B15.06).
"""

import time
from collections.abc import Sequence

from posthouse.config.parameters import MAIL_NAME, MYHOSTNAME
from posthouse.config.settings import Settings
from posthouse.delivery.agent import Delivery
from posthouse.ipc.cleanup import CleanupClient, Done
from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import (
    BOUNCED,
    DEFERRED,
    NOTIFY_NEVER,
    NOTIFY_SUCCESS,
    SENT,
    Envelope,
    Recipient,
    RecipientResult,
)
from posthouse.ipc.origin import FORWARD, Origin
from posthouse.protocol.message.date import format_date
from posthouse.protocol.message.received import Server, format_received_internal
from posthouse.util.clock import local_zone
from posthouse.util.errors import TemporaryError


class Forwarder:
    """One for the life of a process."""

    def __init__(self, cleanup: CleanupClient, settings: Settings) -> None:
        self._cleanup = cleanup
        self._origin = Origin.of_internal_mail(settings, FORWARD)
        self._server = Server(settings[MYHOSTNAME], settings[MAIL_NAME])

    async def forward(
        self, delivery: Delivery, rcpt: DeliverTo, sender: str, addresses: Sequence[str]
    ) -> RecipientResult:
        """Send the message on to addresses; the result for the recipient. Never raises."""
        old = delivery.request.envelope
        try:
            queue_id = await self._cleanup.new_queue_id()
            envelope = Envelope(
                queue_id=queue_id,
                sender=sender,
                arrival=old.arrival,
                encoding=old.encoding,
                smtputf8=old.smtputf8,
                dsn_ret=old.dsn_ret,
                dsn_envid=old.dsn_envid,
                client=old.client,
            )
            original, notify = rcpt.original or rcpt.address, _notify_on(rcpt.notify)
            recipients = [Recipient(address, original, rcpt.dsn_orcpt, notify) for address in addresses]
            transaction = self._cleanup.begin(self._origin.mark(envelope), recipients)
        except TemporaryError as error:
            return RecipientResult(rcpt.rcpt_id, DEFERRED, "4.3.0", str(error), "local")
        transaction.content(self._trace_headers(queue_id, rcpt.address) + delivery.content())
        return _result(rcpt, await transaction.end(), queue_id)

    def _trace_headers(self, queue_id: str, address: str) -> bytes:
        now = int(time.time())
        received = format_received_internal(self._server, queue_id, format_date(now, *local_zone(now)))
        return received + f"Delivered-To: {address}\n".encode("utf-8", "surrogateescape")


def _notify_on(notify: int) -> int:
    """Leave out success: the sender is told that the address was expanded, and not of each one behind it (RFC 3461)."""
    return notify & ~NOTIFY_SUCCESS or NOTIFY_NEVER if notify & NOTIFY_SUCCESS else notify


def _result(rcpt: DeliverTo, done: Done, queue_id: str) -> RecipientResult:
    if done.code < 300:
        return RecipientResult(rcpt.rcpt_id, SENT, "2.0.0", f"forwarded as {queue_id}", "local", action="expanded")
    outcome = BOUNCED if done.code >= 500 else DEFERRED
    return RecipientResult(rcpt.rcpt_id, outcome, done.dsn, done.text, "local")
