"""FileTable: a table that is read from a text file, or from the table's name, into memory.

When the file changes it is read again, in place; what cannot be read then leaves the old content in force.
"""

import os
from abc import abstractmethod
from dataclasses import dataclass

from posthouse.tables.source import decode
from posthouse.tables.table import LocalTable, TableFlags
from posthouse.tables.watch import FileWatch
from posthouse.util import log
from posthouse.util.errors import ConfigError
from posthouse.util.successor import ask_for_successor, is_out_of_reach


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a table comes from: the part of main.cf after "type:", and where relative names begin."""

    type: str
    name: str
    flags: TableFlags
    base_dir: str = ""

    @property
    def full_name(self) -> str:
        """The name as in main.cf."""
        return f"{self.type}:{self.name}"

    @property
    def path(self) -> str:
        """The file it names."""
        return os.path.join(self.base_dir, self.name)


def read_text(origin: Origin) -> str:
    """Read the file of a table. Raises ConfigError."""
    try:
        with open(origin.path, "rb") as file:
            return decode(file.read())
    except OSError as error:
        opening = "open database" if origin.type == "texthash" else "open"
        raise ConfigError(f"{opening} {origin.name}: {error.strerror}", file=origin.path) from None


class FileTable(LocalTable):
    """Base of texthash, cidr, regexp and pcre tables."""

    def __init__(self, origin: Origin, inline: str | None = None) -> None:
        """Read the file, or the text that stands in for it. Raises ConfigError: it cannot be read."""
        self.origin = origin
        super().__init__(origin.full_name, origin.flags)
        self._watch = FileWatch(origin.path) if inline is None else None
        self._load(read_text(origin) if inline is None else inline)

    @abstractmethod
    def _load(self, text: str) -> None:
        """Replace the content by what the text says, in one step."""

    def get(self, key: str) -> str | None:
        """Give the value of a key, or None. Raises TableError."""
        if self._watch is not None and self._watch.changed():
            self._reload()
        return super().get(key)

    def poll(self) -> None:
        """Look now whether the file has changed."""
        if self._watch is not None and self._watch.changed(now=True):
            self._reload()

    def _reload(self) -> None:
        assert self._watch is not None
        self._watch.accept()
        try:
            text = read_text(self.origin)
        except ConfigError as error:
            if is_out_of_reach(error.__context__):
                ask_for_successor(f"{self.name} has changed")
                return
            log.warning(f"{self.name} has changed and cannot be read again ({error.why}); the old content stays")
            return
        self._load(text)
        self.generation += 1
        log.info(f"{self.name} has changed and was read again", event="table_reloaded", table=self.name)
