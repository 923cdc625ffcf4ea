"""The hash format of Berkeley DB (versions 7 to 10), read only.

A key's hash gives a bucket, a bucket a page, and pages of one bucket are chained. Items begin with an octet that tells
their kind; a key and its value are neighbours. Sources: as bdb_pages.py; the hash is FNV with multiplication first.
"""

from collections.abc import Iterator
from typing import Final

from posthouse.tables.bdb_pages import HASH_SORTED, HASH_UNSORTED, UNUSED, Page, Pages
from posthouse.tables.index_file import DamagedError

_PRIME: Final = 16777619
_IN_PAGE: Final = 1  # kind of an item: what follows is the text
_OFF_PAGE: Final = 3  # what follows says where the text is
_OFF_PAGE_SIZE: Final = 12
_CHECK: Final = b"%$sniglet^&\0"  # the file holds the hash of this, to tell which function was used
_SPARES: Final = 32  # numbers
_LONG: Final = 8  # a key longer than this part of a page may lie outside of its page


def fnv(key: bytes) -> int:
    """Give the hash of a key."""
    value = 0
    for octet in key:
        value = (value * _PRIME & 0xFFFFFFFF) ^ octet
    return value


class HashFile:
    """A file of hash format."""

    def __init__(self, pages: Pages) -> None:
        """Read the numbers of the first page. Raises DamagedError."""
        self._pages = pages
        self._last, self._high, self._low, _, _, check = pages.numbers("6I", 72)
        self._spares = pages.numbers(f"{_SPARES}I", 96)
        if check != fnv(_CHECK):
            raise DamagedError("a hash function of its own was used")
        if self._last >= pages.count:
            raise DamagedError(f"{pages.count} pages cannot hold {self._last + 1} buckets")

    def get(self, key: bytes) -> bytes | None:
        """Give the value of a key, or None. Raises DamagedError."""
        bucket = fnv(key) & self._high
        if bucket > self._last:
            bucket &= self._low
        pages, text = self._pages, bytes((_IN_PAGE,)) + key
        length = len(text)
        for page, places in self._chain(bucket):
            start, end = page.base + 26 + 2 * len(places), page.base + pages.size
            at = pages.data.find(text, start, end)
            while at >= 0:
                place = at - page.base
                if place in places:
                    index = places.index(place)
                    if index % 2 == 0 and _end(places, index, pages.size) - place == length:
                        return self._item(page, places, index + 1)
                at = pages.data.find(text, at + 1, end)
            if length > pages.size // _LONG:
                for index in range(0, len(places) - 1, 2):
                    at = pages.within(page, places[index], 1)
                    if pages.data[at] == _OFF_PAGE and self._item(page, places, index) == key:
                        return self._item(page, places, index + 1)
        return None

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Give all keys and values, bucket by bucket. Raises DamagedError."""
        seen = 0
        for bucket in range(self._last + 1):
            for page, places in self._chain(bucket):
                seen += 1
                if seen > self._pages.count:
                    raise DamagedError("a page is in the chains of several buckets")
                for index in range(0, len(places) - 1, 2):
                    yield self._item(page, places, index), self._item(page, places, index + 1)

    def close(self) -> None:
        """Let go of nothing: the file was closed when it had been read."""

    def _chain(self, bucket: int) -> Iterator[tuple[Page, tuple[int, ...]]]:
        spare = bucket.bit_length()
        if spare >= _SPARES:
            raise DamagedError(f"there is no bucket {bucket}")
        number = bucket + self._spares[spare]
        for _ in range(self._pages.count):
            page = self._pages.page(number)
            if page.type == UNUSED and not page.entries:
                return
            if page.type not in (HASH_SORTED, HASH_UNSORTED):
                raise DamagedError(f"page {number} is of type {page.type}, not of a hash")
            yield page, self._pages.places(page)
            number = page.following
            if number == 0:
                return
        raise DamagedError("a chain of pages has no end")

    def _item(self, page: Page, places: tuple[int, ...], index: int) -> bytes:
        if index >= len(places):
            raise DamagedError("a key has no value")
        pages, place = self._pages, places[index]
        length = _end(places, index, pages.size) - place
        if length < 1:
            raise DamagedError("an item ends before it begins")
        at = pages.within(page, place, length)
        kind = pages.data[at]
        if kind == _IN_PAGE:
            return pages.data[at + 1 : at + length]
        if kind == _OFF_PAGE and length == _OFF_PAGE_SIZE:
            return pages.overflow(*pages.numbers("II", at + 4))
        raise DamagedError(f"an item is of kind {kind}, which mail systems do not write")


def _end(places: tuple[int, ...], index: int, page_size: int) -> int:
    return places[index - 1] if index else page_size
