"""Table: what every lookup table answers to; LocalTable: one that answers at once.

A key that is not there gives None; a table that cannot be asked raises TableError, never None (facts B15.04).
Keys are folded to lower case in fixed-string tables only. With `utf8` a malformed key is "not found" with a warning,
and a malformed value is a TableError. Sources: DATABASE_README(5), SMTPUTF8_README, facts/tables.tsv.
"""

import base64
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from posthouse.util import log
from posthouse.util.errors import TableError

_MALFORMED: Final = "malformed UTF-8 or invalid codepoint"
_FILE_SEPARATORS: Final = re.compile(r"[, \t\r\n]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class TableFlags:
    """How a table is used.

    fold: keys are case-insensitive (fixed-string tables). utf8: keys and values must be UTF-8.
    value_is_file: values name files; a lookup gives the base64 of what is in them.
    substitution: $1 in the values of pattern tables; proxy: "proxy:" is honoured; unauthenticated: tables are allowed
    whose answers anybody on the way may have made. All are off where a table decides about rights or routes
    (alias_maps, virtual_uid_maps, transport_maps; facts B14.08, B14.19).
    """

    fold: bool = True
    utf8: bool = True
    value_is_file: bool = False
    substitution: bool = True
    proxy: bool = True
    unauthenticated: bool = True


DEFAULT_FLAGS: Final = TableFlags()
# alias_maps, virtual_mailbox_maps, virtual_uid_maps ..
SENSITIVE: Final = TableFlags(substitution=False, proxy=False, unauthenticated=False)


class Table(ABC):
    """A lookup table. `name` is "type:name" as in main.cf."""

    is_fixed: ClassVar[bool] = True  # whether it looks up fixed strings; a pattern table gets the whole key, once
    generation: int = 0  # changes with the content, as far as the table can notice
    authenticated: bool = True  # False: its settings let anybody on the way make answers

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    async def lookup(self, key: str) -> str | None:
        """Give the value of a key, or None. Raises TableError: the table cannot be asked now."""

    @property
    def constant(self) -> str | None:
        """The value of every key that is not empty, where that is known without a lookup."""
        return None

    @property
    def takes_partial_keys(self) -> bool:
        """Whether it is asked for parts of a key: user@, @domain, parent domains, truncated addresses."""
        return self.is_fixed

    def poll(self) -> None:
        """Look now whether the content has changed; `generation` tells."""
        return

    def close(self) -> None:
        """Let go of files and memory."""
        return


class LocalTable(Table):
    """A table in this process: `get` answers without waiting."""

    def __init__(self, name: str, flags: TableFlags = DEFAULT_FLAGS) -> None:
        super().__init__(name)
        self.flags = flags
        self._fold = flags.fold and self.is_fixed

    async def lookup(self, key: str) -> str | None:
        """Give the value of a key, or None."""
        return self.get(key)

    def get(self, key: str) -> str | None:
        """Give the value of a key, or None. Raises TableError."""
        if key.isascii():
            if self._fold:
                key = key.lower()
        elif not self._is_good_key(key):
            return None
        elif self._fold:
            key = fold_key(key, utf8=self.flags.utf8)
        value = self._find(key)
        if value is not None and not value.isascii():
            self._check_value(key, value)
        return value

    @abstractmethod
    def _find(self, key: str) -> str | None:
        """Look up a key that is folded already."""

    def items(self) -> Iterator[tuple[str, str]]:
        """Give all entries (postmap -s). Raises TableError: this type has no list of entries."""
        raise TableError(f"{self.name}: sequence operation is not supported")

    def _is_good_key(self, key: str) -> bool:
        return not self.flags.utf8 or is_good_key(self.name, key)

    def _check_value(self, key: str, value: str) -> None:
        if self.flags.utf8 and (problem := value_problem(self.name, key, value)):
            raise TableError(problem)


class WritableTable(LocalTable):
    """A table whose entries this process may change."""

    def put(self, key: str, value: str) -> None:
        """Store an entry, replacing an old one. Raises TableError."""
        if not self._is_good_key(key):
            return
        if self.flags.utf8 and value_problem(self.name, key, value):
            return
        self._store(self._folded(key), value)

    def delete(self, key: str) -> bool:
        """Take an entry out; tells whether it was there. Raises TableError."""
        return self._is_good_key(key) and self._remove(self._folded(key))

    def _folded(self, key: str) -> str:
        return fold_key(key, utf8=self.flags.utf8) if self._fold else key

    @abstractmethod
    def _store(self, key: str, value: str) -> None:
        """Store an entry under a folded key."""

    @abstractmethod
    def _remove(self, key: str) -> bool:
        """Take out the entry of a folded key."""


def is_utf8(text: str) -> bool:
    """Whether text came from well-formed UTF-8 (no surrogate escapes in it)."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_good_key(table: str, key: str) -> bool:
    """Whether a key is well-formed UTF-8; one that is not is logged, and is in no table."""
    if is_utf8(key):
        return True
    log.warning(f'{table}: non-UTF-8 key "{printable(key)}": {_MALFORMED}')
    return False


def value_problem(table: str, key: str, value: str) -> str:
    """Say what is wrong with a value that is no well-formed UTF-8, after it was logged; "": nothing."""
    if is_utf8(value):
        return ""
    problem = f'{table}: key "{printable(key)}": non-UTF-8 value "{printable(value)}": {_MALFORMED}'
    log.warning(problem)
    return problem


def printable(text: str) -> str:
    """Show text of unknown origin: what is no UTF-8 or no printable character becomes "?"."""
    return "".join(character if character.isprintable() else "?" for character in text)


def fold_key(key: str, *, utf8: bool) -> str:
    """Fold a key to lower case: all of Unicode with `utf8`, else ASCII letters only."""
    if key.isascii():
        return key.lower()
    if utf8 and is_utf8(key):
        return key.casefold()
    return key.encode("utf-8", "surrogateescape").lower().decode("utf-8", "surrogateescape")


def files_as_value(value: str, base_dir: str = "") -> str:
    """Give the base64 of the files that a value names, joined by newlines. Raises ValueError: cannot be read.

    Source: postmap(1), option -F.
    """
    paths = [path for path in _FILE_SEPARATORS.split(value) if path]
    if not paths:
        raise ValueError(f"empty pathname list: >>{value}<<'")
    contents = []
    for path in paths:
        try:
            with open(os.path.join(base_dir, path), "rb") as file:
                contents.append(file.read())
        except OSError as error:
            raise ValueError(f"open {path}: {error.strerror}") from None
    return base64.b64encode(b"\n".join(contents)).decode("ascii")
