"""The service of discard(8)."""

from posthouse.delivery.agent import AgentService, Delivery
from posthouse.delivery.status import same_for_all
from posthouse.ipc.message import SENT
from posthouse.protocol.status import split_status
from posthouse.skeleton.daemon import Context


def deliver(delivery: Delivery) -> None:
    """Report every recipient as sent."""
    status, text = split_status(delivery.request.nexthop, "2.0.0")
    delivery.finish(same_for_all(delivery.request.recipients, SENT, status, text))


def start(context: Context) -> AgentService:
    """Make the service."""
    return AgentService(context, deliver)
