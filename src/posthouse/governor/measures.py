"""What the kernel says about memory, pressure, file systems, descriptors and processes: its texts as numbers.

Nothing is opened here. A text that is not as expected raises ValueError; who reads decides what that means.
Sources: proc(5), Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst, Documentation/accounting/psi.rst.
"""

import os
from dataclasses import dataclass
from typing import Final, NamedTuple

V1_NO_LIMIT: Final = 1 << 60  # cgroup v1 says "none" as a number near 2**63, rounded down to pages


def parse_meminfo(text: bytes) -> dict[str, int]:
    """Read /proc/meminfo: bytes by name."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(b":")
        words = rest.split()
        if words:
            found[name.decode("ascii")] = int(words[0]) * (1024 if words[1:] == [b"kB"] else 1)
    if not {"MemTotal", "MemAvailable"} <= found.keys():
        raise ValueError("no MemTotal or MemAvailable in meminfo")
    return found


class Pressure(NamedTuple):
    """Share of time, in percent, that some or all tasks waited; over 10 and 60 seconds."""

    some_10: float
    some_60: float
    full_10: float
    full_60: float


def parse_pressure(text: bytes) -> Pressure:
    """Read a file of /proc/pressure, or memory.pressure and io.pressure of a cgroup."""
    rows: dict[bytes, dict[bytes, float]] = {}
    for line in text.splitlines():
        kind, *pairs = line.split()
        rows[kind] = {name: float(number) for name, _, number in (pair.partition(b"=") for pair in pairs)}
    try:
        some, full = rows[b"some"], rows.get(b"full", {b"avg10": 0.0, b"avg60": 0.0})
        return Pressure(some[b"avg10"], some[b"avg60"], full[b"avg10"], full[b"avg60"])
    except KeyError as error:
        raise ValueError(f"no {error} in a pressure file") from None


def parse_limit(text: bytes) -> int | None:
    """Read a limit of a cgroup, either version; None: there is none."""
    word = text.strip()
    if word == b"max":
        return None
    limit = int(word)
    return None if limit >= V1_NO_LIMIT else limit


def parse_counts(text: bytes) -> dict[str, int]:
    """Read "name number" lines: memory.stat of a cgroup."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0].decode("ascii"): int(pair[1]) for pair in pairs if len(pair) == 2}


def memory_in_use(used: int, stat: dict[str, int]) -> int:
    """Of the bytes a cgroup is charged with, those that the kernel cannot take back at once.

    Clean pages of files can go; what is dirty, being written, or mapped into a process cannot, or at a price.
    """
    prefix = "total_" if "total_inactive_file" in stat else ""  # v1 counts descendants apart

    def of(v1: str, v2: str) -> int:
        return stat.get(prefix + v1, stat.get(v2, 0))

    clean = of("inactive_file", "inactive_file") + of("active_file", "active_file")
    held = of("dirty", "file_dirty") + of("writeback", "file_writeback") + of("mapped_file", "file_mapped")
    return max(used - max(clean - held, 0), 0)


class GroupPath(NamedTuple):
    """Where in the hierarchies of control groups a process is; None: in none with this controller."""

    memory_v1: str | None
    pids_v1: str | None
    unified: str | None


def parse_cgroup(text: str) -> GroupPath:
    """Read /proc/self/cgroup."""
    memory = pids = unified = None
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            memory = path
        if "pids" in controllers.split(","):
            pids = path
        if number == "0" and not controllers:
            unified = path
    return GroupPath(memory, pids, unified)


@dataclass(frozen=True, slots=True)
class Space:
    """Room of a file system for users that are not root; files 0: it does not count files."""

    size: int  # bytes
    free: int
    files: int
    files_free: int

    @classmethod
    def of(cls, status: os.statvfs_result) -> "Space":
        """From statvfs(3)."""
        return cls(
            status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize, status.f_files, status.f_favail
        )


def parse_file_nr(text: bytes) -> tuple[int, int]:
    """Read /proc/sys/fs/file-nr: open files of the whole system, and how many there may be."""
    used, _free, limit = map(int, text.split())
    return used, limit


def parse_tasks(loadavg: bytes) -> int:
    """Read from /proc/loadavg how many tasks the whole system has."""
    return int(loadavg.split()[3].partition(b"/")[2])


def parse_pss(text: bytes) -> int:
    """Read /proc/self/smaps_rollup: bytes of memory that are ours, shared pages by their share."""
    for line in text.splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError("no Pss in smaps_rollup")
