"""Change main.cf and master.cf in place: comments, order and everything else stay (facts B01.08).

A file is replaced by rename, under a lock on the new file, so that no reader sees half of it and no two edits
are lost to each other.
"""

import contextlib
import fcntl
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from pathlib import Path
from typing import Final

from posthouse.config.lists import split_name_value
from posthouse.config.logical import LogicalLine, read_lines
from posthouse.config.main_cf import format_assignment
from posthouse.util.errors import ConfigError
from posthouse.util.files import sync_directory

_BLANKS: Final = b" \t\r\v\f"
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Change(Enum):
    """What happens to the logical lines that are chosen."""

    REMOVE = auto()
    COMMENT = auto()


def physical_lines(data: bytes) -> list[bytes]:
    """Cut after each newline, and only there."""
    return [line + b"\n" for line in data.split(b"\n")[:-1]] + [line for line in data.split(b"\n")[-1:] if line]


def is_text_line(line: bytes) -> bool:
    """Tell whether a physical line is neither blank nor a comment."""
    stripped = line.lstrip(_BLANKS)
    return bool(stripped.strip()) and not stripped.startswith(b"#")


def names_by_line(data: bytes) -> dict[int, str]:
    """Give the parameter that each logical line of a main.cf sets, by its first line; "" when it is no assignment."""
    lines = (line for line in read_lines(data) if isinstance(line, LogicalLine))
    return {line.first: _name_of(line.text) for line in lines}


def count_assignments(data: bytes) -> Counter[str]:
    """Count how often each parameter of a main.cf is set."""
    return Counter(filter(None, names_by_line(data).values()))


def set_parameters(data: bytes, settings: Mapping[str, str]) -> tuple[bytes, tuple[str, ...]]:
    """Set parameters of a main.cf, wherever they are set in it; new ones go to the end.

    The second result names those that are set more than once.
    """
    names = names_by_line(data)
    lines: list[bytes] = []
    chosen = False
    for number, line in enumerate(physical_lines(data), 1):
        if number in names:
            chosen = names[number] in settings
            lines.append(_encoded(names[number], settings[names[number]]) if chosen else line)
        elif not (chosen and is_text_line(line)):
            lines.append(line)
    if lines and not lines[-1].endswith(b"\n"):
        lines.append(b"\n")
    counts = Counter(names.values())
    lines += [_encoded(name, value) for name, value in settings.items() if not counts[name]]
    return b"".join(lines), tuple(name for name in settings if counts[name] > 1)


def change_parameters(data: bytes, names: frozenset[str], change: Change) -> bytes:
    """Remove or comment out every assignment of these parameters of a main.cf, with its continuation lines."""
    return b"".join(_changed(data, names, change))


def _changed(data: bytes, names: frozenset[str], change: Change) -> Iterator[bytes]:
    found = names_by_line(data)
    chosen = False
    for number, line in enumerate(physical_lines(data), 1):
        chosen = found[number] in names if number in found else chosen
        if not (chosen and is_text_line(line)):
            yield line
        elif change is Change.COMMENT:
            yield b"#" + line


def _name_of(line: bytes) -> str:
    """Give the name that a line assigns to; "" when it is no assignment."""
    try:
        return split_name_value(line.decode("utf-8", "surrogateescape"))[0]
    except ValueError:
        return ""


def _encoded(name: str, value: str) -> bytes:
    return (format_assignment(name, value) + "\n").encode("utf-8", "surrogateescape")


def read_or_empty(path: Path) -> bytes:
    """Read a configuration file; one that does not exist yet is empty. Raises ConfigError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ConfigError(f"cannot read it: {error.strerror}", file=str(path)) from None


@contextlib.contextmanager
def editing(path: Path) -> Iterator["Replacement"]:
    """Replace a file: read `.old`, set `.new`, and the file is renamed into place at the end.

    A symbolic link stays one: the file it leads to is replaced. Nothing is left behind when the edit fails.
    Raises ConfigError: the directory or the file cannot be written.
    """
    path = Path(os.path.realpath(path))
    temporary = path.with_name(path.name + ".tmp")
    try:
        descriptor = _open_locked(temporary)
    except OSError as error:
        raise ConfigError(f"cannot write: {error.strerror}", file=str(temporary)) from None
    done = False
    try:
        replacement = Replacement(read_or_empty(path))
        yield replacement
        if replacement.new is not None:
            _replace(descriptor, temporary, path, replacement.new)
            done = True
            sync_directory(str(path.parent))
    except OSError as error:
        raise ConfigError(f"cannot write: {error.strerror}", file=str(temporary)) from None
    finally:
        if not done:
            with contextlib.suppress(OSError):
                temporary.unlink()
        os.close(descriptor)


def _open_locked(temporary: Path) -> int:
    """Open and lock the new file. Who had to wait finds that the other edit renamed it away, and opens again."""
    while True:
        descriptor = os.open(temporary, _FLAGS, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if temporary.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        os.close(descriptor)


class Replacement:
    """The text of a file, before and after."""

    def __init__(self, old: bytes) -> None:
        self.old = old
        self.new: bytes | None = None


def _replace(descriptor: int, temporary: Path, path: Path, data: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        status = path.stat()
        os.fchmod(descriptor, status.st_mode & 0o777)
        if os.geteuid() == 0:
            os.fchown(descriptor, status.st_uid, status.st_gid)
    os.ftruncate(descriptor, 0)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)
    temporary.rename(path)
