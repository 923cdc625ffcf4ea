"""postlogd(8): writes the lines of all daemons to maillog_file, or to standard output with "postfix start-fg".

It serves a datagram socket that any program of the system may write to; one datagram carries one or more whole lines,
stamped by their senders. Lines are checked for control characters and length, so that no sender can forge the end of
another's line, and appended. Nobody waits for it: when the disk is full lines are lost, and that is logged later.

Standards: none. See also: postlog(1), master(8).
"""

from posthouse.config.parameters import MAILLOG_FILE
from posthouse.daemons.postlogd.service import PostlogService
from posthouse.skeleton.daemon import Context, Daemon, Privileges
from posthouse.util import log
from posthouse.util.log import FileSink


def start(context: Context) -> PostlogService:
    """Open the file."""
    service = PostlogService(context.settings[MAILLOG_FILE])
    log.LOG.open(
        f"{context.settings.text('syslog_name')}/postlogd",
        FileSink(service.descriptor),  # its own lines go to the same place
        json=context.settings.text("log_format") == "json",
        stamped=True,
    )
    return service


DAEMON = Daemon(
    name="postlogd",
    start=start,
    parameters=(MAILLOG_FILE,),
    privileges=Privileges(user="$mail_owner", writes=("$maillog_file",)),
    resident=True,
)
