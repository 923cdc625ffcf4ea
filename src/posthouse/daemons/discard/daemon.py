"""discard(8): pretends to deliver, and throws the message away.

The next-hop destination is the reason that is logged for each recipient. Nothing is opened, read or written; a message
that goes here is gone.

Standards: RFC 3463. See also: qmgr(8), error(8).
"""

from posthouse.delivery.agent import AgentService, Delivery
from posthouse.delivery.status import same_for_all
from posthouse.ipc.message import SENT
from posthouse.protocol.status import split_status
from posthouse.skeleton.daemon import Context, Daemon, Privileges


def deliver(delivery: Delivery) -> None:
    """Report every recipient as sent."""
    status, text = split_status(delivery.request.nexthop, "2.0.0")
    delivery.finish(same_for_all(delivery.request.recipients, SENT, status, text))


def start(context: Context) -> AgentService:
    """Make the service."""
    return AgentService(context, deliver)


DAEMON = Daemon(
    name="discard",
    start=start,
    parameters=(),
    talks_to=("qmgr",),
    privileges=Privileges(user="$mail_owner"),
    clients=1,
)
