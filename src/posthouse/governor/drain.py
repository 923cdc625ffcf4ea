"""Drain: no new mail is taken, what is queued goes out. Put in force by `posthouse drain`, until it is taken back.

It is a file, pid/drain below queue_directory, which only root writes; so it outlives a restart. One that cannot be read
stops the intake all the same: somebody meant to.
"""

import contextlib
import json
import os
import time
from dataclasses import dataclass
from typing import Final

NAME: Final = "pid/drain"
MAX_SIZE: Final = 4096  # bytes
MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class Drain:
    """What is in force. to: "[HOST]:port" that gets what is left, "" for nobody; since: seconds since the epoch."""

    to: str = ""
    since: float = 0.0


def read_drain(queue_directory: str) -> Drain | None:
    """Look whether a drain is in force."""
    try:
        descriptor = os.open(f"{queue_directory}/{NAME}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError:
        return Drain()
    try:
        fields = json.loads(os.read(descriptor, MAX_SIZE))
        return Drain(str(fields["to"]), float(fields["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Drain()
    finally:
        os.close(descriptor)


def write_drain(queue_directory: str, to: str) -> Drain:
    """Put one in force, or change where the rest goes. Raises OSError."""
    before = read_drain(queue_directory)
    drain = Drain(to, before.since if before is not None and before.since else time.time())
    path = f"{queue_directory}/{NAME}"
    descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
    with open(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, MODE)
        json.dump({"to": drain.to, "since": drain.since}, file)
        file.flush()
        os.fsync(descriptor)
    os.rename(f"{path}.new", path)
    return drain


def end_drain(queue_directory: str) -> bool:
    """Take it back; whether one was in force. Raises OSError."""
    was_there = read_drain(queue_directory) is not None
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{queue_directory}/{NAME}")
    return was_there
