"""The btree format of Berkeley DB (versions 8 to 10), read only. Sources: as bdb_pages.py.

Keys are in the order of their octets. The first key of an internal page counts as smaller than any other.
"""

from collections.abc import Iterator
from typing import Final

from posthouse.tables.bdb_pages import INTERNAL, LEAF, Page, Pages
from posthouse.tables.index_file import DamagedError

_IN_PAGE: Final = 1  # kinds of items
_OFF_PAGE: Final = 3
_DELETED: Final = 0x80  # added to the kind
_MAX_LEVELS: Final = 255
_OFF_PAGE_SIZE: Final = 12


class BtreeFile:
    """A file of btree format."""

    def __init__(self, pages: Pages) -> None:
        """Find the root. Raises DamagedError."""
        self._pages = pages
        (self._root,) = pages.numbers("I", 88)
        pages.page(self._root)

    def get(self, key: bytes) -> bytes | None:
        """Give the value of a key, or None. Raises DamagedError."""
        number = self._root
        for _ in range(_MAX_LEVELS):
            page = self._pages.page(number)
            places = self._pages.places(page)
            if page.type == LEAF:
                return self._in_leaf(page, places, key)
            number = self._below(page, places, key)
        raise DamagedError("the tree has no leaves")

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Give all keys and values in the order of the keys. Raises DamagedError."""
        page = self._first_leaf()
        for _ in range(self._pages.count):
            places = self._pages.places(page)
            for index in range(0, len(places) - 1, 2):
                value = self._value(page, places[index + 1])
                if value is not None:
                    yield self._item(page, places[index]), value
            if page.following == 0:
                return
            page = self._pages.page(page.following)
            if page.type != LEAF:
                raise DamagedError("the chain of leaves leads elsewhere")
        raise DamagedError("the chain of leaves has no end")

    def close(self) -> None:
        """Let go of nothing: the file was closed when it had been read."""

    def _first_leaf(self) -> Page:
        number = self._root
        for _ in range(_MAX_LEVELS):
            page = self._pages.page(number)
            if page.type == LEAF:
                return page
            number = self._below(page, self._pages.places(page), b"")
        raise DamagedError("the tree has no leaves")

    def _below(self, page: Page, places: tuple[int, ...], key: bytes) -> int:
        """Give the page below an internal page that a key is on."""
        if page.type != INTERNAL or not places:
            raise DamagedError(f"page {page.base // self._pages.size} is of type {page.type}, not of a tree")
        low, high = 0, len(places)  # the last item whose key is not greater; the first is smaller than any
        while high - low > 1:
            middle = (low + high) // 2
            if self._internal_key(page, places[middle]) <= key:
                low = middle
            else:
                high = middle
        at = self._pages.within(page, places[low], 12)
        (number,) = self._pages.numbers("I", at + 4)
        return number

    def _internal_key(self, page: Page, place: int) -> bytes:
        pages = self._pages
        at = pages.within(page, place, 12)
        length, kind = pages.numbers("HB", at)
        if kind == _OFF_PAGE:
            pages.within(page, place, 12 + _OFF_PAGE_SIZE)
            return pages.overflow(*pages.numbers("II", at + 16))
        if kind != _IN_PAGE:
            raise DamagedError(f"an item is of kind {kind}, which mail systems do not write")
        pages.within(page, place, 12 + length)
        return pages.data[at + 12 : at + 12 + length]

    def _in_leaf(self, page: Page, places: tuple[int, ...], key: bytes) -> bytes | None:
        low, high = 0, len(places) // 2
        while low < high:
            middle = (low + high) // 2
            found = self._item(page, places[2 * middle])
            if found == key:
                return self._value(page, places[2 * middle + 1])
            if found < key:
                low = middle + 1
            else:
                high = middle
        return None

    def _value(self, page: Page, place: int) -> bytes | None:
        at = self._pages.within(page, place, 3)
        return None if self._pages.data[at + 2] & _DELETED else self._item(page, place)

    def _item(self, page: Page, place: int) -> bytes:
        pages = self._pages
        at = pages.within(page, place, 3)
        length, kind = pages.numbers("HB", at)
        if kind == _OFF_PAGE:
            pages.within(page, place, _OFF_PAGE_SIZE)
            return pages.overflow(*pages.numbers("II", at + 4))
        if kind & ~_DELETED != _IN_PAGE:
            raise DamagedError(f"an item is of kind {kind}, which mail systems do not write")
        pages.within(page, place, 3 + length)
        return pages.data[at + 3 : at + 3 + length]
