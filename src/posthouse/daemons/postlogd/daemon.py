"""postlogd(8): writes the lines of all daemons to maillog_file, or to standard output with "postfix start-fg".

It serves a datagram socket that any program of the system may write to; one datagram carries one or more whole lines,
stamped by their senders. Lines are checked for control characters and length, so that no sender can forge the end of
another's line, and appended; what a user who is not ours writes is logged as his (uid=N). Nobody waits for it: when
the disk is full lines are lost, and that is logged later. With maillog_stdout they go to standard output besides, as
containers want it; one that is slow or closed costs the lines that it does not take, and nothing else.

Daemons gather lines for a moment and say when each was written; postlogd holds them back for a tenth of a second and
writes them in that order, so that the lines of a message follow one another as its way does.

Standards: none. See also: postlog(1), master(8).
"""

from posthouse.config.parameters import MAILLOG_FILE, MAILLOG_STDOUT
from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON = Daemon(
    name="postlogd",
    start=Later("posthouse.daemons.postlogd.service", "start"),
    parameters=(MAILLOG_FILE, MAILLOG_STDOUT),
    privileges=Privileges(user="$mail_owner", appends=("$maillog_file",), threads=True),
    resident=True,
)
