"""fail: every lookup fails (a test aid), and the stand-in for a table that could not be opened."""

from collections.abc import Iterator

from posthouse.tables.file_table import Origin
from posthouse.tables.table import DEFAULT_FLAGS, TableFlags, WritableTable
from posthouse.tables.watch import FileWatch
from posthouse.util import log
from posthouse.util.errors import TableError
from posthouse.util.successor import ask_for_successor


class Fail(WritableTable):
    """Answers everything with TableError. `reason` is logged each time when there is one.

    When the file that could not be opened is there, or has changed, a process that can open it is asked for: this one
    would go on failing for as long as it lives.
    """

    def __init__(
        self, name: str, reason: str = "", flags: TableFlags = DEFAULT_FLAGS, file: FileWatch | None = None
    ) -> None:
        """file: watched since before the attempt to open it."""
        super().__init__(name, flags)
        self.reason = reason
        self._file = file

    def poll(self) -> None:
        """Look now whether the file has changed."""
        self._look(now=True)

    def _look(self, *, now: bool = False) -> None:
        if self._file is not None and self._file.changed(now=now):
            self._file.accept()
            ask_for_successor(f"{self.name}: {self._file.path} has changed")

    def _fail(self) -> TableError:
        self._look()
        if not self.reason:
            return TableError(f"{self.name}: table lookup problem")
        message = f"{self.name} is unavailable. {self.reason}"
        log.warning(message)
        return TableError(message)

    def _find(self, key: str) -> str | None:
        raise self._fail()

    def _store(self, key: str, value: str) -> None:
        raise self._fail()

    def _remove(self, key: str) -> bool:
        raise self._fail()

    def items(self) -> Iterator[tuple[str, str]]:
        """Fail, too."""
        raise self._fail()


def open_table(origin: Origin) -> Fail:
    """Open fail:name."""
    return Fail(origin.full_name, "", origin.flags)
