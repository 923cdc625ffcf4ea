"""Control groups with limits for a server that a test starts in them: memory, processes, a disk's rate. Needs root.

Memory and processes are limited by either version of control groups, the disk by version 1 alone.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import pytest

ROOT: Final = Path("/sys/fs/cgroup")


class Group:
    """One group of one controller."""

    controller = ""

    def __init__(self, path: Path, *, unified: bool) -> None:
        self.path = path
        self._unified = unified

    @classmethod
    @contextmanager
    def make(cls) -> Iterator[Self]:
        """Make one; skips where the kernel has no such controller for us."""
        name = f"posthouse-test-{os.getpid()}"
        unified = ROOT / "cgroup.controllers"
        if (ROOT / cls.controller / "cgroup.procs").exists():
            group = cls(ROOT / cls.controller / name, unified=False)
        elif unified.exists() and cls.controller in unified.read_text(encoding="ascii").split():
            (ROOT / "cgroup.subtree_control").write_text(f"+{cls.controller}\n", encoding="ascii")
            group = cls(ROOT / name, unified=True)
        else:
            pytest.skip(f"this kernel has no {cls.controller} controller (cgroup v1 or v2)")
        group.path.mkdir()
        try:
            yield group
        finally:
            group.remove()

    def remove(self) -> None:
        """Take it away; what was in it needs a moment to be gone."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                self.path.rmdir()
                break
            except OSError:
                time.sleep(0.05)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be in the group ourselves: what is started meanwhile stays there."""
        before = _own_group(self.controller, unified=self._unified)
        (self.path / "cgroup.procs").write_text(f"{os.getpid()}\n", encoding="ascii")
        try:
            yield
        finally:
            (before / "cgroup.procs").write_text(f"{os.getpid()}\n", encoding="ascii")


class MemoryGroup(Group):
    """Limits memory."""

    controller = "memory"

    def limit(self, size: int) -> None:
        """Set the limit."""
        name = "memory.max" if self._unified else "memory.limit_in_bytes"
        (self.path / name).write_text(f"{size}\n", encoding="ascii")

    @property
    def kills(self) -> int:
        """Processes killed for want of memory."""
        name = "memory.events" if self._unified else "memory.oom_control"
        words = (self.path / name).read_text(encoding="ascii").split()
        return int(words[words.index("oom_kill") + 1])


class PidsGroup(Group):
    """Limits processes and threads."""

    controller = "pids"

    def limit(self, count: int | None) -> None:
        """Set the limit; None: there is none."""
        (self.path / "pids.max").write_text("max\n" if count is None else f"{count}\n", encoding="ascii")

    @property
    def now(self) -> int:
        """Processes and threads there are."""
        return int((self.path / "pids.current").read_text(encoding="ascii"))

    @property
    def refused(self) -> int:
        """How often another one was wanted and refused."""
        return int((self.path / "pids.events").read_text(encoding="ascii").split()[1])


class DiskGroup(Group):
    """Limits what is written to a disk (version 1; version 2 counts what the kernel writes later to nobody)."""

    controller = "blkio"

    def limit(self, device: int, rate: int) -> None:
        """Set bytes a second for a device (st_dev); 0: no limit."""
        name = f"{os.major(device)}:{os.minor(device)}"
        (self.path / "blkio.throttle.write_bps_device").write_text(f"{name} {rate}\n", encoding="ascii")


def _own_group(controller: str, *, unified: bool) -> Path:
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        if unified and not controllers:
            return ROOT / path.lstrip("/")
        if controller in controllers.split(","):
            return ROOT / controller / path.lstrip("/")
    raise AssertionError("this process is in no control group")


@contextmanager
def memory_group(size: int) -> Iterator[MemoryGroup]:
    """Make a group with a limit; skips where the kernel has no memory controller for us."""
    with MemoryGroup.make() as group:
        group.limit(size)
        yield group
