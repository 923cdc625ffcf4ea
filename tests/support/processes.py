"""What /proc says of a server's processes: who they are, what they used, what they hold.

A server is the tree below one process. Processor time of children that have ended is kept by the parent that reaped
them (cutime, cstime), so the sum over the living tree is complete as long as its root lives.

Sources: proc(5), /proc/PID/stat and /proc/PID/smaps_rollup.
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
CONFINED_WITHIN_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Process:
    """One line of the process table."""

    pid: int
    name: str  # comm: at most 15 characters
    state: str
    parent: int
    ticks: int  # user and system, with the ended children


def read_process(pid: int) -> Process | None:
    """Read one process; None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
    except OSError:
        return None
    # The name is in parentheses and may hold anything, parentheses too: the last one ends it.
    name, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
    return Process(pid, name, rest[0], int(rest[1]), sum(int(rest[field]) for field in (11, 12, 13, 14)))


def all_processes() -> Iterator[Process]:
    """Yield every process of the machine."""
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            process = read_process(int(entry))
            if process is not None:
                yield process


def tree(root: int) -> list[Process]:
    """Return root and everything below it, zombies left out."""
    return [process for process in _with_zombies(root) if process.state != "Z"]


def _with_zombies(root: int) -> list[Process]:
    children: dict[int, list[Process]] = {}
    found: list[Process] = []
    for process in all_processes():
        children.setdefault(process.parent, []).append(process)
        if process.pid == root:
            found.append(process)
    for process in found:  # grows while it is walked
        found.extend(children.get(process.pid, ()))
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of the tree, ended children included, whether their parent has reaped them or not."""
    return sum(process.ticks for process in _with_zombies(root)) / TICKS_PER_SECOND


def cpu_share(root: int, seconds: float) -> float:
    """Measure for so long what part of a CPU the tree uses."""
    before, begin = cpu_seconds(root), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(root) - before) / (time.monotonic() - begin)


def pss_bytes(pids: Iterable[int]) -> int:
    """Proportional set size: memory that N processes share counts 1/N for each."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:
            continue  # ended since it was listed, or another user's and we are not root
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def command_line(pid: int) -> str:
    """Return the arguments of a process, as ps shows them; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def kernel_status(pid: int) -> dict[str, str]:
    """Read /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)}


def wait_confined(pid: int) -> None:
    """Wait until the last wall stands around a process that may have just been forked. Raises AssertionError."""
    deadline = time.monotonic() + CONFINED_WITHIN_S
    while kernel_status(pid)["Seccomp"] == "0":
        assert time.monotonic() < deadline, f"process {pid} is not confined"
        time.sleep(0.02)
