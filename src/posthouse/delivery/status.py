"""Results of deliveries: short ways to make them, and the status line of the log.

Outcomes are data (ipc/message.py RecipientResult), never exceptions.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Final

from posthouse.ipc.delivery import Deliver, DeliverTo
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT, RecipientResult
from posthouse.util import log
from posthouse.util.delay import format_delay

STATUS_WORD: Final = {SENT: "sent", DEFERRED: "deferred", BOUNCED: "bounced"}


def same_for_all(
    recipients: Iterable[DeliverTo], outcome: int, dsn: str, text: str, relay: str = "none"
) -> list[RecipientResult]:
    """One result for each recipient. dsn and outcome must agree: "4.…" for DEFERRED and so on."""
    return [RecipientResult(rcpt.rcpt_id, outcome, dsn, text, relay) for rcpt in recipients]


def orig_to(rcpt: DeliverTo) -> str:
    """Show the address before rewriting, where that is another."""
    return f" orig_to=<{rcpt.original}>," if rcpt.original and rcpt.original != rcpt.address else ""


def log_results(
    request: Deliver, results: Sequence[RecipientResult], began: float, connected: float, conn_use: int = 0
) -> None:
    """Log one line for each recipient.

    began: when a connection was asked for, connected: when it could be used
    (seconds since the epoch; 0: there was none). conn_use: how many deliveries the connection made, if several.

    The four delays: before the queue manager, in the queue manager, connection set-up, transmission.
    """
    now = time.time()
    envelope = request.envelope
    by_id = {rcpt.rcpt_id: rcpt for rcpt in request.recipients}
    active = max(request.active, envelope.arrival)
    begins = began or active
    sends = connected or begins
    delays = "/".join(map(format_delay, (active - envelope.arrival, begins - active, sends - begins, now - sends)))
    delay = format_delay(now - envelope.arrival)
    conn = f" conn_use={conn_use}," if conn_use > 1 else ""
    for result in results:
        rcpt = by_id[result.rcpt_id]
        status = STATUS_WORD[result.outcome]
        log.info(
            f"{envelope.queue_id}: to=<{rcpt.address}>,{orig_to(rcpt)} relay={result.relay},{conn} delay={delay}, "
            f"delays={delays}, dsn={result.dsn}, status={status} ({result.text})",
            event="delivery",
            queue_id=envelope.queue_id,
            recipient=rcpt.address,
            original_recipient=rcpt.original,
            relay=result.relay,
            conn_use=conn_use,
            delay=round(now - envelope.arrival, 3),
            delays=delays,
            dsn=result.dsn,
            status=status,
            reason=result.text,
        )
