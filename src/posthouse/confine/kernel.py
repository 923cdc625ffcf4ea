"""System calls that Python's standard library does not have: prctl(2), seccomp(2), landlock(7)."""

import ctypes
import os
import struct
from typing import Final

PR_SET_DUMPABLE: Final = 4
PR_SET_SECCOMP: Final = 22
PR_SET_NO_NEW_PRIVS: Final = 38
SECCOMP_MODE_FILTER: Final = 2
LANDLOCK_CREATE_RULESET: Final = 444  # the same numbers on every architecture
LANDLOCK_ADD_RULE: Final = 445
LANDLOCK_RESTRICT_SELF: Final = 446
CREATE_RULESET_VERSION: Final = 1

_CAPABILITY_VERSION: Final = struct.pack("=Ii", 0x20080522, 0)  # capset(2): version 3, this thread
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
_LIBC.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process. Raises OSError. Source: its manual page in section 2."""
    if _LIBC.prctl(option, value, 0, 0, 0) != 0:
        raise _error("prctl")


def drop_capabilities() -> None:
    """Give up every capability of this thread. Raises OSError."""
    if _LIBC.capset(_CAPABILITY_VERSION, bytes(24)) != 0:
        raise _error("capset")


def install_filter(program: bytes) -> None:
    """Put a BPF program before every system call of this process, for good. Raises OSError."""
    filter_ = _Program(len(program) // 8, program)
    if _LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(filter_), 0, 0) != 0:
        raise _error("seccomp")


def landlock_abi() -> int:
    """Tell which version of Landlock this kernel has; 0 for none."""
    return max(0, int(_LIBC.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), CREATE_RULESET_VERSION)))


def landlock_create(attributes: bytes) -> int:
    """Make a ruleset and give its descriptor. Raises OSError."""
    made = _LIBC.syscall(LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if made < 0:
        raise _error("landlock_create_ruleset")
    return int(made)


def landlock_add(ruleset: int, kind: int, attributes: bytes) -> None:
    """Add one rule. Raises OSError."""
    if _LIBC.syscall(LANDLOCK_ADD_RULE, ruleset, kind, attributes, 0) != 0:
        raise _error("landlock_add_rule")


def landlock_restrict(ruleset: int) -> None:
    """Put a ruleset in force, for this thread and all it starts, for good. Raises OSError."""
    if _LIBC.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) != 0:
        raise _error("landlock_restrict_self")


def has_seccomp() -> bool:
    """Tell whether this kernel takes filters of system calls."""
    return os.path.exists("/proc/sys/kernel/seccomp/actions_avail")


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
