"""A whole system below strace(1), and what its output tells: every process, its calls, and the domain it is in.

No kernel of the tests enforces a domain, so entering one changes nothing here; what would be changed follows from who
opens the kernel's file for it (enter_domain in util/process.py), from whom a process was forked, and from its name.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.support import net
from tests.support.peers import find_peer, peer_environment
from tests.support.policy_tools import need_tools
from tests.support.servers import Posthouse

START_LIMIT_S: Final = 60  # strace stops every process at each of these calls
CURRENT: Final = "/proc/thread-self/attr/current"
FILES: Final = "openat,open,connect,unlink,unlinkat,rename,renameat2,mkdir"
# write: how a process names itself; the others: whom it starts, who it is, and which walls it puts up.
CALLS: Final = f"{FILES},write,clone,clone3,fork,vfork,execve,setresuid,prctl,chroot,landlock_restrict_self,seccomp"
_CALL: Final = re.compile(r"(\w+)\((.*)\)\s+= (-?[0-9]+)")
_STARTING: Final = ("clone", "clone3", "fork", "vfork")
_PART: Final = re.compile(r'"-m", "posthouse\.(warm|commands\.orders)"')


@dataclass(frozen=True, slots=True)
class Call:
    """One call that did not fail, and the profile of AppArmor in which it was made."""

    name: str
    arguments: str
    result: int
    profile: str

    @property
    def enters(self) -> bool:
        """Whether it is the first of the two by which a process enters its domain; reading it comes first."""
        return self.name == "openat" and f'"{CURRENT}"' in self.arguments

    @property
    def starts_thread(self) -> bool:
        """Whether what it starts is no process."""
        return self.name in _STARTING and "CLONE_THREAD" in self.arguments


@dataclass(slots=True)
class Task:
    """One process or thread. `name`: as ps(1) shows it at its end; `runs`: what it executed, and its children did."""

    pid: int
    name: str
    calls: list[Call] = field(default_factory=list)
    children: "list[Task]" = field(default_factory=list)

    def all(self) -> "Iterator[Task]":
        """Yield this one and everything below it."""
        yield self
        for child in self.children:
            yield from child.all()

    @property
    def executes(self) -> bool:
        """Whether it or something below it ran a program."""
        return any(call.name == "execve" for task in self.all() for call in task.calls)


class Traced(Posthouse):
    """A system whose every process writes down what it does, into a file of its own."""

    foreground: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start in the foreground, below strace."""
        need_tools()
        if not find_peer("strace"):
            pytest.skip("strace is not here: make peers")
        done = self.command("postfix", "set-permissions")
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        (self.directory / "traces").mkdir()
        strace = [find_peer("strace"), "-ff", "-qq", "-s", "300", "-e", f"trace={CALLS}", "-o", f"{self.traces}/of"]
        system = [self.program("postfix"), "-c", str(self.config_directory), "start-fg"]
        environment = {**peer_environment(), **self.environment()}
        with open(os.devnull, "wb") as null:
            self.foreground = subprocess.Popen([*strace, *system], env=environment, stdout=null, stderr=null)
        net.wait_greeting(self.port, START_LIMIT_S)

    @property
    def traces(self) -> Path:
        """Give the directory of strace's output."""
        return self.directory / "traces"

    def stop(self) -> None:
        """Stop it, and wait for strace, which then has written everything."""
        super().stop()
        if self.foreground is not None:
            self.foreground.wait(30)

    def tree(self) -> Task:
        """Read what has been written: `postfix start-fg`, which becomes master, and all below it."""
        texts = {int(path.suffix[1:]): path.read_text(errors="replace") for path in self.traces.iterdir()}
        started = {int(one) for text in texts.values() for one in _started(text)}
        (root,) = texts.keys() - started
        return _read(texts, root, "postfix", "posthouse")


def _started(text: str) -> list[str]:
    return re.findall(rf"^(?:{'|'.join(_STARTING)})\(.*\)\s+= ([0-9]+)$", text, re.MULTILINE)


def _read(texts: dict[int, str], pid: int, name: str, profile: str) -> Task:
    """Follow one task, which begins as its parent was when it started it."""
    task = Task(pid, name)
    lines = [
        (found[1], found[2], int(found[3])) for found in map(_CALL.match, texts.get(pid, "").splitlines()) if found
    ]
    commands = profile == "posthouse-runas" and any(call == "execve" for call, _, _ in _below(texts, pid))
    names_itself = -1
    for call, arguments, result in lines:
        if result < 0:
            continue
        seen = Call(call, arguments, result, profile)
        task.calls.append(seen)
        if call == "execve" and (part := _PART.search(arguments)) is not None:
            task.name = part[1].rpartition(".")[2]
        elif call == "openat" and '"/proc/self/comm"' in arguments:
            names_itself = result
        elif call == "write" and names_itself >= 0:
            task.name, names_itself = arguments.split('"')[1], -1
        elif call in _STARTING:
            task.children.append(_read(texts, result, task.name, profile))
        elif seen.enters:
            profile = _next(profile, task.name, commands=commands)
    return task


def _below(texts: dict[int, str], pid: int) -> Iterator[tuple[str, str, int]]:
    """Give the calls of a task and of everything that it starts."""
    for found in map(_CALL.match, texts.get(pid, "").splitlines()):
        if found is not None and int(found[3]) >= 0:
            yield found[1], found[2], int(found[3])
            if found[1] in _STARTING:
                yield from _below(texts, int(found[3]))


def _next(profile: str, name: str, *, commands: bool) -> str:
    """Tell which profile a process of this name enters from that of its parent."""
    if profile == "posthouse-runas":
        return "posthouse-command" if commands else "posthouse-mailbox"
    return f"posthouse-{name.replace('_', '-')}"
