"""How long to try for the lock of a mailbox, and when a lock file is nobody's: local(8), virtual(8), postlock(1)."""

from typing import Final

from posthouse.config.parameter import Integer, Time
from posthouse.config.settings import Settings

DELIVER_LOCK_ATTEMPTS: Final = Integer(
    "deliver_lock_attempts", "20", doc="How often an mbox file that is locked is tried before mail waits.", minimum=1
)
DELIVER_LOCK_DELAY: Final = Time(
    "deliver_lock_delay", "1s", doc="Time between two tries for the lock of an mbox file.", minimum_s=1
)
STALE_LOCK_TIME: Final = Time(
    "stale_lock_time", "500s", doc="Age of a lock file beside an mbox file from which on it is removed.", minimum_s=1
)
LOCK_PARAMETERS: Final = (DELIVER_LOCK_ATTEMPTS, DELIVER_LOCK_DELAY, STALE_LOCK_TIME)


def lock_patience(settings: Settings) -> tuple[int, float, float]:
    """Give the three: tries, seconds between them, seconds until a lock file is stale."""
    return settings[DELIVER_LOCK_ATTEMPTS], settings[DELIVER_LOCK_DELAY], settings[STALE_LOCK_TIME]
