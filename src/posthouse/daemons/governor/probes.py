"""Probes: the kernel's files about memory, pressure, descriptors and processes, opened once and read again and again.

They are held open because a rule of Landlock on a file of /proc does not outlive the kernel's memory of its name.
What is not there (no PSI, no control group) is not watched, and that is said once.
"""

import os
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from posthouse.governor import measures
from posthouse.governor.measures import Pressure

READ_SIZE: Final = 16 * 1024  # bytes; no file here is longer
CGROUP_ROOT: Final = "/sys/fs/cgroup"

T = TypeVar("T")


class HeldFile:
    """A file of /proc or /sys. Raises OSError from its constructor: it is not there."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> bytes:
        """Read it from its beginning. Raises OSError."""
        return os.pread(self._descriptor, READ_SIZE, 0)

    def close(self) -> None:
        """Give it back."""
        os.close(self._descriptor)


def hold(path: str) -> HeldFile | None:
    """Open a file; None: it cannot be."""
    try:
        return HeldFile(path)
    except OSError:
        return None


def read(file: HeldFile | None, parse: Callable[[bytes], T]) -> T | None:
    """Read and parse; None: not there, or not as expected."""
    if file is None:
        return None
    try:
        return parse(file.read())
    except (OSError, ValueError, IndexError):
        return None


def read_once(path: str, parse: Callable[[bytes], T]) -> T | None:
    """Read what does not change; None as above."""
    file = hold(path)
    found = read(file, parse)
    if file is not None:
        file.close()
    return found


class Memory(NamedTuple):
    """What can still be had of `limit` bytes; where: whose limit that is."""

    available: int
    limit: int
    where: str


class MemoryGroup:
    """The memory controller of one control group, either version."""

    def __init__(self, directory: str, *, unified: bool) -> None:
        names = ("memory.max", "memory.current") if unified else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        self.directory = directory
        self._limit, self._used, self._stat = (hold(f"{directory}/{name}") for name in (*names, "memory.stat"))

    @property
    def is_there(self) -> bool:
        """Whether the group has this controller."""
        return self._limit is not None and self._used is not None

    def read(self) -> Memory | None:
        """Read it; None: there is no limit."""
        limit = read(self._limit, measures.parse_limit)
        used = read(self._used, int)
        if limit is None or used is None:
            return None
        held = measures.memory_in_use(used, read(self._stat, measures.parse_counts) or {})
        return Memory(max(limit - held, 0), limit, f"control group {self.directory}")


class Probes:
    """All of them."""

    def __init__(self, root: str = "", cgroup_root: str = CGROUP_ROOT) -> None:
        self._meminfo = hold(f"{root}/proc/meminfo")
        self._io_pressure = hold(f"{root}/proc/pressure/io")
        self._file_nr = hold(f"{root}/proc/sys/fs/file-nr")
        self._loadavg = hold(f"{root}/proc/loadavg")
        self._threads_max = read_once(f"{root}/proc/sys/kernel/threads-max", int)
        text = read_once(f"{root}/proc/self/cgroup", lambda data: data.decode("utf-8", "replace")) or ""
        path = measures.parse_cgroup(text)
        self._groups, unified = _memory_groups(path, cgroup_root)
        self._memory_pressure = hold(f"{unified}/memory.pressure") or hold(f"{root}/proc/pressure/memory")
        pids = _directories(f"{cgroup_root}/pids", path.pids_v1) or _directories(_unified(cgroup_root), path.unified)
        self._pids = [(hold(f"{each}/pids.current"), hold(f"{each}/pids.max"), each) for each in pids]

    @property
    def missing(self) -> list[str]:
        """Name what this kernel does not tell."""
        lacks = (
            (self._meminfo, "/proc/meminfo"),
            (self._memory_pressure, "memory pressure (PSI)"),
            (self._io_pressure, "disk pressure (PSI)"),
            (self._file_nr, "/proc/sys/fs/file-nr"),
        )
        return [name for file, name in lacks if file is None]

    def memory(self) -> Memory | None:
        """Give what is left of the tightest limit: the machine's, or that of a control group we are in."""
        found = [each for each in (group.read() for group in self._groups) if each is not None]
        machine = read(self._meminfo, measures.parse_meminfo)
        if machine is not None:
            found.append(Memory(machine["MemAvailable"], machine["MemTotal"], "this machine"))
        return min(found, key=lambda each: each.available / each.limit, default=None)

    def memory_pressure(self) -> Pressure | None:
        """Give how long tasks waited for memory: of our control group, or of the machine."""
        return read(self._memory_pressure, measures.parse_pressure)

    def io_pressure(self) -> Pressure | None:
        """Give how long tasks waited for disks."""
        return read(self._io_pressure, measures.parse_pressure)

    def files(self) -> tuple[int, int] | None:
        """Give the open files of the system, and how many there may be."""
        return read(self._file_nr, measures.parse_file_nr)

    def processes(self) -> tuple[int, int, str] | None:
        """Give tasks, how many there may be, and whose limit that is: the tightest."""
        found = []
        tasks = read(self._loadavg, measures.parse_tasks)
        if tasks is not None and self._threads_max:
            found.append((tasks, self._threads_max, "this machine"))
        for current, most, where in self._pids:
            limit, used = read(most, measures.parse_limit), read(current, int)
            if limit and used is not None:
                found.append((used, limit, f"control group {where}"))
        return max(found, key=lambda each: each[0] / each[1], default=None)


def _unified(root: str) -> str:
    """Where version 2 is mounted: alone, or beside version 1."""
    return root if os.path.exists(f"{root}/cgroup.controllers") else f"{root}/unified"


def _memory_groups(path: measures.GroupPath, root: str) -> tuple[list[MemoryGroup], str]:
    """Find every group that limits our memory, and our own one of version 2."""
    v1 = [MemoryGroup(each, unified=False) for each in _directories(f"{root}/memory", path.memory_v1)]
    unified = _directories(_unified(root), path.unified)
    v2 = [MemoryGroup(each, unified=True) for each in unified]
    return [group for group in (*v1, *v2) if group.is_there], unified[0] if unified else ""


def _directories(mount: str, path: str | None) -> list[str]:
    """Give a group's directory and those above it, ours first. In a container its own may be mounted as the root."""
    if path is None or not os.path.isdir(mount):
        return []
    path = path.rstrip("/")
    if not os.path.isdir(mount + path):
        return [mount]
    found = []
    while path:
        found.append(mount + path)
        path = path.rpartition("/")[0]
    return [*found, mount]
