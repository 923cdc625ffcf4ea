"""The start of qmgr(8): its store, as soon as an old queue manager has closed it."""

import time
from typing import Final

from posthouse.daemons.qmgr.service import QmgrService
from posthouse.queue.store import Store, open_store
from posthouse.queue.values import StoreError, StoreLockedError
from posthouse.skeleton.daemon import Context
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
