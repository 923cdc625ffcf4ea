"""Errors of system calls: strace(1), attached to running processes, answers the N-th call of a kind with an error.

getpid(2) is made in its place: with strace's own choice, a number of no call, our
filters would take the process for an attacker and kill it. A kernel's close(2) closes and then reports; here a process
whose close failed still has the descriptor, and whoever tests that ends the process afterwards.
Source: strace(1), inject.
"""

import errno
import os
import re
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.peers import find_peer, peer_environment

CALLS: Final = {  # a kind of call: the system calls that are one
    "open": "open openat openat2 creat",
    "write": "write writev sendfile copy_file_range",
    "pwrite": "pwrite64 pwritev pwritev2",  # of SQLite; apart, because its thread also writes to an eventfd
    "fsync": "fsync sync_file_range syncfs",
    "fdatasync": "fdatasync",
    "rename": "rename renameat renameat2",
    "link": "link linkat",
    "unlink": "unlink unlinkat",
    "close": "close",
    "mkdir": "mkdir mkdirat",
    "ftruncate": "ftruncate",
    "accept": "accept accept4",
    "fork": "clone clone3 fork vfork",
}
SYNCS: Final = ("fsync", "fdatasync")
ERRORS: Final = ("EIO", "ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "EAGAIN", "EINTR")
ATTACH_LIMIT_S: Final = 20
_KINDS: Final = {name: kind for kind, names in CALLS.items() for name in names.split()}
_LINE: Final = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|\?)(.*)")
_BEGUN: Final = re.compile(r"(\d+) +(\w+\(.*) <unfinished \.\.\.>$")
_ENDED: Final = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)$")


@dataclass(frozen=True, slots=True)
class Fault:
    """The `when`-th call of a kind (of each thread) fails."""

    call: str
    error: str
    when: int

    def __str__(self) -> str:
        return f"{self.call} {self.when} {self.error}"

    @property
    def words(self) -> str:
        """What the log calls it."""
        return os.strerror(getattr(errno, self.error))


@dataclass(frozen=True, slots=True)
class Made:
    """One call that was made, or that was answered with an error instead."""

    pid: int  # of the thread
    name: str
    arguments: str  # with what each descriptor is
    result: int  # -1: it failed
    injected: bool

    @property
    def kind(self) -> str:
        """Of CALLS."""
        return _KINDS[self.name]

    @property
    def target(self) -> str:
        """What its first descriptor is: a path, socket:[N], anon_inode:..., pipe:[N]; else its arguments."""
        found = re.match(r"\w+<(.*?)>(?:\(deleted\))?(?:,|$)", self.arguments)
        return found[1] if found else self.arguments

    @property
    def is_real(self) -> bool:
        """Whether a kernel may answer so: on files. Writing to an eventfd or closing a socket never fails that way."""
        if self.kind in ("accept", "fork"):
            return True
        return self.target.startswith(("/", "AT_FDCWD", '"')) and not self.target.startswith(("/proc/", "/memfd:"))


class Strace:
    """Attached while it is entered. `fault` none: only looks. `follow`: also what the processes start meanwhile."""

    def __init__(self, pids: Iterable[int], output: Path, fault: Fault | None = None, *, follow: bool = True) -> None:
        assert find_peer("strace"), "strace is not here: make peers"
        self.pids = sorted(pids)
        self._output = output
        self._fault = fault
        self._follow = follow
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        kinds = list(CALLS)
        if self._fault:  # a file without a name is another one when it was closed in between
            kinds = [self._fault.call, *(["close"] if self._fault.call in SYNCS else [])]
        names = {kind: ",".join(f"?{name}" for name in CALLS[kind].split()) for kind in kinds}
        argv = [find_peer("strace"), "-qq", "-y", "-s", "80", "-e", "signal=none", "-o", str(self._output)]
        argv += ["-f"] if self._follow else []
        argv += ["-e", f"trace={','.join(names.values())}"]
        if self._fault:
            fault = f"error={self._fault.error}:when={self._fault.when}:syscall=getpid"
            argv += ["-e", f"inject={names[self._fault.call]}:{fault}"]
        argv += [word for pid in self.pids for word in ("-p", str(pid))]
        self._process = subprocess.Popen(argv, env=peer_environment(), stderr=subprocess.PIPE)
        deadline = time.monotonic() + ATTACH_LIMIT_S
        while not all(_traced_by(pid, self._process.pid, threads=self._follow) for pid in self.pids):
            assert self._process.poll() is None, (self._process.stderr or self._output.open("rb")).read().decode()
            assert time.monotonic() < deadline, "strace does not attach"
            time.sleep(0.002)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        if self._process.stderr is not None:
            self._process.stderr.close()

    def calls(self) -> list[Made]:
        """Read what was done, in order."""
        try:
            text = self._output.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        one = str(self.pids[0])
        return list(_parse(line if line[:1].isdigit() else f"{one} {line}" for line in text.splitlines()))


def _parse(lines: Iterable[str]) -> Iterable[Made]:
    begun: dict[str, str] = {}
    for text in lines:
        line = text
        if (part := _BEGUN.match(line)) is not None:
            begun[part[1]] = part[2]
            continue
        if (part := _ENDED.match(line)) is not None:
            line = f"{part[1]} {begun.pop(part[1], '')}{part[2]}"
        if (found := _LINE.match(line)) is not None and found[2] in _KINDS:
            result = -1 if found[4] == "?" else int(found[4])
            yield Made(int(found[1]), found[2], found[3], result, "(INJECTED)" in found[5])


def _traced_by(pid: int, tracer: int, *, threads: bool) -> bool:
    """Whether all threads of a process are traced; one that is gone needs no tracing."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task") if threads else [str(pid)]
        texts = [Path(f"/proc/{pid}/task/{task}/status").read_text(encoding="ascii") for task in tasks]
    except (FileNotFoundError, ProcessLookupError):
        return not Path(f"/proc/{pid}").exists()
    return all(f"TracerPid:\t{tracer}\n" in text or "State:\tZ" in text for text in texts)
