"""Landlock: which files a process may open, which TCP ports it may use, whom it may signal.

The kernel checks a path when it is opened, so what is open stays usable. A rule on a file is a rule on that inode: a
new file renamed over it is out of reach; a rule on a directory covers what comes into it later. Landlock has nothing
on stat, chmod, chown and utime (user IDs and the filter of system calls do that), nothing on UNIX sockets by path
(directories do) and nothing on UDP. Sources: landlock(7), the kernel's userspace-api/landlock.
"""

import contextlib
import os
import stat
import struct
from typing import Final

from posthouse.confine import kernel
from posthouse.confine.rules import Rules

NEWEST_ABI: Final = 7  # that has something we use
ABI_NETWORK: Final = 4
ABI_SCOPES: Final = 6
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = (1 << bit for bit in range(6, 13))
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_FILE_RIGHTS: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ: Final = _READ_FILE | _READ_DIR
_APPEND: Final = _WRITE_FILE | _TRUNCATE
_WRITE: Final = _READ | _APPEND | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER
_BIND, _CONNECT = 1, 2
_SCOPES: Final = 0b11  # abstract UNIX sockets, signals
_PATH_BENEATH, _NET_PORT = 1, 2
_BENEATH: Final = struct.Struct("=Qi")
_PORT: Final = struct.Struct("=QQ")


def file_rights(abi: int) -> int:
    """Every right over files that this version knows, as a bit set; all of them are refused unless a rule says so."""
    rights = (1 << 13) - 1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        if abi >= since:
            rights |= right
    return rights


def missing(abi: int) -> tuple[str, ...]:
    """Name what a kernel with this version of Landlock cannot do of what we want of it."""
    if abi == 0:
        return ("Landlock: files, TCP ports, abstract sockets, signals",)
    lacks = ((2, "Landlock: links between directories"), (3, "Landlock: truncate(2)"), (ABI_NETWORK, "Landlock: ports"))
    more = ((5, "Landlock: ioctl(2) of devices"), (ABI_SCOPES, "Landlock: abstract sockets, signals"))
    return tuple(what for since, what in (*lacks, *more) if abi < since)


def restrict(rules: Rules, abi: int) -> None:
    """Put the rules in force for this thread and all that it starts. no_new_privs must be set. Raises OSError.

    abi: the version to use, at least 1. A path that does not exist gets no rule: nothing can be opened there later.
    Who runs commands of users is not restricted here: the commands would inherit it.
    """
    if rules.executes:
        return
    handled_files = file_rights(abi)
    handled_ports = 0 if abi < ABI_NETWORK else _BIND | (0 if rules.tcp_connect is None else _CONNECT)
    scopes = _SCOPES if abi >= ABI_SCOPES else 0
    attributes = struct.pack("=QQQ", handled_files, handled_ports, scopes)
    ruleset = kernel.landlock_create(attributes[: 8 if abi < ABI_NETWORK else 16 if abi < ABI_SCOPES else 24])
    try:
        _allow_files(ruleset, rules, handled_files)
        if handled_ports:
            _allow_ports(ruleset, rules)
        kernel.landlock_restrict(ruleset)
    finally:
        os.close(ruleset)


def _allow_files(ruleset: int, rules: Rules, handled: int) -> None:
    for paths, rights in ((rules.reads, _READ), (rules.appends, _APPEND), (rules.writes, _WRITE)):
        for path in paths:
            _allow_beneath(ruleset, path, rights & handled)


def _allow_beneath(ruleset: int, path: str, rights: int) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                rights &= _FILE_RIGHTS
            kernel.landlock_add(ruleset, _PATH_BENEATH, _BENEATH.pack(rights, descriptor))
        finally:
            os.close(descriptor)


def _allow_ports(ruleset: int, rules: Rules) -> None:
    wanted: dict[int, int] = dict.fromkeys(rules.tcp_connect or (), _CONNECT)
    for port in rules.tcp_bind:
        wanted[port] = wanted.get(port, 0) | _BIND
    for port, rights in wanted.items():
        if rules.tcp_connect is not None or rights & _BIND:
            kernel.landlock_add(ruleset, _NET_PORT, _PORT.pack(rights, port))
