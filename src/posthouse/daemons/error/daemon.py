"""error(8), retry(8): give every recipient back with the next-hop destination as the reason.

As "error" the recipients bounce (5.0.0 unless the text begins with another status code), as "retry" they are deferred
(4.0.0). A code whose class does not fit the service gets the service's class: "retry" never bounces.

Standards: RFC 3463. See also: qmgr(8), discard(8).
"""

from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON = Daemon(
    name="error",
    start=Later("posthouse.daemons.error.service", "start"),
    parameters=(),
    talks_to=("qmgr",),
    privileges=Privileges(user="$mail_owner"),
    clients=1,
)
