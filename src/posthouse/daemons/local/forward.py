"""Forwarding: a new message through cleanup(8), so that each address it goes to has its own record in the queue.

"Delivered-To:" is added so that a message that comes round again is recognised (facts B11.18, B15.06).
"""

from collections.abc import Sequence

from posthouse.delivery.agent import Delivery
from posthouse.ipc.cleanup import CleanupClient, Done
from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT, Envelope, Recipient, RecipientResult
from posthouse.ipc.origin import Origin
from posthouse.util.errors import TemporaryError


async def forward(
    cleanup: CleanupClient,
    delivery: Delivery,
    rcpt: DeliverTo,
    sender: str,
    addresses: Sequence[str],
    origin: Origin,
) -> RecipientResult:
    """Send the message on to addresses; the result for the recipient. Never raises."""
    old = delivery.request.envelope
    try:
        queue_id = await cleanup.new_queue_id()
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
        original = rcpt.original or rcpt.address
        recipients = [Recipient(address, original, notify=rcpt.notify) for address in addresses]
        transaction = cleanup.begin(origin.mark(envelope), recipients)
    except TemporaryError as error:
        return RecipientResult(rcpt.rcpt_id, DEFERRED, "4.3.0", str(error), "local")
    delivered_to = f"Delivered-To: {rcpt.address}\n".encode("utf-8", "surrogateescape")
    transaction.content(delivered_to + delivery.content())
    return _result(rcpt, await transaction.end(), queue_id)


def _result(rcpt: DeliverTo, done: Done, queue_id: str) -> RecipientResult:
    if done.code < 300:
        return RecipientResult(rcpt.rcpt_id, SENT, "2.0.0", f"forwarded as {queue_id}", "local", action="expanded")
    outcome = BOUNCED if done.code >= 500 else DEFERRED
    return RecipientResult(rcpt.rcpt_id, outcome, done.dsn, done.text, "local")
