"""ask_for_successor: a process that cannot do something for good asks to be replaced by one that can.

A confined process may open a file that another has been renamed over no more. It keeps what it has, takes no new
clients, and ends when its sessions have; the next process opens the new file before it is confined.
"""

import os
from collections.abc import Callable
from typing import ClassVar

from posthouse.util.files import close_done


class _Handler:
    """Who is asked: the skeleton. Outside of a daemon nobody is."""

    handlers: ClassVar[list[Callable[[str], None]]] = []
    root_changed: ClassVar[bool] = False


def set_successor_handler(handler: Callable[[str], None]) -> None:
    """Say who is asked."""
    _Handler.handlers[:] = [handler]


def ask_for_successor(reason: str) -> None:
    """Ask; may be called any number of times."""
    for handler in _Handler.handlers:
        handler(reason)


def set_root_changed() -> None:
    """Note that names of files mean something else now (chroot(2))."""
    _Handler.root_changed = True


def is_out_of_reach(error: BaseException | None) -> bool:
    """Tell whether opening a file failed for where this process is, and not for how the file is."""
    return isinstance(error, PermissionError) or (_Handler.root_changed and isinstance(error, FileNotFoundError))


def is_file_out_of_reach(path: str) -> bool:
    """Tell the same of a file that a library could not open, and did not say why."""
    try:
        close_done(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return is_out_of_reach(error)
    return False
