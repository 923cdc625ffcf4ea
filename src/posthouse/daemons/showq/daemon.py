"""showq(8): lets users list the queue and ask for a delivery attempt, as far as main.cf lets them.

It reads no file and holds nothing: it checks who asks (the kernel tells), and passes pages on from qmgr(8), which owns
the queue. What changes mail is not done here; postsuper(1) talks to qmgr, as root.

Standards: none. See also: postqueue(1), qmgr(8).
"""

from posthouse.config.parameters import AUTHORIZED_FLUSH_USERS, AUTHORIZED_MAILQ_USERS
from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON = Daemon(
    name="showq",
    start=Later("posthouse.daemons.showq.service", "start"),
    parameters=(AUTHORIZED_MAILQ_USERS, AUTHORIZED_FLUSH_USERS),
    talks_to=("qmgr",),
    privileges=Privileges(user="$mail_owner", chroot="never", accounts=True),
)
