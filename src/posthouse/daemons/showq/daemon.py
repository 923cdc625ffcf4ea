"""showq(8): lets users list the queue and ask for a delivery attempt, as far as main.cf lets them.

It reads no file and holds nothing: it checks who asks (the kernel tells), and passes pages on from qmgr(8), which owns
the queue. What changes mail is not done here; postsuper(1) talks to qmgr, as root.

Standards: none. See also: postqueue(1), qmgr(8).
"""

from posthouse.config.parameters import AUTHORIZED_FLUSH_USERS, AUTHORIZED_MAILQ_USERS
from posthouse.daemons.showq.service import ShowqService
from posthouse.skeleton.daemon import Context, Daemon, Privileges
from posthouse.tables.matchlist import open_string_list


def start(context: Context) -> ShowqService:
    """Open the two lists of users."""
    may_list = open_string_list(AUTHORIZED_MAILQ_USERS, context.settings)
    may_flush = open_string_list(AUTHORIZED_FLUSH_USERS, context.settings)
    return ShowqService(context, may_list, may_flush)


DAEMON = Daemon(
    name="showq",
    start=start,
    parameters=(AUTHORIZED_MAILQ_USERS, AUTHORIZED_FLUSH_USERS),
    talks_to=("qmgr",),
    privileges=Privileges(user="$mail_owner", chroot="never", accounts=True),
)
