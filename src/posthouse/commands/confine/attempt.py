"""An attempt: something that a daemon must not be able to do, and the walls each of which refuses it alone.

What counts as refused is one of few errors. Whatever else comes back, another error too, means that the call got past
the wall, so an attempt that is badly made shows up as let through and not as refused.
"""

import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from posthouse.confine import seccomp
from posthouse.confine.rules import Rules


class Wall(Enum):
    """A mechanism, by the name that the tables show."""

    USERS = "user ids"  # among the users of the system; without root there is but one
    NOT_ROOT = "not root"  # capabilities, and what only root owns
    BOUNDING = "bounding set"
    PRIVILEGES = "no_new_privs"
    MEMORY = "not dumpable"
    LIMITS = "limits"
    FILES = "Landlock files"
    REFER = "Landlock links"
    PORTS = "Landlock ports"
    SCOPES = "Landlock scopes"
    SOCKETS = "Landlock sockets"
    CALLS = "seccomp"


# Since which version of Landlock. No daemon asks for SOCKETS yet: this is what directories cannot do without root.
LANDLOCK_SINCE: Final = {Wall.FILES: 1, Wall.REFER: 2, Wall.PORTS: 4, Wall.SCOPES: 6, Wall.SOCKETS: 9}
ONLY_AS_ROOT: Final = frozenset({Wall.USERS, Wall.BOUNDING})
NOBODY_NEEDS: Final = frozenset({name for name, *_ in seccomp.NOBODY_NEEDS} | {"clone3"})
DENIED: Final = frozenset({errno.EPERM, errno.EACCES})
OR_ABSENT: Final = DENIED | {errno.ENOSYS}  # the kernel, or the filter, says that there is no such call
OR_ELSEWHERE: Final = DENIED | {errno.EXDEV}  # Landlock's answer to links between directories


@dataclass(slots=True)
class Scene:
    """Where attempts are made: the process's rules, and things to attack."""

    rules: Rules
    as_root: bool
    landlock: int  # version in use; 0: none
    seccomp: bool
    uid: int = 0
    gid: int = 0
    places: dict[str, str] = field(default_factory=dict)  # paths by what they are; see scratch.py
    processes: dict[str, int] = field(default_factory=dict)  # victim: same user, harmless; master; other: a daemon
    ports: dict[str, int] = field(default_factory=dict)  # tcp, udp: somebody listens; free: nobody does
    abstract: str = ""  # an abstract UNIX socket of another process
    listener: socket.socket | None = None  # a listening TCP socket that the daemon got from master

    def __getitem__(self, name: str) -> str:
        """Give a path by name."""
        return self.places[name]

    def covers(self, path: str, *, write: bool = False) -> bool:
        """Tell whether the rules let the process open this path."""
        allowed = (*self.rules.writes, *(() if write else self.rules.reads))
        return any(f"{path}/".startswith(f"{each.rstrip('/')}/") for each in allowed)


def never(_scene: Scene) -> bool:
    """Tell nobody that he may."""
    return False


def always(_rules: Rules) -> bool:
    """Say that the filter refuses it whatever the rules are."""
    return True


def unfiltered(_rules: Rules) -> bool:
    """Say that the filter has nothing to do with it."""
    return False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing that is tried.

    walls: each of these refuses it alone. call, filtered: the system call, and for which rules the filter refuses it.
    may: who is allowed to. path: what is opened, where rules may cover it: then Landlock is no wall.
    """

    name: str
    act: Callable[[Scene], object]
    walls: tuple[Wall, ...] = ()
    call: str = ""
    filtered: Callable[[Rules], bool] = unfiltered
    may: Callable[[Scene], bool] = never
    path: Callable[[Scene], str] | None = None
    write: bool = False
    refusals: frozenset[int] = DENIED
    applies: Callable[[Scene], bool] = lambda _scene: True


def standing(attempt: Attempt, scene: Scene) -> tuple[Wall, ...]:
    """Give the walls that stand before this attempt here: on this kernel, for this user, with these rules."""
    found = [wall for wall in attempt.walls if _stands(wall, attempt, scene)]
    if scene.seccomp and (attempt.call in NOBODY_NEEDS if scene.rules.executes else attempt.filtered(scene.rules)):
        found.append(Wall.CALLS)
    return tuple(found)


def declared(attempt: Attempt, scene: Scene) -> tuple[Wall, ...]:
    """Give the walls that would stand on a kernel that has everything, with a user for each part of the system."""
    filtered = (Wall.CALLS,) if attempt.filtered(scene.rules) else ()
    return (*attempt.walls, *filtered)


def _stands(wall: Wall, attempt: Attempt, scene: Scene) -> bool:
    if wall in ONLY_AS_ROOT:
        return scene.as_root
    since = LANDLOCK_SINCE.get(wall)
    if since is None:
        return True
    covered = attempt.path is not None and scene.covers(attempt.path(scene), write=attempt.write)
    return scene.landlock >= since and not scene.rules.executes and not covered


class Answer(Enum):
    """What came of an attempt, or of something that is allowed."""

    REFUSED = "refused"
    THROUGH = "let through"
    NO_WALL = "no wall"  # nothing here can refuse it: an old kernel, or one user for all; said, and no failure
    ALLOWED = "allowed"  # the rules allow it, so it was not tried
    ABSENT = "not there"  # it does not apply
    WORKS = "works"
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the proof."""

    name: str
    answer: Answer
    error: int = 0  # errno; 0: the call succeeded, or was not made
    walls: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether the proof may pass with it."""
        return self.answer not in (Answer.THROUGH, Answer.FAILS)

    @property
    def said(self) -> str:
        """What the kernel said, in a word."""
        return errno.errorcode.get(self.error, str(self.error)) if self.error else ""


def make(attempt: Attempt, scene: Scene) -> Outcome:
    """Make one attempt."""
    names = tuple(wall.value for wall in standing(attempt, scene))
    if not attempt.applies(scene):
        return Outcome(attempt.name, Answer.ABSENT)
    if attempt.may(scene):
        return Outcome(attempt.name, Answer.ALLOWED)
    error = error_of(attempt.act, scene)
    if error in attempt.refusals:
        return Outcome(attempt.name, Answer.REFUSED, error, names)
    if names:
        return Outcome(attempt.name, Answer.THROUGH, error, names)
    return Outcome(attempt.name, Answer.NO_WALL, error, tuple(wall.value for wall in declared(attempt, scene)))


def error_of(act: Callable[[Scene], object], scene: Scene) -> int:
    """Give the errno that comes of it; 0 when it succeeds."""
    try:
        act(scene)
    except OSError as error:
        return error.errno or errno.EIO
    except RuntimeError:  # "can't start new thread": Python hides the kernel's answer
        return errno.EPERM
    return 0


def close(descriptor: int) -> None:
    """Close what was opened by mistake, or by right."""
    os.close(descriptor)
