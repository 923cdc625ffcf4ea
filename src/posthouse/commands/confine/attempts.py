"""All attempts, in the order in which they are made: those that change most of the process itself come last.

Those in `AGAIN` are made once more from a thread, where the daemon may have threads: a wall must stand around all.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from posthouse.commands.confine import attempts_files, attempts_kernel, attempts_processes, attempts_sockets
from posthouse.commands.confine.attempt import Attempt, Scene
from posthouse.commands.confine.inside_thread import in_thread

AGAIN: Final = (
    "read a file that all may read",
    "make a symbolic link",
    "chmod",
    "fork",
    "execute a program",
    "signal a sibling",
    "connect by MPTCP",
    "connect to an abstract socket",
    "memory to execute",
)


def all_attempts() -> list[Attempt]:
    """Give every attempt, each with a name of its own."""
    parts = (attempts_files, attempts_sockets, attempts_kernel, attempts_processes)
    found = [attempt for part in parts for attempt in part.attempts()]
    return [*found, *_from_threads(found)]


def _from_threads(found: list[Attempt]) -> Iterator[Attempt]:
    by_name = {attempt.name: attempt for attempt in found}
    for name in AGAIN:
        base = by_name[name]
        yield replace(base, name=f"{name}, from a thread", act=_threaded(base.act), applies=_has_threads)


def _threaded(act: Callable[[Scene], object]) -> Callable[[Scene], object]:
    return lambda scene: in_thread(lambda: act(scene))


def _has_threads(scene: Scene) -> bool:
    return scene.rules.threads
