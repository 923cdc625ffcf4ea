"""cdb: tables: NAME.cdb, a constant database as postmap(1) writes it. Such a file is only ever replaced as a whole.

Format: 256 pairs (place, slots) of hash tables; the entries (length of key, length of value, key, value); the hash
tables, whose slots are (hash, place of the entry), a place of 0 being free. Numbers have 32 bits, least octet first.
Read with pread(2) and not from a mapping: who copies over a file in place would else kill the reader (SIGBUS), and two
short reads cost little more. Keys and values are written without a final NUL, and read with one as well.
Sources: cdb(5), D. J. Bernstein's description of the format; CDB_README.
"""

import contextlib
import os
import struct
from collections.abc import Iterator, Mapping
from typing import Final

from posthouse.tables.file_table import Origin
from posthouse.tables.index_file import DamagedError, IndexFile, IndexFileTable
from posthouse.util.errors import TableError

SUFFIX: Final = ".cdb"
MAX_SIZE: Final = 0xFFFFFFFF  # bytes, of the whole file
_TABLES: Final = 256
_HEAD_SIZE: Final = 8 * _TABLES
_PAIR: Final = struct.Struct("<II")
_READ_AHEAD: Final = 256  # bytes, for a value that is likely to be short
_SLOTS_AT_ONCE: Final = 8
_DIGITS: Final = 32  # octets that are hashed before the number is cut to 32 bits


def cdb_hash(key: bytes) -> int:
    """Give the hash of a key."""
    value = 5381
    for at in range(0, len(key), _DIGITS):
        for octet in key[at : at + _DIGITS]:
            value = (
                value * 33 ^ octet
            )  # what overflows cannot come down again, and is cut off less often than it arises
        value &= 0xFFFFFFFF
    return value


class CdbFile:
    """An open file."""

    def __init__(self, path: str) -> None:
        """Open it and read the places of its hash tables. Raises OSError, DamagedError."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._read_head()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _read_head(self) -> None:
        self._size = os.fstat(self._descriptor).st_size
        if self._size > MAX_SIZE:
            raise DamagedError(f"{self._size} bytes are more than a cdb file can have")
        self._tables = list(_PAIR.iter_unpack(self._read(0, _HEAD_SIZE)))
        if any(place < _HEAD_SIZE or place + 8 * slots > self._size for place, slots in self._tables):
            raise DamagedError("a hash table lies outside of the file")
        self._end = min(place for place, _ in self._tables)

    def get(self, key: bytes) -> bytes | None:
        """Give the value of a key, or None. Raises DamagedError, OSError."""
        wanted = cdb_hash(key)
        place, slots = self._tables[wanted % _TABLES]
        if not slots:
            return None
        first = (wanted >> 8) % slots
        hashed, entry = self._slot(place + 8 * first)
        if not entry:
            return None  # so it is for most keys that are not there
        if hashed == wanted:  # and so for most that are
            value = self._value(entry, key)
            if value is not None:
                return value
        return self._get_further(wanted, key, place, slots)

    def _get_further(self, wanted: int, key: bytes, place: int, slots: int) -> bytes | None:
        """Look at all slots of a hash table, from the first that may be the key's."""
        first = (wanted >> 8) % slots
        for start, count in ((first, slots - first), (0, first)):
            for hashed, entry in self._slots(place + 8 * start, count):
                if not entry:
                    return None
                if hashed == wanted:
                    value = self._value(entry, key)
                    if value is not None:
                        return value
        return None

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Give all entries, in the order in which they were written. Raises DamagedError, OSError."""
        at = _HEAD_SIZE
        while at < self._end:
            key_length, value_length = _PAIR.unpack(self._read(at, 8))
            at += 8
            text = self._read(at, key_length + value_length)
            at += len(text)
            yield text[:key_length], text[key_length:]

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _slot(self, place: int) -> tuple[int, int]:
        try:
            found: tuple[int, int] = _PAIR.unpack(os.pread(self._descriptor, 8, place))
        except struct.error:
            raise DamagedError(f"the file ends before {place + 8}") from None
        return found

    def _slots(self, place: int, count: int) -> Iterator[tuple[int, int]]:
        """Give slots, a few at a time: mostly the first one decides."""
        while count > 0:
            some = min(count, _SLOTS_AT_ONCE)
            yield from _PAIR.iter_unpack(self._read(place, 8 * some))
            place += 8 * some
            count -= some

    def _value(self, entry: int, key: bytes) -> bytes | None:
        """Give the value of the entry at a place, if it is the key's."""
        ahead = os.pread(self._descriptor, 8 + len(key) + _READ_AHEAD, entry)
        if len(ahead) < 8:
            raise DamagedError(f"there is no entry at {entry}")
        key_length, value_length = _PAIR.unpack_from(ahead)
        if key_length != len(key) or not ahead.startswith(key, 8):
            return None
        start = 8 + key_length
        if start + value_length <= len(ahead):
            return ahead[start : start + value_length]
        return self._read(entry + start, value_length)

    def _read(self, place: int, length: int) -> bytes:
        if place + length > self._size:
            raise DamagedError(f"the file ends before {place + length}")
        data = os.pread(self._descriptor, length, place)
        if len(data) != length:
            raise DamagedError(f"the file ends before {place + length}")
        return data


class Cdb(IndexFileTable):
    """A table in a cdb file."""

    def _open(self, *, wait: bool) -> IndexFile:
        return CdbFile(self.path)


def write_all(path: str, contents: Mapping[str, str], *, nul: bool = False, mode: int = 0o644) -> None:
    """Make a file of these entries and rename it into its place. Raises TableError: too much for a cdb file; OSError.

    mode: of the file. nul: end keys and values in NUL.
    """
    end = b"\0" if nul else b""
    temporary = f"{path}.{os.getpid()}.new"
    with contextlib.ExitStack() as undo:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        undo.callback(_remove, temporary)
        with open(descriptor, "wb") as file:
            places: list[list[tuple[int, int]]] = [[] for _ in range(_TABLES)]
            file.write(bytes(_HEAD_SIZE))
            at = _HEAD_SIZE
            for key, value in contents.items():
                octets, text = _octets(key) + end, _octets(value) + end
                hashed = cdb_hash(octets)
                places[hashed % _TABLES].append((hashed, at))
                at += file.write(_PAIR.pack(len(octets), len(text)) + octets + text)
                if at + 16 * (len(contents) + 1) > MAX_SIZE:
                    raise TableError(f"{path}: more than {MAX_SIZE} bytes do not fit into a cdb file")
            head = bytearray()
            for some in places:
                head += _PAIR.pack(at, 2 * len(some))
                at += file.write(_hash_table(some))
            file.seek(0)
            file.write(head)
            file.flush()
            os.fsync(descriptor)
        os.rename(temporary, path)
        undo.pop_all()


def _hash_table(entries: list[tuple[int, int]]) -> bytes:
    slots = [(0, 0)] * (2 * len(entries))
    for hashed, at in entries:
        slot = (hashed >> 8) % len(slots)
        while slots[slot][1]:
            slot = (slot + 1) % len(slots)
        slots[slot] = hashed, at
    return b"".join(_PAIR.pack(*slot) for slot in slots)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def open_table(origin: Origin) -> Cdb:
    """Open cdb:/path. Raises ConfigError."""
    return Cdb(origin, SUFFIX)
