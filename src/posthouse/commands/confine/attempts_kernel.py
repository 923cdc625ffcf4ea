"""Attempts at the kernel itself: mounts, modules, keys, clocks, memory that can be executed, and what escapes filters.

The arguments are wrong on purpose, where the call could do something: a kernel that got so far says something else.
"""

import mmap
import os
import time
from collections.abc import Callable, Iterator
from typing import Final

from posthouse.commands.confine.attempt import Attempt, Scene, Wall
from posthouse.commands.confine.attempts_files import filtered
from posthouse.commands.confine.system import call

NOT_ROOT: Final = Wall.NOT_ROOT
_PAGE: Final = mmap.PAGESIZE
_READ_WRITE, _EXECUTE = 3, 4
_ANONYMOUS: Final = 0x22  # MAP_PRIVATE | MAP_ANONYMOUS
_SHM_EXEC: Final = 0o100000
_PLACE: Final = b"@"  # stands for a directory of the scene, where nothing is mounted

# What is tried, call, arguments; only root may.
_ROOTS: Final[tuple[tuple[str, str, tuple[int | bytes | None, ...]], ...]] = (
    ("mount", "mount", (b"none", _PLACE, b"proof-no-such-type", 0, None)),
    ("unmount", "umount2", (_PLACE, 0)),
    ("another root directory", "pivot_root", (b"/proof-no-such-directory", b"/proof-no-such-directory")),
    ("mount by fsopen", "fsopen", (b"tmpfs", 0)),
    ("move a mount", "move_mount", (-1, b"", -1, b"", 0)),
    ("change a mount", "mount_setattr", (-1, b"/proof-no-such-directory", 0, bytes(32), 32)),
    ("load a module", "init_module", (b"", 0, b"")),
    ("load a module by descriptor", "finit_module", (-1, b"", 0)),
    ("unload a module", "delete_module", (b"proof_no_such_module", 0x800)),
    ("load another kernel", "kexec_load", (0, 0, None, 0)),
    ("reboot", "reboot", (0, 0, 0, None)),
    ("swap", "swapon", (b"/proof-no-such-file", 0)),
    ("stop swapping", "swapoff", (b"/proof-no-such-file",)),
    ("process accounting", "acct", (b"/proof-no-such-file",)),
    ("another host name", "sethostname", (b"", -1)),
    ("another domain name", "setdomainname", (b"", -1)),
    ("set the time of day", "settimeofday", (None, None)),
    ("the kernel's log", "syslog", (9, None, 0)),
    ("ports of the machine", "ioperm", (0, 1, 1)),
)
# Everybody may: only the filter refuses.
_ANYBODYS: Final[tuple[tuple[str, str, tuple[int | bytes | None, ...]], ...]] = (
    ("adjust the clock", "adjtimex", (None,)),
    ("a key ring", "keyctl", (0, -3, 0, 0, 0)),
    ("add a key", "add_key", (b"user", b"proof", b"x", 1, -1)),
    ("ask for a key", "request_key", (b"user", b"posthouse-proof", None, 0)),
    ("bpf", "bpf", (0, None, 0)),
    ("performance counters", "perf_event_open", (None, 0, -1, -1, 0)),
    ("handle page faults", "userfaultfd", (1,)),
    ("io_uring", "io_uring_setup", (1, None)),
    ("enter an io_uring", "io_uring_enter", (-1, 0, 0, 0, None, 0)),
    ("register with an io_uring", "io_uring_register", (-1, 0, None, 0)),
    ("asynchronous I/O", "io_setup", (1, None)),
    ("clone a mount", "open_tree", (-100, b"/proof-no-such-directory", 1)),
    ("ask about mounts", "statmount", (None, None, 0, 0)),
    ("secret memory", "memfd_secret", (0,)),
    ("a file in memory", "memfd_create", (b"proof", 1)),
    ("shared memory", "shmget", (0, _PAGE, 0o1600)),
    ("a message queue", "msgget", (0, 0o1600)),
    ("semaphores", "semget", (0, 1, 0o1600)),
    ("a POSIX message queue", "mq_open", (b"proof-no-such-queue", 0, 0, None)),
    ("remap a file", "remap_file_pages", (0, 0, 0, 0, 0)),
    ("protection keys", "pkey_alloc", (0, 0)),
    ("a local descriptor table", "modify_ldt", (0, None, 0)),
    ("segment registers", "arch_prctl", (0x1003, None)),
    ("where memory lies", "move_pages", (0, 0, None, None, None, 0)),
    ("attributes of security modules", "lsm_list_modules", (None, None, 0)),
)


def attempts() -> Iterator[Attempt]:
    """Give them all."""
    for name, number, arguments in _ROOTS:
        yield filtered(name, number, _called(number, arguments), NOT_ROOT)
    for name, number, arguments in _ANYBODYS:
        yield filtered(name, number, _called(number, arguments))
    yield filtered("set the clock", "clock_settime", _set_clock, NOT_ROOT)
    yield filtered("memory to execute", "mmap", _executable)
    yield filtered("memory to write and execute", "mmap", _writable_and_executable)
    yield filtered("make memory executable", "mprotect", _become_executable("mprotect"))
    yield filtered("make memory executable by pkey", "pkey_mprotect", _become_executable("pkey_mprotect"))
    yield filtered("shared memory to execute", "shmat", lambda _: call("shmat", -1, None, _SHM_EXEC))


def _called(name: str, arguments: tuple[int | bytes | None, ...]) -> Callable[[Scene], None]:
    def act(scene: Scene) -> None:
        place = os.fsencode(scene["outside"])
        result = call(name, *(place if each is _PLACE else each for each in arguments))
        if name in ("fsopen", "userfaultfd", "memfd_secret", "memfd_create"):
            os.close(result)
        elif name in ("shmget", "msgget", "semget"):  # remove it again: IPC_RMID
            call(name.replace("get", "ctl"), result, *((0, 0) if name == "semget" else (0, None)))

    return act


def _set_clock(_scene: Scene) -> None:
    time.clock_settime(time.CLOCK_REALTIME, time.time())  # to what it is


def _executable(_scene: Scene) -> None:
    call("munmap", call("mmap", 0, _PAGE, 1 | _EXECUTE, _ANONYMOUS, -1, 0), _PAGE)


def _writable_and_executable(_scene: Scene) -> None:
    call("munmap", call("mmap", 0, _PAGE, _READ_WRITE | _EXECUTE, _ANONYMOUS, -1, 0), _PAGE)


def _become_executable(name: str) -> Callable[[Scene], None]:
    def act(_scene: Scene) -> None:
        address = call("mmap", 0, _PAGE, _READ_WRITE, _ANONYMOUS, -1, 0)
        try:
            more = (-1,) if name == "pkey_mprotect" else ()
            call(name, address, _PAGE, 1 | _EXECUTE, *more)
        finally:
            call("munmap", address, _PAGE)

    return act
