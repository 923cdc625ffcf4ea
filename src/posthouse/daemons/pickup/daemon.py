"""pickup(8): takes mail from local users and hands it to cleanup(8).

It serves two services. "submit" is a socket that sendmail(1) of any user connects to; the kernel tells who that is.
"pickup" looks into maildrop/, where sendmail leaves mail while the system is down, at each trigger and at every
wakeup. What users write is taken by strict rules only, and no file's content says who wrote it.

Diagnostics: each message is logged with its uid and sender; junk in maildrop is logged and removed.
Standards: none. See also: sendmail(1), cleanup(8), docs/security.md.
"""

from posthouse.daemons.pickup.parameters import PARAMETERS
from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON = Daemon(
    name="pickup",
    start=Later("posthouse.daemons.pickup.service", "start"),
    parameters=PARAMETERS,
    talks_to=("cleanup", "governor"),
    privileges=Privileges(user="$mail_owner", chroot="never", accounts=True, writes=("$queue_directory/maildrop",)),
)
