"""What the kernel says of a confined process from outside: no act of its own could show it, or none without harm."""

import os
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from posthouse.commands.confine.attempt import Answer, Attempt, Outcome, Scene, Wall, declared, standing

CAPABILITIES: Final = ("CapInh", "CapPrm", "CapEff", "CapAmb")
FILTERED: Final = "2"  # SECCOMP_MODE_FILTER


class Seen(NamedTuple):
    """/proc/PID/status by field, the core limit, and to whom the files in /proc/PID belong."""

    status: dict[str, str]
    core: str
    owner: int


def look(pid: int) -> Seen:
    """Read what /proc has. Raises OSError: the process is gone."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        pairs = (line.partition(":") for line in file)
        status = {name: value.strip() for name, _, value in pairs}
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        core = next((line for line in file if line.startswith("Max core file size")), "")
    return Seen(status, core, os.stat(f"/proc/{pid}/status").st_uid)


def _nothing(_scene: Scene) -> None:
    """Nothing is tried from inside."""


def _fact(name: str, *walls: Wall) -> Attempt:
    return Attempt(name, _nothing, walls)


# What must not be, and whether it is.
FACTS: Final[tuple[tuple[Attempt, Callable[[Seen, Scene], bool]], ...]] = (
    (_fact("stay root", Wall.NOT_ROOT), lambda seen, _: _has_zero(seen.status["Uid"])),
    (_fact("stay in root's group", Wall.USERS), lambda seen, _: _has_zero(seen.status["Gid"])),
    (_fact("keep a group of root's", Wall.USERS), lambda seen, _: _has_zero(seen.status["Groups"])),
    (_fact("stay who started it", Wall.USERS), lambda seen, s: set(seen.status["Uid"].split()) != {str(s.uid)}),
    (_fact("keep a capability", Wall.NOT_ROOT), lambda seen, _: any(_set(seen, name) for name in CAPABILITIES)),
    (_fact("keep the bounding set", Wall.BOUNDING), lambda seen, _: _set(seen, "CapBnd")),
    (_fact("gain rights from a program", Wall.PRIVILEGES), lambda seen, _: seen.status.get("NoNewPrivs") != "1"),
    (
        Attempt("make system calls without a filter", _nothing, (), "ptrace", lambda _rules: True),
        lambda seen, _: seen.status.get("Seccomp") != FILTERED,
    ),
    (_fact("be read by others of its user", Wall.MEMORY), lambda seen, scene: seen.owner == scene.uid),
    (_fact("leave its memory in a core file", Wall.LIMITS), lambda seen, _: seen.core.split()[4:6] != ["0", "0"]),
)


def _has_zero(numbers: str) -> bool:
    return "0" in numbers.split()


def _set(seen: Seen, name: str) -> bool:
    return int(seen.status.get(name, "0"), 16) != 0


def judge(seen: Seen, scene: Scene) -> Iterator[Outcome]:
    """Give an outcome for each fact."""
    for fact, holds in FACTS:
        walls = tuple(wall.value for wall in standing(fact, scene))
        wanted = walls or tuple(wall.value for wall in declared(fact, scene))
        if not holds(seen, scene):
            yield Outcome(fact.name, Answer.REFUSED, 0, walls)
        else:
            yield Outcome(fact.name, Answer.THROUGH if walls else Answer.NO_WALL, 0, wanted)
