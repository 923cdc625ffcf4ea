"""What is where while a system is drained: the queue by name, maildrop, sessions; and the table at the end."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from posthouse.ipc.governor import Picture

QUEUES: Final = ("incoming", "active", "deferred", "hold")
MAILDROP: Final = "maildrop"
NOT_TAKEN: Final = "not taken"
SPOOL: Final = "spool files"
COMPLETE: Final = 0o444  # of a file in maildrop: what pickup(8) takes
UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True)
class Standing:
    """How much is where. sessions: of clients that were connected before, or have not noticed; UNKNOWN is not none."""

    places: Mapping[str, int]
    sessions: int

    @property
    def moving(self) -> int:
        """Count the messages that are on their way, or will be by themselves."""
        return sum(number for name, number in self.places.items() if name not in ("hold", NOT_TAKEN, SPOOL))

    @property
    def total(self) -> int:
        """Count everything; content of messages that are counted already is not counted again."""
        return sum(number for name, number in self.places.items() if name != SPOOL)

    @property
    def empty(self) -> bool:
        """Whether nothing is left at all, files without a message included, and nothing can come any more."""
        return not any(self.places.values()) and not self.sessions


def standing(counts: Mapping[str, int], picture: Picture | None, queue_directory: str) -> Standing:
    """Take stock. Raises OSError: a directory cannot be read."""
    places = {name: counts.get(name, 0) for name in QUEUES}
    places[MAILDROP], others = _maildrop(f"{queue_directory}/maildrop")
    if others:
        places[NOT_TAKEN] = others
    places[SPOOL] = _files(f"{queue_directory}/posthouse/spool")
    return Standing(places, int(picture.numbers.get("sessions", 0)) if picture is not None else UNKNOWN)


def _maildrop(directory: str) -> tuple[int, int]:
    """Count the files that pickup(8) will take, and the others: not complete, or of Postfix's sendmail."""
    complete = others = 0
    for entry in os.scandir(directory):
        try:
            mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
        except FileNotFoundError:  # it was taken meanwhile
            continue
        complete, others = complete + (mode == COMPLETE), others + (mode != COMPLETE)
    return complete, others


def _files(directory: str) -> int:
    """Count files, those in directories below included; none where there is no such directory."""
    return sum(len(names) for _, _, names in os.walk(directory))


def table(before: Standing, after: Standing) -> str:
    """Lay it out for people."""
    lines = [f"{'':<12}{'before':>10}{'after':>10}"]
    names = dict.fromkeys((*before.places, *after.places))
    lines += [f"{name:<12}{before.places.get(name, 0):>10}{after.places.get(name, 0):>10}" for name in names]
    known = ["?" if each.sessions == UNKNOWN else str(each.sessions) for each in (before, after)]
    lines.append(f"{'sessions':<12}{known[0]:>10}{known[1]:>10}")
    return "\n".join(lines) + "\n"
