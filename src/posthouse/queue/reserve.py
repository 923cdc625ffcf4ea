"""The reserve: room where the store is, kept by files that nobody needs, given up so that deliveries and notices fit.

One file takes the bytes, some empty ones a place each for files. What a process before us left counts as held.
Whether it is held is governor(8)'s decision; qmgr(8), who alone may write here, carries it out.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from posthouse.governor.conditions import reserve_inodes, reserve_size
from posthouse.governor.measures import Space

MODE: Final = 0o600
BIG: Final = "bytes"


class Reserve:
    """In the directory `posthouse/reserve`. wanted: bytes, as main.cf says; small disks keep less."""

    def __init__(self, store_directory: str, wanted: int, report: Callable[[str], None]) -> None:
        self._path = f"{store_directory}/reserve"
        self._parent = store_directory
        self._wanted = wanted
        self._report = report
        self._failed = ""
        self.intended: bool | None = None  # what is about to be done: told before it shows in the free space
        self.size = self.files = 0  # what it should be on this disk
        self.held_size = self.held_files = 0
        with suppress(OSError):
            self._measure()

    @property
    def is_whole(self) -> bool:
        """Whether all of it is there."""
        return self.held_size >= self.size and self.held_files >= self.files

    @property
    def is_there(self) -> bool:
        """Whether any of it is."""
        return bool(self.held_size or self.held_files)

    def hold(self) -> None:
        """Make what is missing. What cannot be made is reported once, and tried again with the next call."""
        try:
            if not self._wanted:
                return
            os.makedirs(self._path, 0o700, exist_ok=True)
            descriptor = os.open(f"{self._path}/{BIG}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
            try:
                if self.size:
                    os.posix_fallocate(descriptor, 0, self.size)
            finally:
                os.close(descriptor)
            for number in range(1, self.files):
                os.close(os.open(f"{self._path}/{number}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, MODE))
            self._failed = ""
        except OSError as error:
            self._remove()
            if self._failed != str(error):
                self._failed = str(error)
                self._report(f"the reserve of {self.size} bytes cannot be made: {error}")
        self._count()

    def give_up(self) -> None:
        """Free it."""
        self._remove()
        self._count()

    def _measure(self) -> None:
        space = Space.of(os.statvfs(self._parent))
        self.size = reserve_size(self._wanted, space.size)
        self.files = reserve_inodes(space.files) if self._wanted else 0
        self._count()

    def _count(self) -> None:
        self.held_size = self.held_files = 0
        with suppress(OSError), os.scandir(self._path) as entries:
            for entry in entries:
                self.held_files += 1
                self.held_size += min(entry.stat().st_blocks * 512, self.size)

    def _remove(self) -> None:
        """The big file first: its bytes are what is needed most."""
        names = [BIG]
        with suppress(OSError):
            names += os.listdir(self._path)
        for name in names:
            with suppress(OSError):
                os.unlink(f"{self._path}/{name}")

    def numbers(self) -> dict[str, float]:
        """Give what it should hold and does hold, or is about to, as the governor reads it."""
        held = (min(self.held_size, self.size), min(self.held_files, self.files))
        if self.intended is not None:
            held = (self.size, self.files) if self.intended else (0, 0)
        return {
            "reserve_bytes_wanted": self.size,
            "reserve_bytes_held": held[0],
            "reserve_files_wanted": self.files,
            "reserve_files_held": held[1],
        }
