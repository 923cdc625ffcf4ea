"""SQLite's file layers: page checksums for the store, and reading beside the process that has it open.

A store file keeps a checksum of eight octets at the end of each page: SQLite's own checksum layer writes them when a
page is written and refuses a page that does not match when it is read (SQLITE_IOERR_DATA). So an octet that changed
on the disk ends the store like a disk that cannot be read, and never ends up in somebody's mail. What is in the log
has checksums of its own there. The layer comes with apsw and is loaded when this module is imported: before a daemon
gives its rights up, among them the right to load code.
Sources: sqlite.org cksumvfs.html, fileformat2.html.
"""

import ctypes
from typing import Final

import apsw
import apsw.sqlite_extra

CHECKED: Final = "cksmvfs"  # the checksum layer, on top of "unix"
BESIDE: Final = "posthouse-beside"  # reads only, and takes no locks
RESERVED: Final = 8  # octets of a page that belong to the checksum


def _load() -> None:
    connection = apsw.Connection(":memory:")
    apsw.sqlite_extra.load(connection, "cksumvfs")  # stays loaded, and becomes the default
    connection.close()


def reserve_checksums(connection: apsw.Connection) -> None:
    """Make a file that is still empty one with checksums."""
    size = ctypes.c_int(RESERVED)
    connection.file_control("main", apsw.SQLITE_FCNTL_RESERVE_BYTES, ctypes.addressof(size))


class _BesideFile(apsw.VFSFile):
    """A file of somebody else's store."""

    def xLock(self, level: int) -> None:  # noqa: N802 - apsw's name
        """Who has the store open holds its lock for good; what keeps the file still is hold.py."""

    def xUnlock(self, level: int) -> None:  # noqa: N802 - apsw's name
        """There is no lock."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802 - apsw's name
        """Nobody's journal needs us."""
        return False

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - apsw's name
        """Refuse."""
        raise apsw.ReadOnlyError("this reader writes nothing")

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - apsw's name
        """Refuse."""
        raise apsw.ReadOnlyError("this reader writes nothing")


class _BesideVFS(apsw.VFS):
    """See BESIDE."""

    def __init__(self) -> None:
        super().__init__(BESIDE, CHECKED)

    def xOpen(  # noqa: N802 - apsw's name
        self, name: "str | apsw.URIFilename | None", flags: list[int]
    ) -> apsw.VFSFile:
        """Open the store and its log without locks, anything else as usual."""
        if name is None:
            return apsw.VFSFile(CHECKED, name, flags)
        return _BesideFile(CHECKED, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - apsw's name
        """Refuse."""
        raise apsw.ReadOnlyError("this reader deletes nothing")


_load()
_beside: Final = _BesideVFS()  # registered as long as it lives
