"""Change main.cf and master.cf in place: comments, order and everything else stay (facts B01.08).

A file is replaced by rename, under a lock on the new file, so that no reader sees half of it and no two edits
are lost to each other.
"""

import contextlib
import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from enum import Enum, auto
from pathlib import Path
from typing import Final

from posthouse.config.lists import split_name_value
from posthouse.config.main_cf import format_assignment
from posthouse.util.errors import ConfigError

_BLANKS: Final = b" \t\r\v\f"
_BLANK_CODES: Final = frozenset(_BLANKS)


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


def is_continuation(line: bytes) -> bool:
    """Tell whether a text line continues the one before."""
    return line[0] in _BLANK_CODES


def count_assignments(data: bytes) -> Counter[str]:
    """Count how often each parameter of a main.cf is set."""
    lines = (line for line in physical_lines(data) if is_text_line(line) and not is_continuation(line))
    return Counter(filter(None, map(_name_of, lines)))


def set_parameters(data: bytes, settings: Mapping[str, str]) -> tuple[bytes, tuple[str, ...]]:
    """Set parameters of a main.cf, wherever they are set in it; new ones go to the end.

    The second result names those that are set more than once.
    """
    found: set[str] = set()
    lines: list[bytes] = []
    chosen = False
    for line in physical_lines(data):
        if not is_text_line(line):
            lines.append(line)
            continue
        if is_continuation(line):
            if not chosen:
                lines.append(line)
            continue
        name = _name_of(line)
        chosen = name in settings
        if chosen:
            found.add(name)
        lines.append(_encoded(name, settings[name]) if chosen else line)
    if lines and not lines[-1].endswith(b"\n"):
        lines.append(b"\n")
    lines += [_encoded(name, value) for name, value in settings.items() if name not in found]
    counts = count_assignments(data)
    return b"".join(lines), tuple(name for name in settings if counts[name] > 1)


def change_parameters(data: bytes, names: frozenset[str], change: Change) -> bytes:
    """Remove or comment out every assignment of these parameters of a main.cf."""
    return b"".join(_changed(data, lambda line: _name_of(line) in names, change))


def _changed(data: bytes, is_chosen: Callable[[bytes], bool], change: Change) -> Iterator[bytes]:
    """Walk over physical lines; a continuation shares the fate of the line it continues."""
    chosen = False
    for line in physical_lines(data):
        if is_text_line(line):
            if not is_continuation(line):
                chosen = is_chosen(line)
            if chosen:
                if change is Change.COMMENT:
                    yield b"#" + line
                continue
        yield line


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

    Raises ConfigError: the directory or the file cannot be written.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        descriptor = _open_locked(temporary)
    except OSError as error:
        raise ConfigError(f"cannot write: {error.strerror}", file=str(temporary)) from None
    try:
        replacement = Replacement(read_or_empty(path))
        yield replacement
        if replacement.new is None:
            temporary.unlink(missing_ok=True)
        else:
            _replace(descriptor, temporary, path, replacement.new)
    except OSError as error:
        raise ConfigError(f"cannot write: {error.strerror}", file=str(temporary)) from None
    finally:
        os.close(descriptor)


def _open_locked(temporary: Path) -> int:
    """Open and lock the new file. Who had to wait finds that the other edit renamed it away, and opens again."""
    while True:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
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
