"""discard(8): pretends to deliver, and throws the message away.

The next-hop destination is the reason that is logged for each recipient. Nothing is opened, read or written; a message
that goes here is gone.

Standards: RFC 3463. See also: qmgr(8), error(8).
"""

from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON = Daemon(
    name="discard",
    start=Later("posthouse.daemons.discard.service", "start"),
    parameters=(),
    talks_to=("qmgr",),
    privileges=Privileges(user="$mail_owner"),
    clients=1,
)
