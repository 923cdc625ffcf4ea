"""Kills a process at a named point: just before, or just after, the n-th system call that does a certain thing.

  python -m tests.support.kill_at before|after NUMBER PATTERN CALL[,CALL...] PID...

It looks at the processes from outside, with ptrace(2): nothing in them is changed, and their walls stand. PATTERN is a
regular expression for what a call is about: its paths, or what its descriptor leads to, and for sockets the first and
the last octets of the data. Processes and threads that are started meanwhile are watched as well. Prints "watching",
then one line for the call at which it killed; exit status 1: those processes ended before.

Sources: ptrace(2) (PTRACE_SEIZE, PTRACE_GET_SYSCALL_INFO), syscalls(2).
"""

import contextlib
import ctypes
import os
import platform
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_SYSCALL, _DETACH, _SEIZE, _INTERRUPT, _LISTEN, _INFO = 24, 17, 0x4206, 0x4207, 0x4208, 0x420E
_OPTIONS: Final = 1 | 2 | 4 | 8  # TRACESYSGOOD, and to follow fork, vfork and clone
_STOP: Final = 128  # PTRACE_EVENT_STOP
_WALL: Final = 0x40000000
_ENTRY, _EXIT = 1, 2
_STOPPING: Final = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_INFO_SIZE: Final = 88
_AT_FDCWD: Final = 2**32 - 100
_SHOWN: Final = 300  # octets of the data of a call, at either end

# How to find what a call is about: numbers of arguments that are paths, after the descriptor of their directory.
_PATHS: Final = {"open": (0,), "unlink": (0,), "rename": (0, 1), "link": (0, 1), "mkdir": (0,)}
_AT_PATHS: Final = {"openat": (1,), "unlinkat": (1,), "renameat": (1, 3), "renameat2": (1, 3), "linkat": (1, 3)}
_DATA: Final = frozenset({"write", "pwrite64", "sendto"})
_VECTORS: Final = frozenset({"writev"})
_MESSAGES: Final = frozenset({"sendmsg"})
_READS: Final = frozenset({"read", "recvfrom"})  # what they are about is known at their end only
_TABLES: Final = {
    "x86_64": """read 0 write 1 open 2 pwrite64 18 writev 20 sendto 44 recvfrom 45 sendmsg 46 clone 56 fork 57 fsync 74
        fdatasync 75 ftruncate 77 rename 82 mkdir 83 link 86 unlink 87 openat 257 unlinkat 263 renameat 264 linkat 265
        sync_file_range 277 syncfs 306 renameat2 316 clone3 435""",
    "aarch64": """unlinkat 35 linkat 37 renameat 38 ftruncate 46 openat 56 read 63 write 64 writev 66 pwrite64 68
        fsync 82 fdatasync 83 sync_file_range 84 sendto 206 recvfrom 207 sendmsg 211 clone 220 syncfs 267 renameat2 276
        clone3 435""",
}
_WORDS: Final = _TABLES.get(platform.machine(), "").split()
_NUMBERS: Final = {name: int(number) for name, number in zip(_WORDS[::2], _WORDS[1::2], strict=True)}
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_LIBC.ptrace.restype = ctypes.c_long


@dataclass(frozen=True, slots=True)
class At:
    """A point. number: how many times it is passed before."""

    after: bool
    pattern: str
    calls: tuple[str, ...]
    number: int = 1


class Watch:
    """The tool above as a process of its own, which watches some processes."""

    def __init__(self, at: At, pids: Sequence[int]) -> None:
        words = ["after" if at.after else "before", str(at.number), at.pattern, ",".join(at.calls), *map(str, pids)]
        self._tool = subprocess.Popen([sys.executable, "-S", __file__, *words], stdout=subprocess.PIPE)
        assert self._tool.stdout is not None
        self._output = self._tool.stdout
        self.watching = self._output.readline() == b"watching\n"

    def wait(self, limit_s: float) -> str:
        """Wait until it has killed; where that was, or "" when the point was not reached within the limit."""
        try:
            self._tool.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._tool.kill()  # the kernel lets go of what it watched
        found = self._output.read().decode("utf-8", "replace").strip()
        self._output.close()
        self._tool.wait()
        return found


def known() -> bool:
    """Whether this machine's calls are known here."""
    return bool(_NUMBERS)


def _ptrace(request: int, tid: int, address: int = 0, data: int = 0) -> None:
    if _LIBC.ptrace(request, tid, address, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class _Watcher:
    """Follows all threads of some processes from call to call, until one does what is looked for."""

    def __init__(self, at: At) -> None:
        self._at = at
        self._pattern = re.compile(at.pattern.encode(), re.DOTALL)
        self._calls = {_NUMBERS[name]: name for name in at.calls if name in _NUMBERS}
        self._left = at.number
        self._inside: dict[int, tuple[str, list[int]]] = {}  # threads in a call that may be it
        self._matched: dict[int, bytes] = {}  # threads that are killed when their call is over
        self._info = ctypes.create_string_buffer(_INFO_SIZE)

    def seize(self, pid: int) -> None:
        for entry in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(ProcessLookupError):
                _ptrace(_SEIZE, int(entry), 0, _OPTIONS)
                _ptrace(_INTERRUPT, int(entry))

    def run(self) -> bytes:
        """Return what the call was about at which a process was killed; "" when none is left."""
        while True:
            try:
                tid, status = os.waitpid(-1, _WALL)
            except ChildProcessError:
                return b""
            if os.WIFSTOPPED(status):
                found = self._stopped(tid, status)
                if found is not None:
                    return found

    def _stopped(self, tid: int, status: int) -> bytes | None:
        number, event, resume, data = os.WSTOPSIG(status), status >> 16, _SYSCALL, 0
        try:
            if number == signal.SIGTRAP | 0x80:
                found = self._at_call(tid)
                if found is not None:
                    os.kill(_process_of(tid), signal.SIGKILL)
                    return found
            elif event == _STOP and number in _STOPPING:
                resume = _LISTEN
            elif not event:
                data = number
            _ptrace(resume, tid, 0, data)
        except (ProcessLookupError, FileNotFoundError):
            pass  # killed by somebody else
        return None

    def _at_call(self, tid: int) -> bytes | None:
        if _LIBC.ptrace(_INFO, tid, _INFO_SIZE, ctypes.addressof(self._info)) < 0:
            return None
        if self._info.raw[0] == _ENTRY:
            number, *arguments = struct.unpack_from("=7Q", self._info.raw, 24)
            name = self._calls.get(number)
            return None if name is None else self._enters(tid, name, arguments)
        if self._info.raw[0] == _EXIT and tid in self._inside:
            name, arguments = self._inside.pop(tid)
            (result,) = struct.unpack_from("=q", self._info.raw, 24)
            return self._leaves(tid, name, arguments, result)
        return None

    def _enters(self, tid: int, name: str, arguments: list[int]) -> bytes | None:
        if name in _READS:
            self._inside[tid] = (name, arguments)
            return None
        subject = _subject(tid, name, arguments)
        if not self._pattern.search(subject):
            return None
        if self._at.after:
            self._inside[tid] = (name, arguments)
            self._matched[tid] = subject
            return None
        return self._count(name, subject)

    def _leaves(self, tid: int, name: str, arguments: list[int], result: int) -> bytes | None:
        if name in _READS:
            subject = _read(tid, arguments[1], result)
            found = result > 0 and self._pattern.search(subject) is not None
        else:
            subject = self._matched.pop(tid)
            found = result >= 0
        return self._count(name, subject) if found else None

    def _count(self, name: str, subject: bytes) -> bytes | None:
        self._left -= 1
        return None if self._left else name.encode() + b" " + subject


def _process_of(tid: int) -> int:
    with open(f"/proc/{tid}/status", encoding="ascii", errors="replace") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Tgid:"))


def _subject(tid: int, name: str, arguments: list[int]) -> bytes:
    if name in _PATHS:
        return b" ".join(_text(tid, arguments[place]) for place in _PATHS[name])
    if name in _AT_PATHS:
        return b" ".join(_below(tid, arguments[place - 1], arguments[place]) for place in _AT_PATHS[name])
    where = _leads_to(tid, arguments[0])
    if name in _DATA:
        return where + b" " + _read(tid, arguments[1], arguments[2])
    if name in _VECTORS:
        return where + b" " + _vector(tid, arguments[1])
    if name in _MESSAGES:
        (vector,) = struct.unpack("=Q", _octets(tid, arguments[1] + 16, 8) or bytes(8))
        return where + b" " + _vector(tid, vector)
    return where


def _below(tid: int, directory: int, path: int) -> bytes:
    text = _text(tid, path)
    if text.startswith(b"/") or directory & 0xFFFFFFFF == _AT_FDCWD:
        return text
    return _leads_to(tid, directory) + b"/" + text


def _leads_to(tid: int, descriptor: int) -> bytes:
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{tid}/fd/{descriptor & 0xFFFFFFFF}".encode())
    return b"-"


def _vector(tid: int, address: int) -> bytes:
    start, size = struct.unpack("=2Q", _octets(tid, address, 16) or bytes(16))
    return _read(tid, start, size)


def _read(tid: int, address: int, size: int) -> bytes:
    if size <= 2 * _SHOWN:
        return _octets(tid, address, max(size, 0))
    return _octets(tid, address, _SHOWN) + b" ... " + _octets(tid, address + size - _SHOWN, _SHOWN)


def _text(tid: int, address: int) -> bytes:
    size = 4096 - address % 4096  # what lies behind the page may not be there
    text = _octets(tid, address, size)
    return (text if b"\0" in text else text + _octets(tid, address + size, 4096)).split(b"\0", 1)[0]


def _octets(tid: int, address: int, size: int) -> bytes:
    with contextlib.suppress(OSError, OverflowError), open(f"/proc/{tid}/mem", "rb", buffering=0) as memory:
        return os.pread(memory.fileno(), size, address)
    return b""


def main() -> int:
    """Be the tool."""
    when, number, pattern, calls, *pids = sys.argv[1:]
    watcher = _Watcher(At(when == "after", pattern, tuple(calls.split(",")), int(number)))
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):
            watcher.seize(int(pid))
    os.write(1, b"watching\n")
    found = watcher.run()
    os.write(1, re.sub(rb"[^ -~]+", b" ", found) + b"\n")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
