"""Who belongs to the mail system: root and its users, by number. Others can reach sockets in public/ as well."""

import os
import socket
import time
from functools import cache
from typing import Final

from posthouse.config.parameter import String
from posthouse.config.parameters import MAIL_OWNER, NETWORK_OWNER, QUEUE_OWNER
from posthouse.config.settings import Settings
from posthouse.ipc.stream import peer_credentials
from posthouse.util import log
from posthouse.util.accounts import find_user
from posthouse.util.errors import TemporaryError

OWNERS: Final = (MAIL_OWNER, NETWORK_OWNER, QUEUE_OWNER)
SAY_AGAIN_S: Final = 60.0  # how often one stranger is logged
MAX_STRANGERS: Final = 1000  # that are remembered for that


class Door:
    """Lets the mail system's own processes in, and nobody else: for sockets that belong to no user's program.

    owners: the parameters that name them, where not all three are wanted.
    """

    def __init__(self, settings: Settings, service: str, owners: tuple[String, ...] = OWNERS) -> None:
        self._own = own_uids(settings, owners)
        self._service = service
        self._said: dict[int, float] = {}

    def admits(self, sock: socket.socket) -> bool:
        """Whether the other end is one of us; a stranger is logged now and then, and his connection closed."""
        uid = peer_credentials(sock).uid
        if uid in self._own:
            return True
        sock.close()
        now = time.monotonic()
        if now - self._said.get(uid, -SAY_AGAIN_S) >= SAY_AGAIN_S:
            if len(self._said) >= MAX_STRANGERS:
                self._said.clear()
            self._said[uid] = now
            log.warning(f"uid {uid} may not use the {self._service} service; connection closed")
        return False


def own_uids(settings: Settings, owners: tuple[String, ...] = OWNERS) -> frozenset[int]:
    """Give the numbers, this process's own too; without root everything is one user, and the names need not exist.

    Looked up once: the skeleton asks before the walls go up, behind which most daemons see no accounts.
    Raises TemporaryError: they cannot be looked up now.
    """
    found = (_uid(settings[owner]) for owner in owners)
    return frozenset((0, os.geteuid(), *(uid for uid in found if uid is not None)))


@cache
def _uid(name: str) -> int | None:
    try:
        return find_user(name).pw_uid
    except (KeyError, PermissionError):  # there is none, or we may not look
        return None
    except OSError as error:  # who would be shut out now would be so for as long as this process lives
        raise TemporaryError(f"looking up user {name}: {error.strerror}") from error
