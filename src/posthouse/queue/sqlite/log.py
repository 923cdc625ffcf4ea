"""SQLite's log (`-wal`) as octets: what of it is whole, and whether something acknowledged lies behind a damaged place.

SQLite reads a log up to the first frame that does not fit, and takes the rest for a transaction that a crash cut
short. That is right after a power cut, for a transaction is synced before the next one is written. So when a *later*
transaction lies behind the place, the place was synced once and has changed since: the log is damaged, and what
follows was acknowledged. Here each frame is judged by itself: its checksum continues the one before it, and both what
that frame says of itself and what its octets give can be continued.
Source: sqlite.org fileformat2.html section 4.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

PAGE_SIZE: Final = 4096  # bytes; docs/adr/0004 has the comparison
_HEADER: Final = struct.Struct(">IIII8s8s")  # magic, version, page size, sequence, salts, checksum
_FRAME: Final = struct.Struct(">II8s8s")  # page, size of the file after a commit or 0, salts, checksum
FRAME_SIZE: Final = _FRAME.size + PAGE_SIZE
_MAGIC: Final = 0x377F0682  # its last bit tells the order of octets in checksums
_AS_STORED: Final = struct.Struct(">II")  # checksums themselves
_STRANGE: Final = 64  # frames in a row that do not fit: there the log ends
_MASK: Final = 0xFFFFFFFF
Sums = tuple[int, int]


class Log(NamedTuple):
    """What a log says, as far as it can be believed."""

    pages: dict[int, int]  # number of a page: offset of its last version
    lost: frozenset[int]  # pages whose last version is damaged
    size: int  # of the store file in pages after the last commit; 0: there is none


def checksum(octets: bytes, start: Sums = (0, 0), *, big_endian: bool = False) -> Sums:
    """SQLite's checksum of octets, whose length is a multiple of eight; of log frames, and of pages (layer.py)."""
    first, second = start
    words = iter(struct.unpack(f"{'>' if big_endian else '<'}{len(octets) // 4}I", octets))
    for even, odd in zip(words, words, strict=True):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return first, second


class _Reader:
    """The frames of one log, by number from 0."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        header = os.pread(descriptor, _HEADER.size, 0).ljust(_HEADER.size, b"\0")
        magic, _, page_size, _, self._salts, stored = _HEADER.unpack(header)
        self._big_endian = bool(magic & 1)
        self.start: Sums = _AS_STORED.unpack(stored)
        self.is_whole = (
            magic & ~1 == _MAGIC and page_size == PAGE_SIZE and self._sums(header[:24], (0, 0)) == self.start
        )
        self.count = max(0, os.fstat(descriptor).st_size - _HEADER.size) // FRAME_SIZE
        if not self.is_whole and self.count:  # what the first frame says must do
            self._salts = self._header(0)[2]

    def _sums(self, octets: bytes, start: Sums) -> Sums:
        return checksum(octets, start, big_endian=self._big_endian)

    def _header(self, number: int) -> tuple[int, int, bytes, bytes]:
        return _FRAME.unpack(os.pread(self._descriptor, _FRAME.size, self.offset(number) - _FRAME.size))

    @staticmethod
    def offset(number: int) -> int:
        """Where a frame's page begins in the file."""
        return _HEADER.size + number * FRAME_SIZE + _FRAME.size

    def said(self, number: int) -> tuple[int, int, Sums]:
        """A frame's page, its size after a commit, and the checksum it claims."""
        page, size, _, stored = self._header(number)
        return page, size, _AS_STORED.unpack(stored)

    def is_ours(self, number: int) -> bool:
        """Whether the frame was written since the log began anew."""
        return bool(self._header(number)[2] == self._salts)

    def sums(self, number: int, start: Sums) -> Sums:
        """The checksum that the frame's octets give, as the one after `start`."""
        octets = os.pread(self._descriptor, FRAME_SIZE, self.offset(number) - _FRAME.size)
        return self._sums(octets[:8] + octets[_FRAME.size :], start)

    def follows(self, number: int, start: Sums) -> bool:
        """Whether the frame's checksum continues `start`."""
        return self.sums(number, start) == self.said(number)[2]


def is_cut_short(path: str, read: int) -> bool:
    """Whether acknowledged transactions lie behind the frames that SQLite read from the log; takes milliseconds.

    read: how many frames those are. Raises OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        log = _Reader(descriptor)
        return (log.count > 0 and not log.is_whole) or _goes_on(log, read)
    finally:
        os.close(descriptor)


def is_too_short(path: str, pages: int, read: int) -> bool:
    """Whether a store file lacks pages that are not in its log either; SQLite would take them for zeros.

    pages: how many the store has; read: frames that SQLite read from the log. Raises OSError.
    """
    there = os.stat(path).st_size // PAGE_SIZE
    if there >= pages:
        return False
    logged: set[int] = set()
    with suppress(FileNotFoundError):
        descriptor = os.open(path + "-wal", os.O_RDONLY | os.O_CLOEXEC)
        try:
            log = _Reader(descriptor)
            logged.update(log.said(number)[0] for number in range(min(read, log.count)))
        finally:
            os.close(descriptor)
    return any(page not in logged for page in range(there + 1, pages + 1))


def _goes_on(log: _Reader, read: int) -> bool:
    """Whether a transaction follows another one behind frame `read`."""
    commit: Sums | None = None
    strange = 0
    for number in range(read, log.count):
        if not log.is_ours(number):
            strange += 1
            if strange > _STRANGE:
                return False
            continue
        if commit is not None and log.follows(number, commit):
            return True
        _, size, said = log.said(number)
        commit = said if size else None
    return False


def read_log(path: str) -> Log:
    """Read every frame up to the last transaction that is whole, or that another one follows. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Log({}, frozenset(), 0)
    try:
        return _gather(_Reader(descriptor))
    finally:
        os.close(descriptor)


def _gather(log: _Reader) -> Log:
    pages: dict[int, int] = {}
    lost: set[int] = set()
    size = committed = 0
    pending: list[tuple[int, int, bool]] = []  # of a transaction that may not count: page, offset, good
    may_count = False  # pending ends with a commit, but not all of it is good: it counts if something follows
    for number, is_good in _judged(log):
        if may_count and is_good:
            size = committed
            _take(pending, pages, lost)
        page, after, _ = log.said(number)
        pending.append((page, log.offset(number), is_good))
        may_count = bool(after) and is_good
        committed = after
        if may_count and all(good for _, _, good in pending):
            size = committed
            _take(pending, pages, lost)
            may_count = False
    return Log(pages, frozenset(lost), size)


def _take(pending: list[tuple[int, int, bool]], pages: dict[int, int], lost: set[int]) -> None:
    """Let these frames count, and empty the list."""
    for page, offset, is_good in pending:
        if is_good:
            pages[page] = offset
            lost.discard(page)
        else:
            pages.pop(page, None)
            lost.add(page)
    pending.clear()


def _judged(log: _Reader) -> Iterator[tuple[int, bool]]:
    """Give each frame's number and whether its octets are as they were written."""
    said = computed = log.start
    strange = 0
    for number in range(log.count):
        claim = log.said(number)[2]
        sums = log.sums(number, said)
        if claim != sums and computed != said:  # the one before may claim what it never was
            other = log.sums(number, computed)
            sums = other if other == claim else sums
        is_good = claim == sums and log.is_ours(number)
        if not is_good and number + 1 < log.count and log.is_ours(number + 1):
            is_good = log.follows(number + 1, sums)  # only what it says of itself has changed
        strange = 0 if is_good or log.is_ours(number) else strange + 1
        if strange > _STRANGE:
            return
        yield number, is_good
        said, computed = claim, sums
