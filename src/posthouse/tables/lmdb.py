"""lmdb: tables (and hash:, btree:, which are kept in the same format): NAME.lmdb, as Postfix's postmap(1) writes it.

Keys and values end in one NUL octet; a reader takes them without as well. Only engine 0.9 is used (lib_version=0):
the format of 1.0 is another one. Postfix keeps no LMDB lock file and locks the data file with fcntl instead, so LMDB's
table of readers does not exist. Readers here take no lock at all, because two system calls would cost more than the
lookup and a writer would stop the event loop: a snapshot stays intact while the next transaction is written *and* the
one after it, so it is enough to see, after the lookup, that not two were committed meanwhile. That is read from the
file's two meta pages, which are mapped here a second time.

A writer holds the exclusive lock and commits everything in one transaction: readers see the old table or the new one.
Sources: lmdb_table(5), LMDB_README; LMDB 0.9 mdb.c (MDB_meta) for the place of the transaction numbers.
"""

import contextlib
import fcntl
import mmap
import os
import struct
import time
from collections.abc import Iterable, Iterator
from typing import Final

import lmdb
import lmdb._envid  # it would import this at the first open, when nothing can be imported any more

from posthouse.config.index_files import OLD_SUFFIX
from posthouse.tables.file_table import Origin
from posthouse.tables.source import decode
from posthouse.tables.table import TableFlags, WritableTable
from posthouse.tables.watch import FileWatch
from posthouse.util import log
from posthouse.util.errors import ConfigError, TableError
from posthouse.util.successor import ask_for_successor, is_file_out_of_reach

SUFFIX: Final = ".lmdb"
STALE_AFTER_S: Final = 100  # a source text newer than its table is remarked on when it has been so for this long
MAX_TRIES: Final = 10  # lookups repeated because the table was committed twice meanwhile
MAP_SIZE: Final = 16 * 1024 * 1024  # bytes; postconf(5): lmdb_map_size
_GROWTH: Final = 2  # factor when a table is full
_TXNID: Final = struct.Struct("<Q")
_TXNID_AT: Final = 144  # in a page: 16 octets of page header, then MDB_meta with mm_txnid as its last member


def as_octets(text: str) -> bytes:
    """Turn a key or value into what stands in the file, without the final NUL."""
    return text.encode("utf-8", "surrogateescape")


class Environment:
    """One open file. LMDB must not have a file open twice in one process, so tables share it (see `share`)."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.users = 0
        self._open()

    def _open(self) -> None:
        path = self.path
        self.env = lmdb.open(path, subdir=False, readonly=True, lock=False, max_dbs=0, create=False, lib_version=0)
        self._begin = self.env.begin
        page_size = self.env.stat()["psize"]
        with open(path, "rb") as file:
            self._meta = mmap.mmap(file.fileno(), 2 * page_size, prot=mmap.PROT_READ)
        self._second = page_size + _TXNID_AT
        self._transaction = self._begin()
        if self.committed() != self.env.info()["last_txnid"]:
            raise lmdb.InvalidError(f"{path}: transaction numbers are not where LMDB 0.9 keeps them")

    def committed(self) -> int:
        """Give the number of the newest transaction."""
        first: int
        second: int
        (first,) = _TXNID.unpack_from(self._meta, _TXNID_AT)
        (second,) = _TXNID.unpack_from(self._meta, self._second)
        return max(second, first)

    def get(self, key: bytes) -> bytes | None:
        """Look up one key in the newest snapshot."""
        for _ in range(MAX_TRIES):
            number = self.committed()
            if self._transaction.id() != number:
                self._renew()
            try:
                value: bytes | None = self._transaction.get(key)
            except lmdb.Error:
                if self.committed() == number:
                    raise
                continue  # a page of the snapshot was written over; the next one is whole
            if self.committed() - number < 2:
                return value
        raise TableError(f"{self.path}: is being written to all the time")

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Give everything, in key order."""
        self._renew()
        with self._transaction.cursor() as cursor:
            yield from cursor

    def _renew(self) -> None:
        self._transaction.abort()
        try:
            self._transaction = self._begin()
        except lmdb.MapResizedError:  # the writer needed more room than we have mapped
            self.env.set_mapsize(0)
            self._transaction = self._begin()

    def close(self) -> None:
        """Close the file."""
        self._transaction.abort()
        self._meta.close()
        self.env.close()

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Close the file for a while, so that this process can write to it."""
        self.close()
        try:
            yield
        finally:
            self._open()


_shared: Final[dict[tuple[int, int], Environment]] = {}  # by device and inode: the one thing LMDB wants process-wide


def _share(path: str) -> Environment:
    status = os.stat(path)
    key = (status.st_dev, status.st_ino)
    environment = _shared.get(key)
    if environment is None:
        environment = _shared[key] = Environment(path)
    environment.users += 1
    return environment


def _release(environment: Environment) -> None:
    environment.users -= 1
    if environment.users == 0:
        for key, other in list(_shared.items()):
            if other is environment:
                del _shared[key]
        environment.close()


class Lmdb(WritableTable):
    """A table in a file. An update by postmap is seen at once; a file renamed into its place within a second."""

    def __init__(self, origin: Origin) -> None:
        """Open the file. Raises ConfigError: it is missing or no LMDB file."""
        super().__init__(origin.full_name, origin.flags)
        self._path = table_path(origin)
        self._watch = FileWatch(self._path)
        try:
            self._environment = _share(self._path)
        except (lmdb.Error, OSError) as error:
            raise ConfigError(_opening(origin, error), file=self._path) from None
        self._committed = self._environment.committed()
        self._ends_in_nul: bool | None = None  # not known yet
        _remark_on_age(self._path, origin.path)

    def get(self, key: str) -> str | None:
        """Give the value of a key, or None. Raises TableError."""
        if self._watch.changed():
            self._look()
        return super().get(key)

    def _find(self, key: str) -> str | None:
        octets = key.encode("utf-8", "surrogateescape")
        try:
            value = None
            if self._ends_in_nul is not False:
                value = self._environment.get(octets + b"\0")
            if value is None and self._ends_in_nul is not True and "\0" not in key:
                value = self._environment.get(octets)
                if value is not None:
                    self._ends_in_nul = False
            elif value is not None and self._ends_in_nul is None:
                self._ends_in_nul = True
        except lmdb.BadValsizeError:
            return None  # empty, or longer than LMDB's keys can be: so it is not there
        except lmdb.Error as error:
            raise TableError(f"{self.name}: {error}") from None
        return None if value is None else decode(value.removesuffix(b"\0"))

    def items(self) -> Iterator[tuple[str, str]]:
        """Give all entries, in the order of the octets."""
        for key, value in self._environment.entries():
            yield decode(key.removesuffix(b"\0")), decode(value.removesuffix(b"\0"))

    def poll(self) -> None:
        """Look now for another file under the name, and for new transactions."""
        self._watch.changed(now=True)
        self._look()

    def close(self) -> None:
        """Close the file."""
        _release(self._environment)

    def _store(self, key: str, value: str) -> None:
        self._write([(key, value)])

    def _remove(self, key: str) -> bool:
        found = self._find(key) is not None
        if found:
            self._write([(key, None)])
        return found

    def _write(self, changes: list[tuple[str, str | None]]) -> None:
        if self._ends_in_nul is None:  # a file must not hold both forms: what is there decides
            self._ends_in_nul = next((key.endswith(b"\0") for key, _ in self._environment.entries()), None)
        try:
            update(self._path, changes, nul=self._ends_in_nul is not False)
        except OSError as error:
            raise TableError(f"{self.name}: {error.strerror}") from None

    def _look(self) -> None:
        if self._watch.is_another_file:
            try:
                fresh = _share(self._path)
            except (lmdb.Error, OSError) as error:
                log.warning(f"{self.name} was replaced and cannot be opened ({error}); the old table stays in use")
                self._watch.accept()
                if is_file_out_of_reach(self._path):
                    ask_for_successor(f"{self.name} was replaced")
                return
            _release(self._environment)
            self._environment = fresh
            self._ends_in_nul = None
            self.generation += 1
        self._watch.accept()
        committed = self._environment.committed()
        if committed != self._committed:
            self._committed = committed
            self._ends_in_nul = None
            self.generation += 1


def table_path(origin: Origin) -> str:
    """Give the file of a table. Raises ConfigError: hash: or btree:, and there is none."""
    path = origin.path + SUFFIX
    if origin.type == "lmdb":
        return path
    try:
        os.stat(path)
    except OSError as error:
        command = "postalias" if os.path.basename(origin.name) == "aliases" else "postmap"
        # Postfix's words: it names the file of that type, and so do its users' scripts.
        why = f"open database {origin.name}{OLD_SUFFIX}: {error.strerror}"
        remedy = f"run: {command} {origin.full_name}" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError(why, file=path, remedy=remedy) from None
    return path


def _opening(origin: Origin, error: Exception) -> str:
    why = error.strerror if isinstance(error, OSError) else str(error).rpartition(": ")[2]
    return f"open database {origin.name}{SUFFIX}: {why}"


def _remark_on_age(path: str, source: str) -> None:
    """Tell the administrator who edited the source text and forgot postmap."""
    with contextlib.suppress(OSError):
        table_time, source_time = os.stat(path).st_mtime, os.stat(source).st_mtime
        if table_time < source_time < time.time() - STALE_AFTER_S:
            log.warning(f"database {path} is older than source file {source}")


def update(path: str, changes: Iterable[tuple[str, str | None]], *, nul: bool = True) -> None:
    """Store entries in an existing file, or take them out (value None), in one transaction."""
    end = b"\0" if nul else b""
    wanted = [(as_octets(key) + end, None if value is None else as_octets(value) + end) for key, value in changes]
    _transact(path, wanted, fresh=False, size=os.stat(path).st_size)


def write_all(path: str, contents: dict[str, str], *, nul: bool = True, mode: int = 0o644) -> None:
    """Make the file hold just `contents`, in one transaction; a new file gets `mode`."""
    end = b"\0" if nul else b""
    wanted: list[tuple[bytes, bytes | None]] = [
        (as_octets(key) + end, as_octets(value) + end) for key, value in contents.items()
    ]
    wanted.sort()
    size = 2 * sum(len(key) + len(value or b"") + 16 for key, value in wanted)
    if os.path.exists(path):
        _transact(path, wanted, fresh=True, size=size)
        return
    temporary = f"{path}.{os.getpid()}.new"  # nobody shall find a file without content under the table's name
    try:
        _transact(temporary, wanted, fresh=True, size=size, mode=mode)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _transact(
    path: str, wanted: list[tuple[bytes, bytes | None]], *, fresh: bool, size: int, mode: int = 0o644
) -> None:
    """Hold Postfix's lock (fcntl, the whole file) and commit. Raises TableError, OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        status = os.fstat(descriptor)
        reader = _shared.get((status.st_dev, status.st_ino))
        with contextlib.nullcontext() if reader is None else reader.closed():
            _commit(path, descriptor, wanted, fresh=fresh, room=max(MAP_SIZE, _GROWTH * size))
    except lmdb.Error as error:
        raise TableError(f"{path}: {str(error).rpartition(': ')[2]}") from None
    finally:
        os.close(descriptor)


def _commit(path: str, descriptor: int, wanted: list[tuple[bytes, bytes | None]], *, fresh: bool, room: int) -> None:
    while True:
        # The lock is the process's, and closing any descriptor of the file gives it up: so it is taken again for each
        # try, and LMDB closes its own descriptor only when all is done.
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        env = lmdb.open(path, subdir=False, lock=False, max_dbs=0, map_size=room, lib_version=0)
        try:
            with env.begin(write=True) as transaction:
                if fresh:
                    transaction.drop(env.open_db(None, txn=transaction), delete=False)
                _apply(transaction, wanted, fresh=fresh)
        except lmdb.MapFullError:
            room *= _GROWTH
        else:
            return
        finally:
            env.close()


def _apply(transaction: lmdb.Transaction, wanted: list[tuple[bytes, bytes | None]], *, fresh: bool) -> None:
    if fresh:
        with transaction.cursor() as cursor:
            cursor.putmulti([(key, value or b"") for key, value in wanted], append=True)
        return
    for key, value in wanted:
        if value is None:
            transaction.delete(key)
        else:
            transaction.put(key, value)


def open_table(origin: Origin) -> Lmdb:
    """Open lmdb:/path, hash:/path or btree:/path. Raises ConfigError."""
    if origin.flags.value_is_file:
        # The file's values are base64 already: postmap -F has put it there.
        flags = TableFlags(origin.flags.fold, origin.flags.utf8)
        return Lmdb(Origin(origin.type, origin.name, flags, origin.base_dir))
    return Lmdb(origin)
