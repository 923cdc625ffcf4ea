"""postlogd(8): writes the lines of all daemons to maillog_file, or to standard output with "postfix start-fg".

It serves a datagram socket that any program of the system may write to; one datagram carries one or more whole lines,
stamped by their senders. Lines are checked for control characters and length, so that no sender can forge the end of
another's line, and appended; what a user who is not ours writes is logged as his (uid=N). Nobody waits for it: when
the disk is full lines are lost, and that is logged later. With maillog_stdout they go to standard output besides, as
containers want it; one that is slow or closed costs the lines that it does not take, and nothing else.

Standards: none. See also: postlog(1), master(8).
"""

from posthouse.config.parameters import MAILLOG_FILE, MAILLOG_STDOUT
from posthouse.daemons.postlogd.copy import StandardCopy, WithCopy
from posthouse.daemons.postlogd.senders import ask_for_credentials
from posthouse.daemons.postlogd.service import STANDARD_OUTPUT, PostlogService
from posthouse.ipc.own_users import own_uids
from posthouse.skeleton.daemon import Context, Daemon, Privileges
from posthouse.util import log
from posthouse.util.log import FileSink, Sink


def start(context: Context) -> PostlogService:
    """Open the file."""
    path = context.settings[MAILLOG_FILE]
    copy = StandardCopy(1) if context.settings[MAILLOG_STDOUT] and path != STANDARD_OUTPUT else None
    ask_for_credentials(context.listeners)
    service = PostlogService(path, copy, own_uids(context.settings))
    own: Sink = FileSink(service.descriptor)  # its own lines go to the same place
    log.LOG.open(
        f"{context.settings.text('syslog_name')}/postlogd",
        own if copy is None else WithCopy(own, copy),
        json=context.settings.text("log_format") == "json",
        stamped=True,
    )
    return service


DAEMON = Daemon(
    name="postlogd",
    start=start,
    parameters=(MAILLOG_FILE, MAILLOG_STDOUT),
    privileges=Privileges(user="$mail_owner", appends=("$maillog_file",), threads=True),
    resident=True,
)
