"""What an LDAP table takes from entries: values, and references to other entries, which are searched in turn.

An entry with a terminal attribute gives the values of that and nothing else. Leaf attributes count only in an entry
without special ones; these hold names (DN) or URLs of entries whose attributes belong to the result, in the place of
the reference. `recursion_limit` levels are searched, the key itself among them. Source: ldap_table(5).
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple

from posthouse.protocol.ldap.message import Entry
from posthouse.protocol.ldap.url import is_url, parse_url
from posthouse.util import log
from posthouse.util.errors import TableError

EVERYTHING: Final = "(objectClass=*)"
MAX_SEARCHES: Final = 10_000  # for one key
BASE: Final = 0


class Kind(Enum):
    """What an attribute is to the table."""

    RESULT = "its values are results"
    SPECIAL = "its values refer to other entries"
    LEAF = "its values are results of an entry that has no special attribute"
    TERMINAL = "its values are all the results of an entry that has it"


Kinds = Mapping[str, Kind]  # attributes, in small letters


class Wanted(NamedTuple):
    """A search that is to be made, and what its entries give. depth: 1 for what the key itself asks."""

    base: str
    scope: int
    filter: str
    kinds: Kinds
    depth: int


Find = Callable[[Wanted], Awaitable[Sequence[Entry]]]


class Gatherer:
    """Makes a search and all those that follow from it."""

    def __init__(self, name: str, kinds: Kinds, *, recursion_limit: int, value_limit: int) -> None:
        """name: the table's; value_limit: more values than this are not wanted, 0: all are."""
        self._name = name
        self._kinds = kinds
        self._recursion_limit = recursion_limit
        self._value_limit = value_limit

    async def gather(self, first: Wanted, find: Find) -> list[str]:
        """Give all values in order. Raises TableError: too many levels or searches, or a reference that is none."""
        values: list[str] = []
        waiting: list[str | Wanted] = [first]  # the next is at the end
        searches = 0
        while waiting:
            item = waiting.pop()
            if isinstance(item, str):
                values.append(item)
                if self._value_limit and len(values) > self._value_limit:
                    break
                continue
            searches += 1
            if item.depth > self._recursion_limit:
                raise self._failure(f"recursion_limit of {self._recursion_limit} exceeded at {item.base}")
            if searches > MAX_SEARCHES:
                raise self._failure(f"more than {MAX_SEARCHES} searches")
            waiting += reversed([found for entry in await find(item) for found in self._items(entry, item)])
        return values

    def _items(self, entry: Entry, search: Wanted) -> Iterator[str | Wanted]:
        """Give what an entry has, in order."""
        there = [(search.kinds.get(name.lower()), values) for name, values in entry.attributes if values]
        kinds = {kind for kind, _ in there}
        for kind, values in there:
            if kind is None or (Kind.TERMINAL in kinds and kind is not Kind.TERMINAL):
                continue
            if kind is Kind.LEAF and Kind.SPECIAL in kinds:
                continue
            for value in values:
                text = value.decode("utf-8", "surrogateescape")
                if kind is not Kind.SPECIAL:
                    yield text
                elif (followed := self._follow(text, search.depth + 1)) is not None:
                    yield followed

    def _follow(self, reference: str, depth: int) -> Wanted | None:
        """Make the search for a reference; None: it has nothing that the table wants."""
        if not is_url(reference):
            return Wanted(reference, BASE, EVERYTHING, self._kinds, depth)
        try:
            url = parse_url(reference)
        except ValueError as error:
            raise self._failure(str(error)) from None
        kinds = select(self._kinds, url.attributes) if url.attributes else self._kinds
        return Wanted(url.base, url.scope, url.filter, kinds, depth) if kinds else None

    def _failure(self, why: str) -> TableError:
        log.warning(f"{self._name}: {why}")
        return TableError(f"{self._name}: {why}")


def select(kinds: Kinds, names: Sequence[str]) -> dict[str, Kind]:
    """Give the table's attributes that a URL also has; options ("name;option") may be in one of the two only."""
    selected: dict[str, Kind] = {}
    for name in (name.lower() for name in names):
        plain = name.partition(";")[0]
        for own, kind in kinds.items():
            if own == name:
                selected[own] = kind
            elif own == plain:
                selected[name] = kind
            elif own.partition(";")[0] == name:
                selected[own] = kind
    return selected
