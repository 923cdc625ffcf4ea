"""A control group with a memory limit, of either version, for a server that a test starts in it. Needs root."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path("/sys/fs/cgroup")


class MemoryGroup:
    """One group."""

    def __init__(self, path: Path, *, unified: bool) -> None:
        self.path = path
        self._unified = unified

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

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be in the group ourselves: what is started meanwhile stays there."""
        before = _own_group(unified=self._unified)
        (self.path / "cgroup.procs").write_text(f"{os.getpid()}\n", encoding="ascii")
        try:
            yield
        finally:
            (before / "cgroup.procs").write_text(f"{os.getpid()}\n", encoding="ascii")


def _own_group(*, unified: bool) -> Path:
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        if unified and not controllers:
            return ROOT / path.lstrip("/")
        if "memory" in controllers.split(","):
            return ROOT / "memory" / path.lstrip("/")
    raise AssertionError("this process is in no control group")


@contextmanager
def memory_group(size: int) -> Iterator[MemoryGroup]:
    """Make a group with a limit; skips where the kernel has no memory controller for us."""
    name = f"posthouse-test-{os.getpid()}"
    unified = ROOT / "cgroup.controllers"
    if (ROOT / "memory" / "memory.limit_in_bytes").exists():
        group = MemoryGroup(ROOT / "memory" / name, unified=False)
    elif unified.exists() and "memory" in unified.read_text(encoding="ascii").split():
        (ROOT / "cgroup.subtree_control").write_text("+memory\n", encoding="ascii")
        group = MemoryGroup(ROOT / name, unified=True)
    else:
        pytest.skip("this kernel has no memory controller (cgroup v1 or v2)")
    group.path.mkdir()
    try:
        group.limit(size)
        yield group
    finally:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:  # what was in it needs a moment to be gone
            try:
                group.path.rmdir()
                break
            except OSError:
                time.sleep(0.05)
