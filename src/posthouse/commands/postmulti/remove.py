"""Removing an instance: only what the mail system made itself, by name; whatever else is there stays and is named."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Final

from posthouse.config.parameters import DATA_DIRECTORY, QUEUE_DIRECTORY
from posthouse.config.settings import Settings

_POSTQUEUE: Final = (sys.executable, "-I", "-m", "posthouse.commands.posthouse", "postqueue", "-j", "-c")
# Names of files that the mail system makes below its queue directory, by the directory they are in.
_MADE: Final = {
    "pid": ("master.pid", "drain", "throttled.*", "*.lock"),
    "posthouse/reserve": ("*",),
    "posthouse": ("HOLD", "LOCK", "store-*.sqlite", "store-*.sqlite-*", "store-*.sqlite.new"),
}
_SOCKETS: Final = ("private", "public", "submit")
# Deepest first. The second line are those of a Postfix that used the queue before, when nothing is in them.
_DIRECTORIES: Final = (
    "posthouse/spool", "posthouse/reserve", "posthouse", "pid", "private", "public", "submit", "maildrop",
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "saved", "trace",
)  # fmt: skip


def waiting_messages(directory: str, settings: Settings) -> int:
    """Count the messages in the queue and in maildrop of a stopped instance. Raises OSError: they cannot be read."""
    queue = settings[QUEUE_DIRECTORY]
    count = len(_names(f"{queue}/maildrop"))
    if any(fnmatchcase(name, "store-*.sqlite") for name in _names(f"{queue}/posthouse")):
        done = subprocess.run([*_POSTQUEUE, directory], check=False, capture_output=True)  # noqa: S603
        if done.returncode:
            raise OSError(f"the queue in {queue} cannot be read: {done.stderr.decode('utf-8', 'replace').strip()}")
        count += done.stdout.count(b"\n")
    return count


class Remover:
    """Removes what an instance consists of."""

    def __init__(self, settings: Settings) -> None:
        self._queue = settings[QUEUE_DIRECTORY]
        self._data = settings[DATA_DIRECTORY]
        self._configuration = settings.config_directory

    def remove(self) -> None:
        """Do it; a directory in which something else is stays, with a warning."""
        for path in self._files():
            with suppress(FileNotFoundError):
                os.unlink(path)
        inner = (*(f"{self._queue}/{name}" for name in _DIRECTORIES), f"{self._data}/governor")
        for path in (*inner, self._queue, self._data, self._configuration):
            try:
                os.rmdir(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                sys.stderr.write(
                    f"postmulti: warning: {path}: {error.strerror}; look what is there, and remove it by hand\n"
                )

    def _files(self) -> Iterator[str]:
        for directory, patterns in _MADE.items():
            for name in _names(f"{self._queue}/{directory}"):
                if any(fnmatchcase(name, pattern) for pattern in patterns):
                    yield f"{self._queue}/{directory}/{name}"
        for directory in _SOCKETS:
            for name in _names(f"{self._queue}/{directory}"):
                path = f"{self._queue}/{directory}/{name}"
                if stat.S_ISSOCK(os.lstat(path).st_mode):
                    yield path
        yield from (f"{self._data}/{name}" for name in ("master.lock", "governor/told"))
        yield from (f"{self._configuration}/{name}" for name in ("master.cf", "main.cf"))


def _names(directory: str) -> list[str]:
    with suppress(FileNotFoundError):
        return sorted(os.listdir(directory))
    return []
