"""The pages of a file that Berkeley DB 4 or 5 wrote: what its hash and btree formats have in common.

All of the file is in memory (`data`), and each number in it is checked before it is used: a damaged file raises
DamagedError and nothing else, and no chain of pages is followed further than the file has pages. Files of either byte
order are read. Checksummed and encrypted files, which no mail system makes, are refused by name.
Sources: Berkeley DB's published header files db_page.h (page layouts) and db.h; the files that libdb5.3 writes.
"""

import struct
from typing import Final, NamedTuple

from posthouse.tables.index_file import DamagedError

HASH_MAGIC: Final = 0x061561
BTREE_MAGIC: Final = 0x053162
QUEUE_MAGIC: Final = 0x042253
# Page types
UNUSED: Final = 0  # set aside, and not written to yet
INTERNAL: Final = 3
LEAF: Final = 5
OVERFLOW: Final = 7
HASH_UNSORTED: Final = 2
HASH_SORTED: Final = 13

HEADER_SIZE: Final = 26  # bytes of a page before the places of its items
META_SIZE: Final = 512  # bytes of the first page that mean something
_VERSIONS: Final = {HASH_MAGIC: range(7, 11), BTREE_MAGIC: range(8, 11)}
_PAGE_SIZES: Final = frozenset(512 << power for power in range(8))
_CHECKSUM: Final = 0x01  # in the first page's flags


class Page(NamedTuple):
    """The head of one page."""

    base: int  # where it begins in the file
    following: int  # number of the next page in its chain; 0: none
    entries: int
    length: int  # of the octets on an overflow page
    type: int


class Pages:
    """A file as pages. `magic` tells the format."""

    def __init__(self, data: bytes) -> None:
        """Read the first page. Raises DamagedError: no file of a kind that is read here."""
        if len(data) < META_SIZE:
            raise DamagedError(f"{len(data)} bytes are no Berkeley DB file")
        self.data = data
        self.order = next((order for order in "<>" if struct.unpack_from(order + "I", data, 12)[0] in _VERSIONS), "")
        if not self.order:
            what = "a Berkeley DB queue" if _is_queue(data) else "not a Berkeley DB hash or btree file"
            raise DamagedError(what)
        self.magic, version, self.size = self.numbers("III", 12)
        encryption, _, flags = data[24], data[25], data[26]
        if version not in _VERSIONS[self.magic]:
            raise DamagedError(f"Berkeley DB format version {version} is not read here")
        if encryption or flags & _CHECKSUM:
            raise DamagedError("encrypted and checksummed Berkeley DB files are not read here")
        if self.size not in _PAGE_SIZES:
            raise DamagedError(f"page size {self.size}")
        self.count = len(data) // self.size
        self._head = struct.Struct(self.order + "IIIHHBB")

    def numbers(self, form: str, at: int) -> tuple[int, ...]:
        """Read numbers (form: letters of the struct module) at an offset. Raises DamagedError."""
        try:
            return struct.unpack_from(self.order + form, self.data, at)
        except struct.error:
            raise DamagedError(f"the file ends before offset {at}") from None

    def page(self, number: int) -> Page:
        """Read the head of a page. Raises DamagedError: there is no such page."""
        if not 0 < number < self.count:
            raise DamagedError(f"there is no page {number}")
        base = number * self.size
        own, _, following, entries, length, _, kind = self._head.unpack_from(self.data, base + 8)
        if own != number and (own or kind != UNUSED):
            raise DamagedError(f"page {number} says that it is page {own}")
        if entries * 2 + HEADER_SIZE > self.size and kind != OVERFLOW:
            raise DamagedError(f"page {number} cannot hold {entries} items")
        return Page(base, following, entries, length, kind)

    def places(self, page: Page) -> tuple[int, ...]:
        """Give where the items of a page begin, counted from the page."""
        return self.numbers(f"{page.entries}H", page.base + HEADER_SIZE)

    def within(self, page: Page, place: int, length: int) -> int:
        """Give the offset in the file of `length` octets at a place in a page. Raises DamagedError: not all there."""
        if place < HEADER_SIZE or place + length > self.size:
            raise DamagedError(f"an item lies outside of page {page.base // self.size}")
        return page.base + place

    def overflow(self, number: int, total: int) -> bytes:
        """Put together `total` octets that did not fit on a page. Raises DamagedError."""
        parts, have = list[bytes](), 0
        for _ in range(self.count):
            page = self.page(number)
            if page.type != OVERFLOW:
                raise DamagedError(f"page {number} is not a part of a long item")
            at = self.within(page, HEADER_SIZE, page.length)
            parts.append(self.data[at : at + page.length])
            have += page.length
            number = page.following
            if number == 0 or have > total:
                break
        if number != 0 or have != total:
            raise DamagedError("a long item is not as long as it should be")
        return b"".join(parts)


def _is_queue(data: bytes) -> bool:
    return any(struct.unpack_from(order + "I", data, 12)[0] == QUEUE_MAGIC for order in "<>")
