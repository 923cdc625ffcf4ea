"""Attempts at processes: new ones, others, and being somebody else again.

A victim is a process of the same user that waits and does nothing, so that no harm is done when an attempt succeeds.
"""

import ctypes
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final

from posthouse.commands.confine.attempt import OR_ABSENT, Attempt, Scene, Wall
from posthouse.commands.confine.attempts_files import filtered
from posthouse.commands.confine.inside_thread import in_thread
from posthouse.commands.confine.system import call
from posthouse.confine.rules import Rules

NOT_ROOT, USERS, SCOPES, FILES = Wall.NOT_ROOT, Wall.USERS, Wall.SCOPES, Wall.FILES
NAMESPACES: Final = {
    "mount": 0x00020000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000,
    "pid": 0x20000000, "net": 0x40000000, "time": 0x00000080,
}  # fmt: skip
NEW_USER: Final = 0x10000000
_PTRACE_SEIZE: Final = 0x4206
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_MM = 1, 4, 35
_PR_SET_CHILD_SUBREAPER: Final = 36
_HIGH_ADDRESS: Final = 1 << 32  # an address whose lower half is zero
_MAP_FIXED_NOREPLACE, _MAP_ANONYMOUS, _MAP_PRIVATE = 0x100000, 0x20, 0x02


def no_programs(rules: Rules) -> bool:
    """Whether the filter has no execve, fork and kill."""
    return not rules.executes


def _runs(scene: Scene) -> bool:
    return scene.rules.executes


def _fork(name: str, *arguments: int) -> Callable[[Scene], None]:
    """Make the act that forks; a child that comes of it ends at once."""

    def act(_scene: Scene) -> None:
        pid = call(name, *arguments)
        if pid == 0:
            os._exit(0)
        with suppress(OSError):
            os.waitpid(pid, 0)

    return act


def _execute(scene: Scene) -> None:
    """Run a file that may be executed but is no program: success would be "exec format error"."""
    os.execve(scene["program"], ["program"], {})  # noqa: S606 - no shell is wanted


def _execute_descriptor(scene: Scene) -> None:
    call("execveat", -100, os.fsencode(scene["program"]), None, None, 0)


def _thread(_scene: Scene) -> None:
    in_thread(lambda: None)


def _signal(process: str) -> Callable[[Scene], None]:
    return lambda scene: os.kill(scene.processes[process], 0)


def _towards_victim(name: str, *arguments: int | None) -> Callable[[Scene], int]:
    """Make the act of a call whose first argument is the victim's number."""
    return lambda scene: call(name, scene.processes["victim"], *arguments)


def _vectors(name: str) -> Callable[[Scene], int]:
    """Read (or write) 0 octets of the victim's memory."""
    return lambda scene: call(name, scene.processes["victim"], None, 0, None, 0, 0)


def _limit_victim(scene: Scene) -> None:
    """Set another process's limit to what it is, as far as one can know."""
    value = (ctypes.c_ulong * 2)(resource.RLIM_INFINITY & (2**64 - 1), resource.RLIM_INFINITY & (2**64 - 1))
    call("prlimit64", scene.processes["victim"], resource.RLIMIT_CPU, ctypes.addressof(value), None)


def _limit_victim_from_high_memory(scene: Scene) -> None:
    """Do the same with an argument whose lower 32 bits are zero: a filter sees 64, and must look at all."""
    flags = _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_FIXED_NOREPLACE
    address = call("mmap", _HIGH_ADDRESS, 4096, 3, flags, -1, 0)
    try:
        ctypes.memset(address, 0xFF, 16)
        call("prlimit64", scene.processes["victim"], resource.RLIMIT_CPU, address, None)
    finally:
        call("munmap", address, 4096)


def _dumpable(_scene: Scene) -> None:
    call("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0)
    call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)


def _groups(_scene: Scene) -> None:
    os.setgroups([0])


def _raise_capabilities(_scene: Scene) -> None:
    header = (ctypes.c_uint * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    data = (ctypes.c_uint * 6)(0xFFFFFFFF, 0xFFFFFFFF, 0, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    call("capset", ctypes.addressof(header), ctypes.addressof(data))


def attempts() -> Iterator[Attempt]:
    """Give them all."""
    yield from _new_ones()
    yield from _others()
    yield from _influence()
    yield from _identity()


def _new_ones() -> Iterator[Attempt]:
    sigchld = int(signal.SIGCHLD)
    for name, act, number in (
        ("fork", _fork("fork"), "fork"),
        ("fork by clone", _fork("clone", sigchld, 0, 0, 0, 0), "clone"),
    ):
        yield Attempt(name, act, (), number, no_programs, _runs, refusals=OR_ABSENT)
    yield Attempt("fork by clone3", _fork("clone3", 0, 0), (), "clone3", no_programs, refusals=OR_ABSENT)
    yield Attempt("execute a program", _execute, (FILES,), "execve", no_programs, _runs)
    yield Attempt("execute by execveat", _execute_descriptor, (FILES,), "execveat", no_programs, _runs)
    no_threads = lambda rules: not (rules.threads or rules.executes)  # noqa: E731
    threads = lambda scene: scene.rules.threads or scene.rules.executes  # noqa: E731
    yield Attempt("start a thread", _thread, (), "clone", no_threads, threads)
    # "unshare" stands for it: of clone itself the filter of those who run commands looks into the flags.
    yield filtered("fork into a user namespace", "unshare", _fork("clone", NEW_USER | sigchld, 0, 0, 0, 0))
    yield filtered("a user namespace", "unshare", lambda _: call("unshare", NEW_USER))
    for name, flag in NAMESPACES.items():
        yield filtered(f"a {name} namespace", "unshare", partial(_unshare, flag), NOT_ROOT)
    yield filtered("enter a namespace", "setns", lambda _: call("setns", -1, 0))


def _unshare(flag: int, _scene: Scene) -> None:
    call("unshare", flag)


def _others() -> Iterator[Attempt]:
    for process, walls in (("victim", ()), ("other", (USERS,)), ("master", (USERS,))):
        who = {"victim": "a sibling", "other": "another daemon", "master": "master"}[process]
        yield Attempt(f"signal {who}", _signal(process), (*walls, SCOPES), "kill", no_programs)
    everybody = lambda _scene: os.kill(-1, 0)  # noqa: E731
    yield Attempt("signal everybody", everybody, (), "kill", no_programs, _runs)
    yield Attempt("signal a sibling's thread", _signal_thread, (SCOPES,), "tgkill", no_programs)
    yield Attempt("signal by tkill", _towards_victim("tkill", 0), (SCOPES,), "tkill", no_programs)
    queue = lambda scene: call("rt_sigqueueinfo", scene.processes["victim"], 0, bytes(128))  # noqa: E731
    yield Attempt("queue a signal", queue, (SCOPES,), "rt_sigqueueinfo", no_programs)
    descriptor = lambda scene: os.close(call("pidfd_open", scene.processes["victim"], 0))  # noqa: E731
    yield Attempt("a descriptor of a sibling", descriptor, (), "pidfd_open", no_programs, _runs)
    yield Attempt("signal by pidfd", _pidfd_signal, (), "pidfd_send_signal", no_programs, _runs)
    take = lambda _scene: call("pidfd_getfd", -1, 0, 0)  # noqa: E731
    yield Attempt("take a sibling's descriptor", take, (), "pidfd_getfd", no_programs, _runs)
    trace = lambda scene: call("ptrace", _PTRACE_SEIZE, scene.processes["victim"], 0, 0)  # noqa: E731
    yield filtered("trace a sibling", "ptrace", trace, FILES)
    master = lambda scene: call("ptrace", _PTRACE_SEIZE, scene.processes["master"], 0, 0)  # noqa: E731
    yield filtered("trace master", "ptrace", master, USERS, FILES)
    yield filtered("read a sibling's memory", "process_vm_readv", _vectors("process_vm_readv"))
    yield filtered("write a sibling's memory", "process_vm_writev", _vectors("process_vm_writev"))
    compare = lambda scene: call("kcmp", os.getpid(), scene.processes["victim"], 0, 0, 0)  # noqa: E731
    yield filtered("compare descriptors (kcmp)", "kcmp", compare, FILES)
    yield filtered("advise on others' memory", "process_madvise", lambda _: call("process_madvise", -1, None, 0, 0, 0))


def _signal_thread(scene: Scene) -> None:
    call("tgkill", scene.processes["victim"], scene.processes["victim"], 0)


def _pidfd_signal(_scene: Scene) -> None:
    call("pidfd_send_signal", -1, 0, None, 0)


def _influence() -> Iterator[Attempt]:
    """What one process of a user can do to another without a signal."""
    nice = lambda scene: os.setpriority(os.PRIO_PROCESS, scene.processes["victim"], 0)  # noqa: E731
    yield filtered("a sibling's priority", "setpriority", nice)
    affinity = lambda scene: os.sched_setaffinity(scene.processes["victim"], os.sched_getaffinity(0))  # noqa: E731
    yield filtered("a sibling's processors", "sched_setaffinity", affinity)
    policy = lambda scene: os.sched_setscheduler(scene.processes["victim"], os.SCHED_OTHER, os.sched_param(0))  # noqa: E731
    yield filtered("a sibling's scheduling", "sched_setscheduler", policy)
    yield filtered("a sibling's disk priority", "ioprio_set", lambda s: call("ioprio_set", 1, s.processes["victim"], 0))
    yield filtered("a sibling's limits", "prlimit64", _limit_victim)
    yield filtered("a sibling's limits, from high memory", "prlimit64", _limit_victim_from_high_memory)
    yield filtered("move a sibling's memory", "migrate_pages", _towards_victim("migrate_pages", 0, None, None))
    yield filtered("its process group", "setpgid", lambda _: os.setpgid(0, 0))
    yield filtered("a new session", "setsid", lambda _: os.setsid())
    yield filtered("be dumpable again", "prctl", _dumpable)
    for name, option in (
        ("a signal at the parent's death", _PR_SET_PDEATHSIG),
        ("its memory map", _PR_SET_MM),
        ("be a subreaper", _PR_SET_CHILD_SUBREAPER),
    ):
        yield filtered(f"{name} (prctl)", "prctl", partial(_prctl, option))
    yield filtered("another personality", "personality", lambda _: call("personality", 0))
    yield filtered("another filter (seccomp)", "seccomp", lambda _: call("seccomp", 1, 0, None))
    yield filtered("another rule set (Landlock)", "landlock_create_ruleset", _ruleset)
    yield filtered("a timer's signals", "timer_create", lambda _: call("timer_create", 0, None, None))
    yield filtered("an alarm", "setitimer", lambda _: call("setitimer", 0, bytes(32), None))


def _prctl(option: int, _scene: Scene) -> None:
    call("prctl", option, 0, 0, 0, 0)


def _ruleset(_scene: Scene) -> None:
    call("landlock_create_ruleset", None, 0, 1)


def _identity() -> Iterator[Attempt]:
    for name, act in (
        ("setuid", lambda _: os.setuid(0)),
        ("setreuid", lambda _: os.setreuid(0, 0)),
        ("setresuid", lambda _: os.setresuid(0, 0, 0)),
        ("setgid", lambda _: os.setgid(0)),
        ("setregid", lambda _: os.setregid(0, 0)),
        ("setresgid", lambda _: os.setresgid(0, 0, 0)),
        ("setgroups", _groups),
        ("capset", _raise_capabilities),
    ):
        yield filtered(f"root by {name}", name, act, NOT_ROOT)
