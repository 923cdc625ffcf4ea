"""What a process does to its own surroundings on Linux."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from typing import Final

EX_OSERR: Final = 71  # sysexits(3)
MAX_DESCRIPTOR: Final = 65536


def close_others(keep: Iterable[int]) -> None:
    """Close every descriptor but standard input, output, error and those given."""
    low = 3
    for descriptor in sorted(keep):
        os.closerange(low, descriptor)
        low = max(low, descriptor + 1)
    os.closerange(low, MAX_DESCRIPTOR)


def become(uid: int, gid: int, groups: Sequence[int]) -> None:
    """Change groups and user for good, and make sure of it: a process that cannot ends here."""
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (gid, gid, gid):
        os._exit(EX_OSERR)


def name_process(name: str) -> None:
    """Let ps(1) and top(1) show which daemon this is (proc(5): at most 15 octets)."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "wb") as comm:
        comm.write(name.encode("ascii")[:15])
