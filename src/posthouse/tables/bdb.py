"""hash: and btree: tables. New ones are lmdb files (NAME.lmdb); NAME.db, which Postfix wrote with Berkeley DB, is read.

Berkeley DB itself is not needed: bdb_hash.py and bdb_btree.py read its files. NAME.lmdb counts as soon as it is there,
and is what every change is written to: changing a table that is in a NAME.db makes the NAME.lmdb from it.

A .db file is kept in memory, as it was when nobody wrote to it: postmap(1) of Postfix writes in place, and holds an
flock(2) while it does. A chrooted process cannot see that a NAME.lmdb has come: it goes on with the .db file until the
next reload. Sources: DB_README, NON_BERKELEYDB_README; facts/tables.tsv hash, btree.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import Final

import posthouse.tables.lmdb as lmdb_table
from posthouse.config.index_files import OLD_SUFFIX
from posthouse.tables.bdb_btree import BtreeFile
from posthouse.tables.bdb_hash import HashFile
from posthouse.tables.bdb_pages import HASH_MAGIC, Pages
from posthouse.tables.file_table import Origin
from posthouse.tables.index_file import BusyError, DamagedError, IndexFile, IndexFileTable
from posthouse.tables.lmdb import Lmdb
from posthouse.tables.watch import FileWatch
from posthouse.util import log
from posthouse.util.errors import ConfigError, TableError
from posthouse.util.successor import ask_for_successor, is_file_out_of_reach

MAX_SIZE: Final = 256 * 1024 * 1024  # bytes of a .db file; a larger one has to become an lmdb file


def read_bdb(path: str, *, wait: bool) -> IndexFile:
    """Read a file of hash or btree format. Raises OSError (BusyError: it is being written to), DamagedError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise BusyError(f"{path} is being written to") from None
        except OSError:  # a confined process may not lock; then the file has stood still for a second at least
            pass
        size = os.fstat(descriptor).st_size
        if size > MAX_SIZE:
            raise DamagedError(f"{size} bytes are too many for each process to keep in memory")
        data = file.read()
    pages = Pages(data)
    return HashFile(pages) if pages.magic == HASH_MAGIC else BtreeFile(pages)


class Bdb(IndexFileTable):
    """A table in a .db file, until there is an .lmdb file."""

    def __init__(self, origin: Origin) -> None:
        """Open the file. Raises ConfigError."""
        super().__init__(origin, OLD_SUFFIX, f"run: {_maker(origin)} {origin.full_name}")
        self._origin = origin
        self._lmdb: Lmdb | None = None
        self._lmdb_path = origin.path + lmdb_table.SUFFIX
        self._lmdb_watch = FileWatch(self._lmdb_path)

    def _open(self, *, wait: bool) -> IndexFile:
        return read_bdb(self.path, wait=wait)

    def get(self, key: str) -> str | None:
        """Give the value of a key, or None. Raises TableError."""
        if self._lmdb is None and self._lmdb_watch.changed():
            self._change_over()
        if self._lmdb is not None:
            return self._lmdb.get(key)
        return super().get(key)

    def items(self) -> Iterator[tuple[str, str]]:
        """Give all entries, in the order of the file. Raises TableError."""
        return super().items() if self._lmdb is None else self._lmdb.items()

    def poll(self) -> None:
        """Look now whether the file is another, or an .lmdb file has come."""
        if self._lmdb is None and self._lmdb_watch.changed(now=True):
            self._change_over()
        if self._lmdb is None:
            super().poll()
            return
        before = self._lmdb.generation
        self._lmdb.poll()
        self.generation += self._lmdb.generation - before

    def close(self) -> None:
        """Close the file."""
        super().close()
        if self._lmdb is not None:
            self._lmdb.close()

    def _store(self, key: str, value: str) -> None:
        self._writable().put(key, value)

    def _remove(self, key: str) -> bool:
        if self._find(key) is None:
            return False
        return self._writable().delete(key)

    def _find(self, key: str) -> str | None:
        return super()._find(key) if self._lmdb is None else self._lmdb.get(key)

    def _writable(self) -> Lmdb:
        """Make the .lmdb file with what is in the .db file. Raises TableError."""
        if self._lmdb is None:
            try:
                mode = os.stat(self.path).st_mode & 0o777
                if not os.path.exists(self._lmdb_path):
                    lmdb_table.write_all(self._lmdb_path, dict(self.items()), mode=mode)
            except OSError as error:
                raise TableError(f"{self.name}: {self._lmdb_path}: {error.strerror}") from None
            self._change_over()
        if self._lmdb is None:
            raise TableError(f"{self.name}: {self._lmdb_path} cannot be opened")
        return self._lmdb

    def _change_over(self) -> None:
        """Take the .lmdb file that has come from now on."""
        self._lmdb_watch.accept()
        try:
            self._lmdb = lmdb_table.open_table(self._origin)
        except ConfigError as error:
            if is_file_out_of_reach(self._lmdb_path):
                ask_for_successor(f"{self.name} was made anew")
                return
            log.warning(f"{self.name}: {error.why}; {self.path} stays in use")
            return
        self.generation += 1


def _maker(origin: Origin) -> str:
    return "postalias" if os.path.basename(origin.name) == "aliases" else "postmap"


def open_table(origin: Origin) -> Lmdb | Bdb:
    """Open hash:/path or btree:/path. Raises ConfigError."""
    indexed, old = origin.path + lmdb_table.SUFFIX, origin.path + OLD_SUFFIX
    if not os.path.exists(indexed) and os.path.exists(old):
        return Bdb(origin)
    with contextlib.suppress(OSError):
        if os.stat(old).st_mtime > os.stat(indexed).st_mtime:
            log.warning(
                f"{origin.full_name}: {indexed} is used, though {old} is newer; "
                f"if that is the one that is meant, run: {_maker(origin)} {origin.full_name}"
            )
    return lmdb_table.open_table(origin)
