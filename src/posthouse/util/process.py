"""What a process does to its own surroundings on Linux."""

import contextlib
import os
from collections.abc import Iterable
from typing import Final

MAX_DESCRIPTOR: Final = 65536


def close_others(keep: Iterable[int]) -> None:
    """Close every descriptor but standard input, output, error and those given."""
    low = 3
    for descriptor in sorted(keep):
        os.closerange(low, descriptor)
        low = max(low, descriptor + 1)
    os.closerange(low, MAX_DESCRIPTOR)


def name_process(name: str) -> None:
    """Let ps(1) and top(1) show which daemon this is (proc(5): at most 15 octets)."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "wb") as comm:
        comm.write(name.encode("ascii")[:15])
