"""What bombs cost a running server: processor time of smtpd and cleanup, their memory, and turns of their event loops.

Each bomb in four sizes, each twice as large as the one before. The bars: at most 2.5 times the time for twice the
size, 8 MB of memory, and 50 ms for a turn of the loop, which is how long everybody else waits. Turns are looked at by
strace in a run of their own, since that slows them down.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from tests.support import bombs
from tests.support.instance import Options
from tests.support.servers import Posthouse

SIZES: Final = tuple(131_072 << step for step in range(4))
TINY_SIZES: Final = tuple(8_192 << step for step in range(4))  # sent octet by octet
CHUNK_SIZES: Final = tuple(16_384 << step for step in range(4))  # each octet is a chunk of its own
ROUNDS: Final = 2
NAMES: Final = ("smtpd", "cleanup")
# A turn goes from the end of one wait for events to the beginning of the next. Lines: "WHEN epoll_wait(…) <HOW LONG>"
_WAIT: Final = re.compile(r"^(\d+\.\d+) epoll_p?wait2?\(.*<(\d+\.\d+)>$", re.MULTILINE)


@dataclass(slots=True)
class Cost:
    """What one bomb cost, by size."""

    cpu_ms: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    turn_ms: float = 0.0
    reply: str = ""

    @property
    def ratio(self) -> float:
        """How much longer twice as much takes, at most; times below 2 ms tell nothing."""
        pairs = pairwise(self.cpu_ms)
        return max((after / before for before, after in pairs if before >= 2.0), default=0.0)


def options() -> Options:
    """One smtpd and one cleanup, all sizes welcome."""
    return Options(
        main={
            "default_transport": "discard:",
            "mydestination": "",
            "message_size_limit": "50000000",
            "default_process_limit": "1",
            "max_idle": "1000s",
            "max_use": "100000",
        }
    )


def measure(wanted: Sequence[str] = tuple(bombs.BOMBS)) -> str:
    """Measure all; give a table."""
    with tempfile.TemporaryDirectory() as scratch:
        server = Posthouse(options())
        try:
            server.start_and_greet()
            bombs.send(server.port, bombs.BOMBS["headers"](1000), "user@far.test")
            costs = {name: cost(server, name, Path(scratch) / "turns") for name in wanted}
        finally:
            server.destroy()
    return table(costs)


def cost(server: Posthouse, name: str, trace: Path) -> Cost:
    """Send one bomb in every size."""
    found = Cost()
    sizes = {bombs.TINY: TINY_SIZES, bombs.CHUNKS: CHUNK_SIZES}.get(name, SIZES)
    for size in sizes:
        content = bombs.BOMBS[name](size)
        runs = [one_run(server, name, content) for _ in range(ROUNDS)]
        found.cpu_ms.append(min(cpu for cpu, _ in runs))
        found.memory_mb.append(min(memory for _, memory in runs))
    content = bombs.BOMBS[name](sizes[-1])
    turns = []
    for _ in range(ROUNDS + 1):
        with traced(server, trace):
            found.reply = bombs.drop(server.port, name, content, "user@far.test").decode().partition("\r")[0]
        turns.append(longest_turn(trace))
    found.turn_ms = min(turns)
    print(row(name, found), file=sys.stderr, flush=True)
    return found


def one_run(server: Posthouse, name: str, content: bytes) -> tuple[float, float]:
    """Send it once; give milliseconds of processor time, and megabytes above what both had before."""
    pids = pids_of(server)
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # the peak begins here
    cpu, memory = sum(map(cpu_ms, pids)), {pid: status_kb(pid, "VmRSS") for pid in pids}
    bombs.drop(server.port, name, content, "user@far.test")
    grown = max(status_kb(pid, "VmHWM") - memory[pid] for pid in pids)
    return sum(map(cpu_ms, pids)) - cpu, grown / 1024


def pids_of(server: Posthouse) -> list[int]:
    """Find the processes that are measured."""
    return [process.pid for process in server.processes() if process.name in NAMES]


def cpu_ms(pid: int) -> float:
    """Read the time of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks) / 1e6


def status_kb(pid: int, name: str) -> int:
    """Read a size from /proc/PID/status."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    assert found is not None, f"no {name}"
    return int(found[1])


@contextmanager
def traced(server: Posthouse, output: Path) -> Iterator[None]:
    """Write down when smtpd and cleanup wait for events."""
    for old in output.parent.glob(output.name + ".*"):
        old.unlink()
    pids = [f"--attach={pid}" for pid in pids_of(server)]
    only = "--trace=epoll_wait,epoll_pwait,epoll_pwait2"
    command = ["strace", "-ff", "-ttt", "-T", "-s0", only, f"--output={output}", *pids]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    try:
        yield
    finally:
        tracer.terminate()
        tracer.wait()


def longest_turn(output: Path) -> float:
    """Find the longest time between two waits of any process, in milliseconds."""
    longest = 0.0
    for file in output.parent.glob(output.name + ".*"):
        waits = [(float(at), float(took)) for at, took in _WAIT.findall(file.read_text(encoding="utf-8"))]
        turns = (after - at - took for (at, took), (after, _) in pairwise(waits))
        longest = max(longest, max(turns, default=0.0))
    return longest * 1000


def table(costs: dict[str, Cost]) -> str:
    """Write the costs as a table."""
    rows = [
        "| bomb | CPU of 1/8, 1/4, 1/2, all | most for twice | memory | longest turn | answer |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*rows, *(row(name, one) for name, one in costs.items())])


def row(name: str, one: Cost) -> str:
    """Write a row of the table."""
    cpu = ", ".join(f"{milliseconds:.0f}" for milliseconds in one.cpu_ms)
    memory = max(one.memory_mb)
    return f"| {name} | {cpu} ms | {one.ratio:.1f} | {memory:.1f} MB | {one.turn_ms:.0f} ms | {one.reply[:40]} |"


if __name__ == "__main__":
    print(measure(sys.argv[1:] or tuple(bombs.BOMBS)))
