"""The service of error(8) and retry(8)."""

from functools import partial

from posthouse.delivery.agent import AgentService, Delivery
from posthouse.delivery.status import same_for_all
from posthouse.ipc.message import BOUNCED, DEFERRED
from posthouse.protocol.status import split_status
from posthouse.skeleton.daemon import Context


def deliver(delivery: Delivery, *, outcome: int) -> None:
    """Report every recipient as bounced or deferred."""
    status_class = "4" if outcome == DEFERRED else "5"
    status, text = split_status(delivery.request.nexthop, f"{status_class}.0.0")
    status = status_class + status[1:]
    delivery.finish(same_for_all(delivery.request.recipients, outcome, status, text))


def start(context: Context) -> AgentService:
    """Make the service; its name in master.cf decides which of the two it is."""
    outcome = DEFERRED if context.settings.service_name == "retry" else BOUNCED
    return AgentService(context, partial(deliver, outcome=outcome))
