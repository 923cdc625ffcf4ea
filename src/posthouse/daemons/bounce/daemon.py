"""bounce(8), defer(8), trace(8): makes delivery status notifications.

qmgr(8) says which recipients of which message a notice is about, and hands over the message or its header section.
The notice goes to cleanup(8) as a new message from the null sender; qmgr is told when that is durable, and only then
are the recipients done with. Nothing is read from or written to a file.

Diagnostics: each notice is logged with the queue IDs of both messages.
Standards: RFC 3461, 3462, 3464, 3834, 6533. See also: qmgr(8), cleanup(8).
"""

from posthouse.daemons.bounce.parameters import PARAMETERS
from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON = Daemon(
    name="bounce",
    start=Later("posthouse.daemons.bounce.service", "BounceService"),
    parameters=PARAMETERS,
    talks_to=("cleanup",),
    privileges=Privileges(user="$mail_owner"),
)
