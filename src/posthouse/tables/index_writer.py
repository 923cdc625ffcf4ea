"""Makes the files of indexed tables: lmdb files for lmdb:, hash: and btree:, cdb files for cdb:."""

from typing import Final, NamedTuple, Protocol

import posthouse.tables.cdb as cdb_table
import posthouse.tables.lmdb as lmdb_table
from posthouse.tables.file_table import Origin

USUAL_MODE: Final = 0o644


class WriteAll(Protocol):
    """Makes a file hold just these entries."""

    def __call__(self, path: str, contents: dict[str, str], *, nul: bool, mode: int) -> None:
        """Write. Raises TableError, OSError."""


class Format(NamedTuple):
    """A format of files. nul: whether keys and values end in NUL when nothing else is said."""

    suffix: str
    write_all: WriteAll
    nul: bool


_LMDB: Final = Format(lmdb_table.SUFFIX, lmdb_table.write_all, nul=True)
FORMATS: Final = {
    "btree": _LMDB,
    "cdb": Format(cdb_table.SUFFIX, cdb_table.write_all, nul=False),
    "hash": _LMDB,
    "lmdb": _LMDB,
}


def write_index(origin: Origin, contents: dict[str, str], *, nul: bool | None = None, mode: int = USUAL_MODE) -> None:
    """Make the file of a table. nul: None is what is usual for its type. Raises TableError, OSError."""
    form = FORMATS[origin.type]
    form.write_all(origin.path + form.suffix, contents, nul=form.nul if nul is None else nul, mode=mode)
