"""local(8): delivers to the users of this machine: aliases, .forward files, mailboxes, commands.

It decides; it does not touch. Whatever must be done with somebody's rights (write a mailbox, read a .forward, run a
command) is asked of runas(8), whose child is that user for good. root's mail is handled as default_privs. Without
root everything is done as the one user there is.

Diagnostics: one line for each recipient. A full disk defers, a full mailbox bounces, an unknown user bounces.
Standards: RFC 822 (aliases), 3463. See also: aliases(5), runas(8), qmgr(8), virtual(8).
"""

from posthouse.daemons.local.parameters import PARAMETERS
from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON = Daemon(
    name="local",
    start=Later("posthouse.daemons.local.service", "start"),
    parameters=PARAMETERS,
    talks_to=("qmgr", "cleanup", "proxymap"),
    privileges=Privileges(user="$mail_owner", chroot="never", accounts=True, asks_runas=True, executes=True),
    clients=1,
)
