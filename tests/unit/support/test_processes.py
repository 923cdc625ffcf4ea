"""What the benchmark counts: every second of CPU once, also of children that ended and were not reaped."""

import os
import subprocess
import sys
import time

from tests.support import processes

BURN = "import time\nwhile time.process_time() < 0.3: pass"
PARENT = f"""
import os, subprocess, sys
subprocess.Popen([sys.executable, "-c", {BURN!r}])
sys.stdin.readline()
os.wait()
print(flush=True)
sys.stdin.readline()
"""


def test_a_child_counts_while_it_is_a_zombie_and_after() -> None:
    """It must not seem free first, and then be charged to whatever is measured next."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        deadline = time.monotonic() + 20
        while _states(parent.pid) != ["Z"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert [process.pid for process in processes.tree(parent.pid)] == [parent.pid]
        before = processes.cpu_seconds(parent.pid)
        assert before >= 0.3 - 0.02  # user and system time, each cut to whole ticks
        parent.stdin.write("reap\n")
        parent.stdin.flush()
        parent.stdout.readline()
        assert before <= processes.cpu_seconds(parent.pid) < before + 0.25
        parent.stdin.write("end\n")


def _states(parent: int) -> list[str]:
    return [process.state for process in processes.all_processes() if process.parent == parent]


def test_a_process_that_is_gone_is_none() -> None:
    """Not an error: processes come and go while the table is read."""
    assert processes.read_process(2**22 + 1) is None
    own = processes.read_process(os.getpid())
    assert own is not None
    assert own.pid == os.getpid()
