"""Which system calls a process may make, from its rules: an allow-list; what is not on it answers EPERM.

A process that runs commands of users cannot know what these need, so it gets a list of what nobody needs instead.
io_uring is never allowed: it goes around every filter. libuv tries it when a loop is made, and falls back to epoll
when the kernel says no; so a filter comes before the loop (libuv issue 4638). Source: seccomp(2).
"""

import fcntl
import os
import socket
from collections.abc import Iterable
from typing import Final

from posthouse.confine import bpf, calls
from posthouse.confine.bpf import Alternatives, When
from posthouse.confine.rules import Rules

ALWAYS: Final = (
    # memory, time, signals to oneself
    "brk munmap mremap madvise futex sched_yield sched_getaffinity getcpu membarrier rseq set_robust_list "
    "set_tid_address clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday rt_sigaction rt_sigprocmask "
    "rt_sigreturn sigaltstack restart_syscall exit exit_group getrandom uname sysinfo getpid gettid getppid getuid "
    "geteuid getgid getegid getrlimit umask getcwd "
    # descriptors that are open
    "read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 close close_range dup dup2 dup3 "
    "fstat lseek pipe pipe2 eventfd2 "
    # events
    "poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 signalfd4 timerfd_create "
    "timerfd_settime timerfd_gettime "
    # sockets that are there
    "connect accept accept4 recvfrom recvmsg recvmmsg shutdown getsockname getpeername "
    "setsockopt getsockopt "
    # names of files; opening them is another matter
    "stat lstat newfstatat statx access faccessat faccessat2 statfs fstatfs readlink readlinkat getdents64"
)
CHANGE_FILES: Final = (
    "fsync fdatasync sync_file_range syncfs ftruncate fallocate flock fchmod mkdir mkdirat rmdir link linkat unlink "
    "unlinkat rename renameat renameat2 copy_file_range"
)
NOBODY_NEEDS: Final = (  # name, and the numbers on x86_64 and aarch64
    ("ptrace", 101, 117),
    ("chroot", 161, 51),
    ("mount", 165, 40),
    ("umount2", 166, 39),
    ("pivot_root", 155, 41),
    ("swapon", 167, 224),
    ("swapoff", 168, 225),
    ("reboot", 169, 142),
    ("init_module", 175, 105),
    ("finit_module", 313, 273),
    ("kexec_load", 246, 104),
    ("add_key", 248, 217),
    ("request_key", 249, 218),
    ("keyctl", 250, 219),
    ("unshare", 272, 97),
    ("setns", 308, 268),
    ("perf_event_open", 298, 241),
    ("open_by_handle_at", 304, 265),
    ("process_vm_readv", 310, 270),
    ("process_vm_writev", 311, 271),
    ("bpf", 321, 280),
    ("userfaultfd", 323, 282),
    ("io_uring_setup", 425, 425),
    ("io_uring_enter", 426, 426),
    ("io_uring_register", 427, 427),
)
_PR_SET_NAME, _PR_GET_NAME, _PR_CAPBSET_READ = 15, 16, 23
_CLONE_THREAD: Final = 0x00010000
_CLONE_NEWUSER: Final = 0x10000000
_PROT_EXEC: Final = 4
_O_CHANGING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_SOCKET_TYPE: Final = 0xF  # without SOCK_NONBLOCK and SOCK_CLOEXEC
_IOCTLS: Final = (0x5421, 0x541B, 0x5450, 0x5451, 0x5401, 0x5413)  # FIONBIO FIONREAD FIO(N)CLEX TCGETS TIOCGWINSZ
# Duplicates, flags, locks, seals; not F_SETOWN and its like: the kernel would send others signals in our name.
_FCNTLS: Final = (*range(8), 36, 37, 38, fcntl.F_DUPFD_CLOEXEC, fcntl.F_GET_SEALS, fcntl.F_ADD_SEALS)
_TCP: Final = (0, socket.IPPROTO_TCP)
_UDP: Final = (0, socket.IPPROTO_UDP)
_INTERNET: Final = (int(socket.AF_INET), int(socket.AF_INET6))


def make_filter(rules: Rules) -> bytes | None:
    """Make the filter for this process; None: for this architecture there is none."""
    architecture = calls.architecture()
    if architecture is None:
        return None
    if rules.executes:
        return _filter_of_commands(architecture)
    known = calls.numbers()
    # Conditions first: these calls are looked at every time, the others once.
    ordered = sorted(allowed(rules).items(), key=lambda each: not each[1])
    return bpf.assemble(
        architecture,
        {known[name]: when for name, when in ordered if name in known},
        frozenset({known["clone3"], *(known[name] for name in ("openat2",) if name in known)}),
    )


def allowed(rules: Rules) -> dict[str, Alternatives]:
    """Give the calls that are allowed by name, each with its conditions."""
    found: dict[str, Alternatives] = dict.fromkeys(ALWAYS.split(), ())
    not_executable = ((When(2, (0,), _PROT_EXEC),),)
    found |= {
        "mmap": not_executable,
        "mprotect": not_executable,
        "ioctl": ((When(1, _IOCTLS),),),
        "prctl": ((When(0, (_PR_SET_NAME, _PR_GET_NAME, _PR_CAPBSET_READ)),),),
        "prlimit64": ((When(2, (0,)), When(2, (0,), high=True)),),  # ask, not set: the new limits are a null pointer
        "fcntl": ((When(1, _FCNTLS),),),
        # Not by TCP Fast Open: Landlock does not take that for connect(2).
        "sendto": ((When(3, (0,), int(socket.MSG_FASTOPEN)),),),
        "sendmsg": ((When(2, (0,), int(socket.MSG_FASTOPEN)),),),
        "sendmmsg": ((When(3, (0,), int(socket.MSG_FASTOPEN)),),),
        "tgkill": ((When(0, (os.getpid(),)),),),  # abort(3)
        "socketpair": ((When(0, (int(socket.AF_UNIX),)),),),
        "socket": tuple(_sockets(rules)),
    }
    if rules.writes or rules.appends:
        found |= dict.fromkeys(("open", "openat"), ())
    else:
        found |= {"open": ((When(1, (0,), _O_CHANGING),),), "openat": ((When(2, (0,), _O_CHANGING),),)}
    if rules.writes:
        found["fcntl"] = ((When(1, (*_FCNTLS, fcntl.F_SETLEASE)),),)  # nobody else can write to it any more
        found |= dict.fromkeys(CHANGE_FILES.split(), ())
    elif rules.threads:
        found |= dict.fromkeys(("fdatasync", "fsync"), ())  # of a descriptor that was lent
    if rules.uses_network:
        found["bind"] = ()
    if rules.root_directory:
        found |= dict.fromkeys(("chroot", "chdir"), ())  # of no use once the capability is given up
    if rules.root_directory or rules.root_files:
        found["capset"] = ()
    if rules.threads:
        found["clone"] = ((When(0, (_CLONE_THREAD,), _CLONE_THREAD),),)
    return found


def _sockets(rules: Rules) -> Iterable[tuple[When, ...]]:
    yield (When(0, (int(socket.AF_UNIX),)),)
    if rules.uses_network:
        yield When(0, _INTERNET), When(1, (int(socket.SOCK_STREAM),), _SOCKET_TYPE), When(2, _TCP)
    if rules.udp:
        yield When(0, _INTERNET), When(1, (int(socket.SOCK_DGRAM),), _SOCKET_TYPE), When(2, _UDP)


def _filter_of_commands(architecture: int) -> bytes:
    denied = [on_x86 if architecture == calls.AUDIT_X86_64 else on_arm for _, on_x86, on_arm in NOBODY_NEEDS]
    known = calls.numbers()
    new_user = {known["clone"]: ((When(0, (_CLONE_NEWUSER,), _CLONE_NEWUSER),),)}
    return bpf.assemble_refusals(architecture, denied, new_user, frozenset({known["clone3"]}))
