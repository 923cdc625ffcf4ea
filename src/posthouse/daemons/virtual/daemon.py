"""virtual(8): delivers to mailboxes of domains whose users have no account here.

Mailbox, user and group are found in tables. It decides and does not touch: the writing is done by a child of runas(8)
that is the mailbox's owner. User and group IDs below the minimum are refused, and so are paths that leave the base.

Diagnostics: one line for each recipient. A mistake in a table defers the mail and is logged.
Standards: RFC 3463. See also: local(8), runas(8), qmgr(8).
"""

from posthouse.daemons.virtual.parameters import PARAMETERS
from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON = Daemon(
    name="virtual",
    start=Later("posthouse.daemons.virtual.service", "start"),
    parameters=PARAMETERS,
    talks_to=("qmgr", "proxymap"),
    privileges=Privileges(
        user="$mail_owner",
        chroot="never",
        asks_runas=True,
        mailboxes=("$virtual_mailbox_base",),
    ),
    clients=1,
)
