"""Where a table's entry stands in the text that the table is made from.

An indexed table (hash, lmdb, cdb ...) is made by postmap from the text of the same name: the key is looked for there,
and when the text says something else than the table, that is remarked on. A pattern table is its text: the rule that
answered is the last line of the shortest beginning of the file that gives the answer, which is asked of the table's own
code; so if ... endif and flags need no second reader here.
"""

import os
import tempfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Final

from posthouse.commands.explain.model import Lookup, Place
from posthouse.config.settings import Settings
from posthouse.rewriting.alias_source import alias_entries
from posthouse.tables.open import Opener
from posthouse.tables.source import Entry, decode, entries, logical_lines
from posthouse.tables.table import LocalTable, TableFlags, fold_key
from posthouse.util.errors import ConfigError, TableError

INDEXED: Final = frozenset({"btree", "cdb", "dbm", "hash", "lmdb", "sdbm", "texthash"})
PATTERNS: Final = frozenset({"cidr", "pcre", "regexp"})
MAX_SOURCE: Final = 64 * 1024 * 1024  # bytes of a text that is read for this
UNREAD: Final = "the source text cannot be read here"
STALE: Final = "the source text says something else; run postmap (or postalias)"


class Sources:
    """Finds entries; keeps what it has read of each text. muted: what half a table logs is nobody's business."""

    def __init__(self, settings: Settings, muted: Callable[[], AbstractContextManager[None]]) -> None:
        self._settings = settings
        self._muted = muted
        self._entries: dict[str, dict[str, Entry] | None] = {}

    def locate(self, lookup: Lookup, flags: TableFlags) -> None:
        """Put the entry's place into a lookup that found something, where it can be told."""
        kind, _, name = lookup.table.partition(":")
        if not name.startswith("/") or lookup.value is None:
            return
        if kind in INDEXED:
            self._find_key(lookup, name, flags)
        elif kind in PATTERNS:
            line = self._find_rule(kind, name, lookup, flags)
            lookup.place = Place(name, line) if line else Place(name)

    def _find_key(self, lookup: Lookup, path: str, flags: TableFlags) -> None:
        known = self._entries.get(path)
        if path not in self._entries:
            known = self._entries[path] = _read_entries(path)
        if known is None:
            lookup.note = UNREAD if os.path.exists(path) else ""
            return
        key = fold_key(lookup.key, utf8=flags.utf8)
        entry = known.get(key)
        if entry is None:
            lookup.note = STALE
            return
        lookup.place = Place(path, entry.number)
        if entry.value != lookup.value and not flags.value_is_file:
            lookup.note = STALE

    def _find_rule(self, kind: str, path: str, lookup: Lookup, flags: TableFlags) -> int:
        """Give the line of the rule that answered; 0: it cannot be told."""
        text = _read(path)
        if text is None:
            return 0
        numbers = [line.number for line in logical_lines(text)]
        lines = text.split("\n")
        low, high = 0, len(numbers) - 1
        with self._muted():
            if high < 0 or not self._answers(kind, text, lookup, flags):
                return 0
            while low < high:
                middle = (low + high) // 2
                beginning = "\n".join(lines[: numbers[middle + 1] - 1]) + "\n"
                if self._answers(kind, beginning, lookup, flags):
                    high = middle
                else:
                    low = middle + 1
        return numbers[low]

    def _answers(self, kind: str, text: str, lookup: Lookup, flags: TableFlags) -> bool:
        """Whether a table with this text has the key."""
        with tempfile.NamedTemporaryFile("wb", suffix=f".{kind}") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            try:
                table = Opener(self._settings).open(f"{kind}:{file.name}", flags)
                return isinstance(table, LocalTable) and table.get(lookup.key) is not None
            except (ConfigError, TableError):
                return False


def _read(path: str) -> str | None:
    try:
        if os.path.getsize(path) > MAX_SOURCE or not os.path.isfile(path):
            return None
        with open(path, "rb") as file:
            return decode(file.read())
    except OSError:
        return None


def _read_entries(path: str) -> dict[str, Entry] | None:
    """Read a source text: "name: value" lines when there are any such keys, else "key value" lines; None: no text."""
    text = _read(path)
    if text is None:
        return None
    found: Iterable[Entry] = list(entries(text, _ignore))
    if any(entry.key.endswith(":") for entry in found):
        found = alias_entries(text, _ignore)
    known: dict[str, Entry] = {}
    for entry in found:
        known.setdefault(fold_key(entry.key, utf8=True), entry)
    return known


def _ignore(_problem: str) -> None:
    """Mistakes in tables are for postmap and `posthouse check`."""
