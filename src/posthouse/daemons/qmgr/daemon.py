"""qmgr(8): the queue manager. It owns the queue: stores mail, decides when and how each recipient is tried.

Nobody else can open the queue. cleanup(8) hands finished messages over and is told when they are durable; delivery
agents get the one message they deliver and report each recipient; bounce(8) tells senders what failed. Mail that is
deferred waits on disk and costs no memory.

Diagnostics: each message is logged when it becomes active (size, number of recipients) and when it is removed. When
the store cannot be written the process ends, acknowledging nothing; the next one saves what can be read.
Standards: RFC 3461, 3463. See also: cleanup(8), bounce(8), postqueue(1), postsuper(1), docs/queue.md.
"""

from posthouse.daemons.qmgr.parameters import PARAMETERS
from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON = Daemon(
    name="qmgr",
    start=Later("posthouse.daemons.qmgr.start", "start"),
    parameters=PARAMETERS,
    talks_to=("rewrite", "bounce", "defer", "trace", "cleanup", "governor", "every transport"),
    privileges=Privileges(
        user="$queue_owner",
        chroot="never",
        accounts=True,
        writes=("$queue_directory/posthouse",),
        threads=True,
    ),
    resident=True,
)
