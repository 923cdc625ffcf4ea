"""error(8), retry(8): give every recipient back with the next-hop destination as the reason.

As "error" the recipients bounce (5.0.0 unless the text begins with another status code), as "retry" they are deferred
(4.0.0). A code whose class does not fit the service gets the service's class: "retry" never bounces.

Standards: RFC 3463. See also: qmgr(8), discard(8).
"""

from functools import partial

from posthouse.delivery.agent import AgentService, Delivery
from posthouse.delivery.status import same_for_all
from posthouse.ipc.message import BOUNCED, DEFERRED
from posthouse.protocol.status import split_status
from posthouse.skeleton.daemon import Context, Daemon, Privileges


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


DAEMON = Daemon(
    name="error",
    start=start,
    parameters=(),
    talks_to=("qmgr",),
    privileges=Privileges(user="$mail_owner"),
    clients=1,
)
