"""What several packages do with files. Source: close(2)."""

import os
from contextlib import suppress


def close_done(descriptor: int) -> None:
    """Close what was read, or was synced: an error of close says nothing new then, and the descriptor is gone."""
    with suppress(OSError):
        os.close(descriptor)


def sync_directory(path: str) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
