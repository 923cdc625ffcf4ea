"""System calls by name and number: what Python has no function for, and what libc would do in another way."""

import ctypes
import errno
import os
from typing import Final

from posthouse.commands.confine import numbers

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
_WORD: Final = (1 << 64) - 1


def call(name: str, *arguments: int | bytes | None) -> int:
    """Make a system call. Raises OSError; ENOSYS also where this architecture has no such call."""
    number = numbers.number(name)
    if number is None:
        raise OSError(errno.ENOSYS, name)
    words = [ctypes.c_ulong(each & _WORD) if isinstance(each, int) else each for each in arguments]
    result = int(_LIBC.syscall(ctypes.c_long(number), *words))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return result


def address_of(buffer: "ctypes.Array[ctypes.c_char]") -> int:
    """Give the address of a buffer, for structures that point to each other."""
    return ctypes.addressof(buffer)
