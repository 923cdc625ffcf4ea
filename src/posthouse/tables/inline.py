"""inline: tables: the entries stand in the table's name, inline:{ key = value, { key = value with blanks } }."""

import re
from collections.abc import Iterator
from typing import Final

from posthouse.config.lists import is_balanced, split_name_value, split_tokens
from posthouse.tables.file_table import Origin
from posthouse.tables.table import LocalTable, files_as_value, fold_key
from posthouse.util.errors import ConfigError

# A key with quoted parts, in which blanks and "=" have no meaning
_QUOTED_KEY: Final = re.compile(
    r'\s*((?:[^\s"\\=]|\\.)*(?:"(?:[^"\\]|\\.)*"(?:[^\s"\\=]|\\.)*)+)\s*=(.*)', re.ASCII | re.DOTALL
)


class Inline(LocalTable):
    """Fixed strings in memory."""

    def __init__(self, origin: Origin, contents: dict[str, str]) -> None:
        super().__init__(origin.full_name, origin.flags)
        self._entries = contents

    def _find(self, key: str) -> str | None:
        return self._entries.get(key)

    def items(self) -> Iterator[tuple[str, str]]:
        """Give all entries."""
        yield from self._entries.items()


def _parse(text: str) -> Iterator[tuple[str, str]]:
    """Read the entries. Raises ValueError."""
    if not (text.startswith("{") and text.endswith("}") and is_balanced(text)):
        raise ValueError("bad syntax")
    empty = True
    for item in split_tokens(text[1:-1]):
        empty = False
        if item.startswith("{") and not item.endswith("}"):
            raise ValueError(f"syntax error after '}}' in \"{item}\"")
        text = item[1:-1] if item.startswith("{") else item
        quoted = _QUOTED_KEY.fullmatch(text)
        yield (quoted[1], quoted[2].strip()) if quoted else split_name_value(text)
    if empty:
        raise ValueError("empty table")


def open_table(origin: Origin) -> Inline:
    """Open inline:{...}. Raises ConfigError: wrong syntax."""
    contents: dict[str, str] = {}
    is_file = origin.flags.value_is_file
    try:
        for name, value in _parse(origin.name):
            key = fold_key(name, utf8=origin.flags.utf8) if origin.flags.fold else name
            contents[key] = files_as_value(value, origin.base_dir) if is_file else value
    except ValueError as error:
        form = "{name=filename...}" if is_file else "{name=value...}"
        raise ConfigError(f'{error}: "{origin.full_name}"; need "inline:{form}"') from None
    return Inline(origin, contents)
