"""Deny io_uring, for good, before an event loop is made.

io_uring goes around every filter of system calls, so no daemon may have it (design: confinement). libuv tries it when
a loop is made, falls back to epoll when the kernel says no, and is faster so: its ring is entered once per connection,
for what two cheap calls do. Sources: seccomp(2), prctl(2); libuv issue 4638.
"""

import ctypes
import struct
from typing import Final

from posthouse.util import log

PR_SET_NO_NEW_PRIVS: Final = 38
PR_SET_SECCOMP: Final = 22
SECCOMP_MODE_FILTER: Final = 2
IO_URING_SETUP: Final = 425  # the same number on every architecture

_LOAD_NUMBER: Final = (0x20, 0, 0, 0)  # BPF_LD | BPF_W | BPF_ABS: seccomp_data.nr
_IF_SETUP: Final = (0x15, 0, 1, IO_URING_SETUP)  # BPF_JMP | BPF_JEQ | BPF_K: else skip one
_REFUSE: Final = (0x06, 0, 0, 0x00050000 | 1)  # BPF_RET: SECCOMP_RET_ERRNO, EPERM
_ALLOW: Final = (0x06, 0, 0, 0x7FFF0000)  # BPF_RET: SECCOMP_RET_ALLOW

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def deny_io_uring() -> None:
    """Make io_uring_setup(2) answer EPERM in this process and all it starts. A kernel without seccomp: a warning."""
    rules = b"".join(struct.pack("HBBI", *rule) for rule in (_LOAD_NUMBER, _IF_SETUP, _REFUSE, _ALLOW))
    program = _Program(4, rules)
    if (
        _LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        or _LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0
    ):
        log.warning(f"seccomp is not available (errno {ctypes.get_errno()}): io_uring is not denied")
