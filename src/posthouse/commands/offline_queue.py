"""The queue while the system is down: root's command takes the store's lock, becomes the queue's owner and opens it.

Whoever owns the store may do so too (a system without root). The lock keeps a queue manager out meanwhile, and this
command out while one runs.
"""

import asyncio
import os
import pwd

from posthouse.config.parameters import QUEUE_DIRECTORY, QUEUE_OWNER
from posthouse.config.settings import Settings
from posthouse.daemons.qmgr.admin import Admin, Idle
from posthouse.ipc.showq import FromShowq, ToShowq
from posthouse.queue.store import open_store
from posthouse.queue.values import StoreError
from posthouse.util import log


class OfflineQueue:
    """Answers the requests of queue commands from the store itself. Raises OSError, StoreError when made."""

    def __init__(self, settings: Settings) -> None:
        directory = settings[QUEUE_DIRECTORY]
        if not os.path.isdir(f"{directory}/posthouse"):
            raise StoreError(f"{directory}/posthouse: there is no queue yet")
        if os.geteuid() == 0:
            _become(settings[QUEUE_OWNER], f"{directory}/posthouse")
        self._store = open_store(directory, asyncio.get_running_loop(), log.warning)
        self._admin = Admin(self._store, Idle())

    async def ask(self, request: ToShowq) -> tuple[FromShowq, int]:
        """Answer; the descriptor of large content with it, or -1."""
        return await self._admin.answer(request)

    async def close(self) -> None:
        """Store what was changed, release the lock."""
        await self._store.close()


def _become(name: str, store: str) -> None:
    """Be the queue's owner for good, so that every file that is made belongs to him."""
    try:
        account = pwd.getpwnam(name)
        uid, gid = account.pw_uid, account.pw_gid
    except KeyError:
        status = os.stat(store)
        uid, gid = status.st_uid, status.st_gid
    os.setgroups([gid])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
