"""qmgr(8): the queue manager. It owns the queue: stores mail, decides when and how each recipient is tried.

Nobody else can open the queue. cleanup(8) hands finished messages over and is told when they are durable; delivery
agents get the one message they deliver and report each recipient; bounce(8) tells senders what failed. Mail that is
deferred waits on disk and costs no memory.

Diagnostics: each message is logged when it becomes active (size, number of recipients) and when it is removed. When
the store cannot be written the process ends, acknowledging nothing; the next one saves what can be read.
Standards: RFC 3461, 3463. See also: cleanup(8), bounce(8), postqueue(1), postsuper(1), docs/queue.md.
"""

import time
from typing import Final

from posthouse.daemons.qmgr.parameters import PARAMETERS
from posthouse.daemons.qmgr.service import QmgrService
from posthouse.queue.store import Store, open_store
from posthouse.queue.values import StoreError, StoreLockedError
from posthouse.skeleton.daemon import Context, Daemon, Privileges
from posthouse.util import log
from posthouse.util.errors import Fatal

LOCK_WAIT_S: Final = 60.0  # the queue manager that is being replaced still finishes deliveries


def open_when_free(context: Context) -> Store:
    """Open the store, waiting for an old queue manager to close it. Raises Fatal."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            return open_store(context.queue_directory, context.loop, log.warning)
        except StoreLockedError as error:
            if time.monotonic() > deadline:
                raise Fatal(str(error)) from error
            time.sleep(0.02)
        except (StoreError, OSError) as error:
            raise Fatal(f"queue store: {error}") from error


def start(context: Context) -> QmgrService:
    """Open the store, put the parts together."""
    return QmgrService(context, open_when_free(context))


DAEMON = Daemon(
    name="qmgr",
    start=start,
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
