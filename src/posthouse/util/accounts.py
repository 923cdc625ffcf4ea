"""Accounts of this machine, with the difference between "there is none" and "they cannot be looked up now".

Python's pwd and grp hide it: whatever goes wrong (no descriptor left, a directory server that does not answer), they
say that there is no such entry. That would bounce mail of people who exist. So who is not found is asked for once
more by the function that tells. Source: getpwnam_r(3), ERRORS.
"""

import ctypes
import errno
import grp
import os
import pwd
from contextlib import suppress
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_ENTRY_SIZE: Final = 256  # bytes; struct passwd and struct group are 48 and 32
_TEXT_SIZE: Final = 64 * 1024
_NONE: Final = (0, errno.ENOENT, errno.ESRCH, errno.EBADF, errno.EPERM)  # ways to say that there is none


def find_user(name: str) -> pwd.struct_passwd:
    """Find a user. Raises KeyError (there is none), OSError (cannot be known now), UnicodeEncodeError, ValueError."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        _make_sure("getpwnam_r", os.fsencode(name))
        return pwd.getpwnam(name)


def find_user_id(uid: int) -> pwd.struct_passwd:
    """Find a user by number. Raises KeyError, OSError."""
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        _make_sure("getpwuid_r", ctypes.c_uint32(uid))
        return pwd.getpwuid(uid)


def find_group(name: str) -> grp.struct_group:
    """Find a group. Raises KeyError, OSError, UnicodeEncodeError, ValueError."""
    try:
        return grp.getgrnam(name)
    except KeyError:
        _make_sure("getgrnam_r", os.fsencode(name))
        return grp.getgrnam(name)


def _make_sure(function: str, key: bytes | ctypes.c_uint32) -> None:
    """Return when an entry is there after all. Raises KeyError, OSError."""
    entry, text = ctypes.create_string_buffer(_ENTRY_SIZE), ctypes.create_string_buffer(_TEXT_SIZE)
    found = ctypes.c_void_p()
    error = getattr(_LIBC, function)(key, entry, text, ctypes.c_size_t(_TEXT_SIZE), ctypes.byref(found))
    if error == errno.ERANGE or found.value is not None:
        return
    if error not in _NONE:
        raise OSError(error, os.strerror(error))
    with suppress(FileNotFoundError):  # when another source was asked after the file could not be opened, "none" wins
        os.close(os.open("/etc/group" if function == "getgrnam_r" else "/etc/passwd", os.O_RDONLY | os.O_CLOEXEC))
    raise KeyError(key)
