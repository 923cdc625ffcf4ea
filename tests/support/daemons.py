"""Finds a running server's processes by the names ps shows, and kills them."""

import os
import signal
import time

from tests.support import processes
from tests.support.instance import Instance, is_same_process


def names(instance: Instance) -> set[str]:
    """Return the names of all its running processes."""
    return {process.name for process in instance.processes()}


def kill(instance: Instance, name: str) -> int:
    """Send SIGKILL to every process of that name; return how many there were."""
    victims = [process for process in instance.processes() if process.name == name[:15]]
    for victim in victims:
        _kill(victim)
    return len(victims)


def kill_nameless(instance: Instance) -> None:
    """Kill what could not write down its own name: it works, under the name of warm, which dies too."""
    if sum(process.name == "warm" for process in instance.processes()) > 1:
        kill(instance, "warm")


def kill_all(instance: Instance) -> int:
    """Send SIGKILL to the whole tree, master first, and wait until nothing of it is left."""
    victims = instance.processes()
    for victim in victims:
        _kill(victim)
    deadline = time.monotonic() + 10
    while any(is_same_process(victim) for victim in victims):
        assert time.monotonic() < deadline, "killed processes do not end"
        time.sleep(0.01)
    return len(victims)


def _kill(victim: processes.Process) -> None:
    try:
        os.kill(victim.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
