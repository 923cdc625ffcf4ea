"""IndexFileTable: a table in one binary file that this process only reads: cdb:, and the .db files of Berkeley DB.

Another file under the name is opened within a second, and so is the same file with other content; what cannot be opened
then leaves the old content in force. A damaged file is a TableError for the keys that need the damaged part.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Final, Protocol

from posthouse.tables.file_table import Origin
from posthouse.tables.source import decode
from posthouse.tables.table import TableFlags, WritableTable
from posthouse.tables.watch import FileWatch
from posthouse.util import log
from posthouse.util.errors import ConfigError, TableError
from posthouse.util.successor import ask_for_successor, is_out_of_reach

READ_ONLY: Final = "is a table that cannot be changed entry by entry; change its source text and build it anew"


class DamagedError(ValueError):
    """The file is not what it should be; the text says where."""


class IndexFile(Protocol):
    """An open file."""

    def get(self, key: bytes) -> bytes | None:
        """Give the value of a key, or None. Raises DamagedError, OSError."""

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Give all keys and values. Raises DamagedError, OSError."""

    def close(self) -> None:
        """Let go of the file."""


class BusyError(OSError):
    """Somebody is writing to the file just now."""


class IndexFileTable(WritableTable):
    """Base. Keys and values may end in NUL: the first key that is found tells for all."""

    def __init__(self, origin: Origin, suffix: str, remedy: str = "") -> None:
        """Open the file. Raises ConfigError: it is missing, unreadable or damaged. remedy: what to do then."""
        # The values are base64 already where they name files: postmap -F has put it there.
        super().__init__(origin.full_name, TableFlags(origin.flags.fold, origin.flags.utf8))
        self.path = origin.path + suffix
        self._watch = FileWatch(self.path)
        try:
            self._file = self._open(wait=True)
        except (OSError, DamagedError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise ConfigError(f"open database {origin.name}{suffix}: {why}", file=self.path, remedy=remedy) from None
        self._ends_in_nul: bool | None = None  # not known yet

    @abstractmethod
    def _open(self, *, wait: bool) -> IndexFile:
        """Open the file. wait: for whoever writes to it. Raises OSError (BusyError), DamagedError."""

    def get(self, key: str) -> str | None:
        """Give the value of a key, or None. Raises TableError."""
        if self._watch.changed():
            self._reopen()
        return super().get(key)

    def _find(self, key: str) -> str | None:
        if "\0" in key:
            return None
        octets = key.encode("utf-8", "surrogateescape")
        value = None
        try:
            if self._ends_in_nul is not False:
                value = self._file.get(octets + b"\0")
                if value is not None:
                    self._ends_in_nul = True
            if value is None and self._ends_in_nul is not True:
                value = self._file.get(octets)
                if value is not None:
                    self._ends_in_nul = False
        except (DamagedError, OSError) as error:
            raise self._unreadable(error) from None
        return None if value is None else decode(value.removesuffix(b"\0"))

    def items(self) -> Iterator[tuple[str, str]]:
        """Give all entries, in the order of the file. Raises TableError."""
        try:
            for key, value in self._file.items():
                yield decode(key.removesuffix(b"\0")), decode(value.removesuffix(b"\0"))
        except (DamagedError, OSError) as error:
            raise self._unreadable(error) from None

    def poll(self) -> None:
        """Look now whether the file is another."""
        if self._watch.changed(now=True):
            self._reopen()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _reopen(self) -> None:
        try:
            fresh = self._open(wait=False)
        except BusyError:
            return  # the watch goes on saying that it has changed
        except (DamagedError, OSError) as error:
            self._watch.accept()
            if is_out_of_reach(error):
                ask_for_successor(f"{self.name} was replaced")
                return
            log.warning(f"{self.name} has changed and cannot be opened ({error}); the old table stays in use")
            return
        self._watch.accept()
        self._file.close()
        self._file = fresh
        self._ends_in_nul = None
        self.generation += 1

    def _unreadable(self, error: Exception) -> TableError:
        why = error.strerror if isinstance(error, OSError) else f"the file is damaged: {error}"
        return TableError(f"{self.name}: {self.path}: {why}")

    def _store(self, key: str, value: str) -> None:
        raise TableError(f"{self.name} {READ_ONLY}")

    def _remove(self, key: str) -> bool:
        raise TableError(f"{self.name} {READ_ONLY}")
