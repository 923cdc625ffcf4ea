"""The filter of system calls: what it lets through, what it refuses, and how it is put together."""

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import signal
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.confine import bpf, calls
from posthouse.confine.bpf import ALLOW, KILL, PRETEND_ABSENT, REFUSE, When
from posthouse.confine.rules import Rules
from posthouse.confine.seccomp import allowed
from tests.support.confined_child import behind_walls

SECCOMP = ("seccomp",)
PLAIN = Rules("x")
LIBC = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: int) -> Callable[[], int]:
    """Make an attempt at a system call by name."""

    def attempt() -> int:
        found = int(LIBC.syscall(calls.numbers()[name], *arguments))
        if found < 0:
            raise OSError(ctypes.get_errno(), name)
        return found

    return attempt


REFUSED: dict[str, Callable[[], object]] = {
    "fork": os.fork,
    "vfork": call("vfork"),
    "execve": lambda: os.execv("/bin/true", ["true"]),
    "kill": lambda: os.kill(os.getppid(), 0),
    "signal by thread": call("tgkill", 1, 1, 0),
    "IPv4": lambda: socket.socket(socket.AF_INET),
    "IPv6, datagrams": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "listen": lambda: socket.socket(socket.AF_UNIX).listen(),
    "bind": lambda: socket.socket(socket.AF_UNIX).bind(""),
    "write a file": lambda: os.open("/dev/null", os.O_WRONLY),
    "make a directory": lambda: os.mkdir("/tmp/posthouse-never"),
    "chmod": lambda: os.chmod("/tmp", 0o777),
    "executable memory": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_EXEC | mmap.PROT_READ),
    "io_uring": call("io_uring_setup", 1, 0),
    "memfd": lambda: os.memfd_create("x"),
    "thread": lambda: threading.Thread(target=lambda: None).start(),
    "limits": lambda: LIBC.setrlimit(7, struct.pack("QQ", 1, 1)) and call("prlimit64", 0, 7, 1, 0)(),
    "terminal injection": lambda: _ioctl(0x5412),
}


def _ioctl(request: int) -> None:
    if LIBC.ioctl(0, request, b"x") < 0:
        raise OSError(ctypes.get_errno(), "ioctl")


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """EPERM, and the process lives."""
    found = behind_walls(PLAIN, REFUSED[name], only=SECCOMP)
    assert found == "EPERM" or (name == "thread" and found.startswith("RuntimeError"))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the other calling convention is that of x86_64")
def test_another_calling_convention_kills() -> None:
    """The x32 numbers can only be an attack."""
    assert behind_walls(PLAIN, lambda: LIBC.syscall(0x40000000), only=SECCOMP) == f"signal {int(signal.SIGSYS)}"


def test_what_rules_allow_works() -> None:
    """Threads, TCP, UDP, writing: each only for who declares it."""

    def in_thread() -> list[int]:
        seen: list[int] = []
        thread = threading.Thread(target=lambda: seen.append(1))
        thread.start()
        thread.join()
        return seen

    assert behind_walls(Rules("x", threads=True), in_thread, only=SECCOMP) == "ok: [1]"
    assert behind_walls(Rules("x", threads=True), os.fork, only=SECCOMP) == "EPERM"
    tcp = Rules("x", tcp_connect=(25,))
    assert behind_walls(tcp, lambda: socket.socket(socket.AF_INET).close(), only=SECCOMP) == "ok: None"
    datagram = (socket.AF_INET, socket.SOCK_DGRAM)
    multipath = (socket.AF_INET, socket.SOCK_STREAM, 262)  # IPPROTO_MPTCP goes around Landlock's ports
    assert behind_walls(tcp, lambda: socket.socket(*datagram), only=SECCOMP) == "EPERM"
    assert behind_walls(tcp, lambda: socket.socket(*multipath), only=SECCOMP) == "EPERM"
    assert behind_walls(Rules("x", udp=True), lambda: socket.socket(*datagram).close(), only=SECCOMP) == "ok: None"
    assert (
        behind_walls(Rules("x", writes=("/",)), lambda: os.close(os.open("/dev/null", 1)), only=SECCOMP) == "ok: None"
    )


def test_who_writes_may_ask_whether_others_do(tmp_path: Path) -> None:
    """A lease, by which the queue makes sure that nobody else can write to content any more."""
    (tmp_path / "content").touch()

    def lease() -> None:
        with (tmp_path / "content").open("rb") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    assert behind_walls(Rules("x", writes=(str(tmp_path),)), lease, only=SECCOMP) == "ok: None"
    assert behind_walls(Rules("x", reads=(str(tmp_path),)), lease, only=SECCOMP) == "EPERM"


def test_who_runs_commands_gets_the_short_list() -> None:
    """Fork and exec work; what no command needs does not."""
    rules = Rules("x", executes=True)
    assert behind_walls(rules, lambda: os.system("true"), only=SECCOMP) == "ok: 0"
    assert behind_walls(rules, call("io_uring_setup", 1, 0), only=SECCOMP) == "EPERM"
    assert behind_walls(rules, _new_user_namespace, only=SECCOMP) == "EPERM"


def _new_user_namespace() -> None:
    if LIBC.unshare(0x10000000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def test_every_allowed_name_is_known() -> None:
    """A misspelled name would be a call that never works."""
    names = set(allowed(Rules("x", writes=("/",), udp=True, tcp_connect=None, threads=True)))
    assert names <= set(calls.numbers("x86_64"))
    assert "execve" not in names


def run(program: bytes, architecture: int, number: int, arguments: list[int]) -> int:
    """Interpret a filter as the kernel would."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *arguments)
    instructions = list(struct.iter_unpack("HBBI", program))
    at, accumulator = 0, 0
    while True:
        code, found, missed, value = instructions[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x15:
            at += found if accumulator == value else missed
        elif code == 0x35:
            at += found if accumulator >= value else missed
        else:
            assert code == 0x06
            return int(value)


conditions = st.builds(
    When,
    argument=st.integers(0, 2),
    values=st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple),
    mask=st.sampled_from([0xFFFFFFFF, 1, 2]),
)
policies = st.dictionaries(
    st.integers(0, 5), st.lists(st.lists(conditions, min_size=1, max_size=3).map(tuple), max_size=4).map(tuple)
)


@given(policies, st.integers(0, 7), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_a_program_says_what_the_policy_says(
    policy: dict[int, tuple[tuple[When, ...], ...]], number: int, arguments: list[int]
) -> None:
    """For any policy, call and arguments, interpreted instruction by instruction."""
    program = bpf.assemble(7, policy, frozenset({6}))
    if number in policy:
        alternatives = policy[number]
        holds = not alternatives or any(
            all(arguments[when.argument] & when.mask in when.values for when in each) for each in alternatives
        )
        expected = ALLOW if holds else REFUSE
    else:
        expected = PRETEND_ABSENT if number == 6 else REFUSE
    assert run(program, 7, number, arguments) == expected
    assert run(program, 8, number, arguments) == KILL
    assert expected & 0xFFFF in (0, errno.EPERM, errno.ENOSYS)
