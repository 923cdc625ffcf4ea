"""Ways around a wall that one system call alone leaves open, each found by "posthouse confine prove"."""

import ctypes
import fcntl
import os
import socket

import pytest

from posthouse.confine.rules import Rules
from tests.support.confined_child import behind_walls

SECCOMP = ("seccomp",)
PLAIN = Rules("x")
LIBC = ctypes.CDLL(None, use_errno=True)
HIGH = 1 << 32  # an address whose lower 32 bits are zero, as those of a null pointer are
F_SETSIG, F_NOTIFY = 10, 1026


def pair_fcntl(command: int, argument: int) -> None:
    """Make a call on one end of a pair."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fcntl.fcntl(ours.fileno(), command, argument)


def limit_parent() -> None:
    """Set a limit of the parent process, by a pointer of which a filter that looks at 32 bits sees none."""
    LIBC.mmap.restype = ctypes.c_void_p
    address = LIBC.mmap(ctypes.c_void_p(HIGH), ctypes.c_size_t(4096), 3, 0x100022, -1, ctypes.c_long(0))
    ctypes.memset(address, 0xFF, 16)
    if LIBC.prlimit(os.getppid(), 0, ctypes.c_void_p(address), None) < 0:
        raise OSError(ctypes.get_errno(), "prlimit")


def connect_by_sending(message: bool) -> None:
    """Connect by TCP Fast Open, which Landlock's rules for connect(2) do not see."""
    with socket.socket() as sock:
        if message:
            sock.sendmsg([b"x"], [], socket.MSG_FASTOPEN, ("127.0.0.1", 9))
        else:
            sock.sendto(b"x", socket.MSG_FASTOPEN, ("127.0.0.1", 9))


@pytest.mark.parametrize(("command", "argument"), [(fcntl.F_SETOWN, os.getppid()), (F_SETSIG, 9), (F_NOTIFY, 0)])
def test_the_kernel_sends_nobody_signals_in_our_name(command: int, argument: int) -> None:
    """F_SETOWN names any process of the same user, and needs no kill(2)."""
    assert behind_walls(PLAIN, lambda: pair_fcntl(command, argument), only=SECCOMP) == "EPERM"


def test_what_every_daemon_does_with_descriptors_works() -> None:
    """Flags, duplicates and locks of records."""

    def ordinary() -> int:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            os.set_inheritable(ours.fileno(), True)
            ours.setblocking(False)
            ours.dup().close()
            return fcntl.fcntl(ours.fileno(), fcntl.F_GETFL) & os.O_NONBLOCK

    assert behind_walls(PLAIN, ordinary, only=SECCOMP) == f"ok: {os.O_NONBLOCK}"


def test_limits_are_of_the_process_itself_and_can_only_be_asked_for() -> None:
    """A null pointer is 64 bits of zero: with prlimit(2) one process of a user could kill another by its limits."""
    assert behind_walls(PLAIN, limit_parent, only=SECCOMP) == "EPERM"


@pytest.mark.parametrize("message", [False, True])
def test_nobody_connects_by_sending(message: bool) -> None:
    """Whoever may not connect, and whoever may: nobody needs it."""
    assert behind_walls(Rules("x", tcp_connect=(25,)), lambda: connect_by_sending(message), only=SECCOMP) == "EPERM"
