"""The service of discard(8)."""

from posthouse.delivery.agent import AgentService, Delivery
from posthouse.ipc.message import SENT, RecipientResult
from posthouse.protocol.status import split_status
from posthouse.skeleton.daemon import Context


def deliver(delivery: Delivery) -> None:
    """Report every recipient as sent."""
    status, text = split_status(delivery.request.nexthop, "2.0.0")
    results = [
        RecipientResult(rcpt.rcpt_id, SENT, status, text, "none", action="delivered")
        for rcpt in delivery.request.recipients
    ]
    delivery.finish(results)


def start(context: Context) -> AgentService:
    """Make the service."""
    return AgentService(context, deliver)
