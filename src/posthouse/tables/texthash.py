"""texthash: tables: the source text of postmap(1), read into memory."""

from collections.abc import Iterator

from posthouse.tables.file_table import FileTable, Origin
from posthouse.tables.source import entries
from posthouse.tables.table import files_as_value, fold_key
from posthouse.util import log


class TextHash(FileTable):
    """The first of several entries with the same key counts."""

    def __init__(self, origin: Origin) -> None:
        self._entries: dict[str, str] = {}
        super().__init__(origin)

    def _load(self, text: str) -> None:
        loaded: dict[str, str] = {}

        def report(problem: str) -> None:
            log.warning(f"{self.origin.name}, {problem}")

        for number, raw_key, raw_value in entries(text, report):
            key = fold_key(raw_key, utf8=self.flags.utf8) if self.flags.fold else raw_key
            value = raw_value
            if key in loaded:
                report(f'line {number}: duplicate entry: "{key}"')
                continue
            if self.flags.value_is_file:
                try:
                    value = files_as_value(raw_value, self.origin.base_dir)
                except ValueError as error:
                    report(f"line {number}: {error}: skipping this entry")
                    continue
            loaded[key] = value
        self._entries = loaded

    def _find(self, key: str) -> str | None:
        return self._entries.get(key)

    def items(self) -> Iterator[tuple[str, str]]:
        """Give all entries."""
        yield from self._entries.items()


def open_table(origin: Origin) -> TextHash:
    """Open texthash:/path. Raises ConfigError."""
    return TextHash(origin)
