"""An Image as a file that SQLite can read: the log already applied, damaged pages refused, nothing ever written.

Page 1 of a store tells SQLite where the tables begin, and is the same in all stores but for a few numbers; when it is
damaged, that of a store made for the purpose stands in for it.
"""

import itertools
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import apsw

from posthouse.queue.sqlite.layer import CHECKED
from posthouse.queue.sqlite.log import PAGE_SIZE
from posthouse.queue.sqlite.pages import Image
from posthouse.queue.sqlite.schema import create

_numbers = itertools.count()
_AT_CHANGES, _AT_SIZE, _AT_FREE, _AT_VALID_FOR = 24, 28, 32, 92  # octets of page 1
_AS_JOURNAL: Final = b"\1\1"  # at 18: a file without a log


class _ImageFile(apsw.VFSFile):
    """See the module's docstring."""

    def __init__(self, name: "str | apsw.URIFilename", flags: list[int], image: Image) -> None:
        super().__init__(CHECKED, name, flags)
        self._image = image
        self._first = _first_page(image)
        self._pages = super().xFileSize() // PAGE_SIZE  # there may be fewer than there should be
        if image.is_first_whole:
            super().xRead(PAGE_SIZE, 0)  # now the layer below knows that pages have checksums, and looks at them

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - apsw's name
        """Read within one page; refuse it when it is damaged."""
        number, start = offset // PAGE_SIZE + 1, offset % PAGE_SIZE
        if number == 1:
            return self._first[start : start + amount]
        log = self._image.log
        if self._image.is_first_whole and number <= self._pages and number not in log.lost and number not in log.pages:
            return super().xRead(amount, offset)
        octets = self._image.page(number)
        if octets is None:
            raise apsw.IOError(f"page {number} is damaged")
        return octets[start : start + amount]

    def xFileSize(self) -> int:  # noqa: N802 - apsw's name
        """Give the size after the last commit."""
        return self._image.size * PAGE_SIZE

    def xLock(self, level: int) -> None:  # noqa: N802 - apsw's name
        """Nobody else has it open: the directory is locked."""

    def xUnlock(self, level: int) -> None:  # noqa: N802 - apsw's name
        """There is no lock."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802 - apsw's name
        """There is no lock."""
        return False

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - apsw's name
        """Refuse."""
        raise apsw.ReadOnlyError("the old store is only read")


class _ImageVFS(apsw.VFS):
    def __init__(self, name: str, image: Image) -> None:
        self.name = name
        self._image = image
        super().__init__(name, CHECKED)

    def xOpen(  # noqa: N802 - apsw's name
        self, name: "str | apsw.URIFilename | None", flags: list[int]
    ) -> apsw.VFSFile:
        """Open the store as its image."""
        if name is None or not flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return apsw.VFSFile(CHECKED, name, flags)
        return _ImageFile(name, flags, self._image)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802 - apsw's name
        """There is nothing beside the store: its log is in the image."""
        return False


@contextmanager
def layer_of(image: Image) -> Iterator[str]:
    """Let connections open the image; gives the layer's name."""
    vfs = _ImageVFS(f"posthouse-image-{next(_numbers)}", image)
    try:
        yield vfs.name
    finally:
        vfs.unregister()


def _first_page(image: Image) -> bytes:
    """Page 1, telling the size and no log, whatever it told before."""
    first = image.page(1)
    if first is None:
        empty = _of_empty_store(image.has_checksums)
        first = empty[:_AT_FREE] + bytes(8) + empty[_AT_FREE + 8 :]
    changes = first[_AT_CHANGES:_AT_SIZE]
    size = struct.pack(">I", image.size)
    first = first[:18] + _AS_JOURNAL + first[20:_AT_SIZE] + size + first[_AT_FREE:]
    return first[:_AT_VALID_FOR] + changes + first[_AT_VALID_FOR + 4 :]


def _of_empty_store(has_checksums: bool) -> bytes:
    connection = create(":memory:", None if has_checksums else "memdb")
    try:
        return connection.serialize("main")[:PAGE_SIZE]
    finally:
        connection.close()
