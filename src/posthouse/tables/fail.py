"""fail: every lookup fails (a test aid), and the stand-in for a table that could not be opened."""

from collections.abc import Iterator

from posthouse.tables.file_table import Origin
from posthouse.tables.table import DEFAULT_FLAGS, TableFlags, WritableTable
from posthouse.util import log
from posthouse.util.errors import TableError


class Fail(WritableTable):
    """Answers everything with TableError. `reason` is logged each time when there is one."""

    def __init__(self, name: str, reason: str = "", flags: TableFlags = DEFAULT_FLAGS) -> None:
        super().__init__(name, flags)
        self.reason = reason

    def _fail(self) -> TableError:
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
