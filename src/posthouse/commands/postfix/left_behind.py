"""Mail that Postfix left in its own queue in the same directory: our store is another, and nobody delivers it."""

import os
from typing import Final

from posthouse.config.parameters import QUEUE_DIRECTORY
from posthouse.config.settings import Settings

QUEUES: Final = ("incoming", "active", "deferred", "hold")


def left_behind(settings: Settings) -> str:
    """Say how many messages wait there and what to do; "" for none, or where we may not look."""
    directory = settings[QUEUE_DIRECTORY]
    counts = {name: sum(len(files) for _, _, files in os.walk(f"{directory}/{name}")) for name in QUEUES}
    total = sum(counts.values())
    if not total:
        return ""
    where = ", ".join(f"{name} {number}" for name, number in counts.items() if number)
    return (
        f"{total} message{'' if total == 1 else 's'} of Postfix in {directory} ({where});"
        " only Postfix can deliver them: docs/moving.md says how"
    )
