"""A store file and its log as pages, read without SQLite: for what SQLite refuses to read.

Page 1 names what it needs to read anything; the tables of a store begin on the same pages in every store, so a page 1
that is damaged can be taken from an empty one. What cannot be reached because a page above it in its tree is damaged
is found by looking at every page: the number of a row's columns tells which table it belongs to. Pages that were given
back hold rows that were removed; they are on the list of free pages, and when that cannot be read, rows that are found
in this way are doubtful. Source: sqlite.org fileformat2.html.
"""

import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from posthouse.queue.sqlite.log import PAGE_SIZE, checksum, read_log
from posthouse.queue.sqlite.schema import APPLICATION_ID, WITHOUT_CHECKSUMS

Value = int | float | str | bytes | None
_TABLES: Final = {11: "message", 16: "recipient", 2: "content", 7: "ledger"}  # by number of columns
_LEAF: Final = 13  # a page with rows
_HEADER_SIZE: Final = 100  # octets before page 1's own header
_AT_RESERVED, _AT_FREE, _AT_VERSION, _AT_IDENTITY = 20, 32, 60, 68
_MAGIC: Final = b"SQLite format 3\0"
_CHECKSUM_SIZE: Final = 8
_IDENTITIES: Final = ((APPLICATION_ID, _CHECKSUM_SIZE), (WITHOUT_CHECKSUMS, 0))
_SUMS: Final = struct.Struct("<II")
_INTEGERS: Final = (0, 1, 2, 3, 4, 6, 8)  # octets of a number, by its type in a row


class Row(NamedTuple):
    """A row found on a page."""

    table: str
    key: int
    values: list[Value]


class Image:
    """The pages of a store as its last commit left them. Raises OSError when made."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.log = read_log(path + "-wal")
        self._log_file = os.open(path + "-wal", os.O_RDONLY | os.O_CLOEXEC) if self.log.pages else -1
        self.size = self.log.size or -(-os.fstat(self._file).st_size // PAGE_SIZE)
        first = os.pread(self._file, PAGE_SIZE, 0)
        self.is_first_whole = _is_whole(first) and first.startswith(_MAGIC) and first[_AT_RESERVED] == _CHECKSUM_SIZE
        self.has_checksums = self.is_first_whole or any(map(self._has_checksum, range(2, min(self.size, 32) + 1)))
        known = self.page(1)
        self.version = None if known is None else int.from_bytes(known[_AT_VERSION : _AT_VERSION + 4], "big")
        self.usable = PAGE_SIZE - (_CHECKSUM_SIZE if self.has_checksums else 0)

    def close(self) -> None:
        """Give the files back."""
        os.close(self._file)
        if self._log_file >= 0:
            os.close(self._log_file)

    def _has_checksum(self, number: int) -> bool:
        octets = os.pread(self._file, PAGE_SIZE, (number - 1) * PAGE_SIZE)
        return len(octets) == PAGE_SIZE and any(octets) and _is_whole(octets)

    def from_log(self, number: int) -> bytes | None:
        """Read a page that is in the log; None: it is not."""
        offset = self.log.pages.get(number)
        return None if offset is None else os.pread(self._log_file, PAGE_SIZE, offset)

    def page(self, number: int) -> bytes | None:
        """Read a page; None: it is damaged."""
        if number in self.log.lost or not 0 < number <= self.size:
            return None
        octets = self.from_log(number)
        if octets is None:
            try:
                octets = os.pread(self._file, PAGE_SIZE, (number - 1) * PAGE_SIZE)
            except OSError:
                return None
            if len(octets) < PAGE_SIZE or (self.has_checksums and not _is_whole(octets)):
                return None
            if number == 1 and not _is_first(octets):
                return None
        return octets

    def free_pages(self) -> set[int] | None:
        """Read the list of pages that hold nothing; None: it cannot be read."""
        first = self.page(1)
        free: set[int] = set()
        trunk = -1 if first is None else int.from_bytes(first[_AT_FREE : _AT_FREE + 4], "big")
        while trunk:
            octets = self.page(trunk) if trunk not in free else None
            if octets is None:
                return None
            free.add(trunk)
            trunk, count = struct.unpack_from(">II", octets)
            if count > self.usable // 4 - 2:
                return None
            free.update(struct.unpack_from(f">{count}I", octets, 8))
        return free

    def rows(self, free: set[int]) -> Iterator[Row]:
        """Find every row on the pages that are not free and not damaged."""
        for number in range(1, self.size + 1):
            octets = None if number in free else self.page(number)
            if octets is not None:
                yield from self._rows_of(octets, _HEADER_SIZE if number == 1 else 0)

    def _rows_of(self, octets: bytes, start: int) -> Iterator[Row]:
        if octets[start] != _LEAF:
            return
        count = int.from_bytes(octets[start + 3 : start + 5], "big")
        if start + 8 + 2 * count > self.usable:
            return
        for (offset,) in struct.iter_unpack(">H", octets[start + 8 : start + 8 + 2 * count]):
            try:
                row = self._row(octets, offset)
            except (IndexError, struct.error):  # an overflow page, which looks like anything
                continue
            if row is not None:
                yield row

    def _row(self, octets: bytes, offset: int) -> Row | None:
        length, offset = _varint(octets, offset)
        key, offset = _varint(octets, offset)
        payload = self._payload(octets, offset, length)
        if payload is None:
            return None
        end, at = _varint(payload, 0)
        types: list[int] = []
        while at < end:
            kind, at = _varint(payload, at)
            types.append(kind)
        table = _TABLES.get(len(types))
        if table is None or at != end:
            return None
        values = list(_values(payload, types, at))
        values[0] = key  # the key is not stored twice
        return Row(table, key, values)

    def _payload(self, octets: bytes, offset: int, length: int) -> bytes | None:
        """A row's octets, those on further pages included; None: one of these is damaged."""
        here = _on_leaf(length, self.usable)
        if length > self.size * PAGE_SIZE or offset + here > self.usable:
            return None
        parts = [octets[offset : offset + here]]
        if here == length:
            return parts[0]
        following = int.from_bytes(octets[offset + here : offset + here + 4], "big")
        left = length - here
        while left > 0:
            page = self.page(following)
            if page is None:
                return None
            following = int.from_bytes(page[:4], "big")
            parts.append(page[4 : min(self.usable, 4 + left)])
            left -= len(parts[-1])
        return b"".join(parts)


def first_page_problem(path: str) -> str:
    """Say what is wrong with a store's first page, on which all reading depends; empty: nothing. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        first = os.pread(descriptor, PAGE_SIZE, 0)
    finally:
        os.close(descriptor)
    if not _is_first(first):
        return "the file holds no store"
    if first[_AT_RESERVED] and not _is_whole(first) and not _logged(path):
        return "the first page is damaged"
    return ""


def _is_first(octets: bytes) -> bool:
    """Whether this is the first page of a store, with checksums or of a time without."""
    identity = int.from_bytes(octets[_AT_IDENTITY : _AT_IDENTITY + 4], "big")
    return octets.startswith(_MAGIC) and (identity, octets[_AT_RESERVED]) in _IDENTITIES


def _logged(path: str) -> bool:
    """Whether page 1 is in the log: a crash in the middle of copying it is not damage."""
    image = Image(path)
    try:
        return image.from_log(1) is not None
    finally:
        image.close()


def _on_leaf(length: int, usable: int) -> int:
    """How many octets of a row are on its own page."""
    most = usable - 35
    if length <= most:
        return length
    least = (usable - 12) * 32 // 255 - 23
    found = least + (length - least) % (usable - 4)
    return found if found <= most else least


def _is_whole(octets: bytes) -> bool:
    """Whether a page's checksum is its own."""
    end = PAGE_SIZE - _CHECKSUM_SIZE
    return len(octets) == PAGE_SIZE and checksum(octets[:end]) == _SUMS.unpack(octets[end:])


def _varint(octets: bytes, at: int) -> tuple[int, int]:
    """SQLite's numbers of one to nine octets; returns the number and where the next thing begins."""
    value = 0
    for count in range(9):
        octet = octets[at + count]
        value = value << 8 | octet if count == 8 else value << 7 | octet & 0x7F
        if octet < 0x80:
            break
    return value - (1 << 64) if value >> 63 else value, at + count + 1


def _values(payload: bytes, types: list[int], at: int) -> Iterator[Value]:
    for kind in types:
        size = _INTEGERS[kind] if kind < 7 else 8 if kind == 7 else 0 if kind < 12 else (kind - 12) // 2
        octets = payload[at : at + size]
        if len(octets) < size:
            raise IndexError("the row is shorter than it says")
        at += size
        if kind == 0:
            yield None
        elif kind == 7:
            yield float(struct.unpack(">d", octets)[0])
        elif kind < 12:
            yield kind - 8 if kind >= 8 else int.from_bytes(octets, "big", signed=True)
        else:
            yield octets.decode("utf-8", "surrogateescape") if kind & 1 else octets
