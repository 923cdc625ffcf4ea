"""Short ways to make what the tests of qmgr need."""

from collections.abc import Sequence

from posthouse.daemons.qmgr.destinations import Transport, TransportLimits
from posthouse.daemons.qmgr.message import ActiveMessage
from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT, Envelope, RecipientResult
from posthouse.ipc.record import replace

ARRIVAL = 1_700_000_000.0


def message(
    *addresses: str,
    queue_id: str = "3TEST",
    key: int = 1,
    content: bytes | None = b"x\n",
    sender: str = "s@x",
    notify: int = 0,
    arrival: float = ARRIVAL,
    **more: object,
) -> ActiveMessage:
    """Make an active message with recipients 1, 2, 3 …; more: what else its envelope says."""
    envelope = replace(Envelope(queue_id, sender, arrival, 2), **more)
    recipients = [DeliverTo(number, address, notify=notify) for number, address in enumerate(addresses or ("a@x",), 1)]
    return ActiveMessage(key, envelope, recipients, content, arrival)


def transport(name: str = "smtp", **limits: float) -> Transport:
    """Make a transport; limits that are not given are Postfix's defaults."""
    chosen = TransportLimits(processes=100, window_initial=5, window_limit=20, recipients=50)
    values = {field: getattr(chosen, field) for field in TransportLimits.__slots__} | limits
    return Transport(name, TransportLimits(**values))


def sent(rcpt_id: int, action: str = "relayed") -> RecipientResult:
    """Delivered."""
    return RecipientResult(rcpt_id, SENT, "2.0.0", "ok", "mx", action=action)


def deferred(rcpt_id: int, text: str = "try later", dsn: str = "4.4.1") -> RecipientResult:
    """To be tried again."""
    return RecipientResult(rcpt_id, DEFERRED, dsn, text, "mx")


def bounced(rcpt_id: int) -> RecipientResult:
    """Refused."""
    return RecipientResult(rcpt_id, BOUNCED, "5.1.1", "no such user", "mx")


def outcomes(results: Sequence[RecipientResult]) -> dict[int, int]:
    """Show results as rcpt_id and outcome."""
    return {result.rcpt_id: result.outcome for result in results}
