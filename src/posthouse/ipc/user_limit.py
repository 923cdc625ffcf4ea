"""UserLimit: how many connections one user of the machine may have to a service that every user can reach.

Without it one user could take all descriptors of the process, and nobody else would be served. Root and the mail
system's own processes are not counted: who counts them is the caller.
"""

import os
import resource
from collections import Counter
from typing import Final

from posthouse.util import log

MOST: Final = 1000  # connections; a machine that sends a thousand messages at a time as one user is busy indeed
SHARE: Final = 8  # of the process's descriptors one user gets one part in so many, where that is less


class UserLimit:
    """Count connections in and out. A user who is over the limit is logged once, until he is below it again."""

    def __init__(self, most: int = 0) -> None:
        """Set the limit; 0: what suits this process."""
        self._most = most or min(MOST, max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // SHARE))
        self._counts: Counter[int] = Counter()
        self._told: set[int] = set()

    def admit(self, uid: int) -> bool:
        """Whether this user may have one more connection; it is counted then."""
        if uid not in (0, os.geteuid()) and self._counts[uid] >= self._most:
            if uid not in self._told:
                self._told.add(uid)
                log.warning(f"uid {uid} has {self._most} connections; more are refused")
            return False
        self._counts[uid] += 1
        return True

    def leave(self, uid: int) -> None:
        """Count a connection out."""
        self._counts[uid] -= 1
        if self._counts[uid] <= 0:
            del self._counts[uid]
        if self._counts[uid] <= self._most // 2:
            self._told.discard(uid)
