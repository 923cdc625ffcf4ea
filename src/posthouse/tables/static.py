"""static: the same value for every key. static:text or static:{ text with blanks }."""

from posthouse.tables.file_table import Origin
from posthouse.tables.table import LocalTable, files_as_value
from posthouse.util.errors import ConfigError


class Static(LocalTable):
    """Treated like a pattern table: it is asked once, with the whole key."""

    is_fixed = False

    def __init__(self, origin: Origin) -> None:
        """Take the text. Raises ConfigError: a brace is not closed, or the file it names cannot be read."""
        super().__init__(origin.full_name, origin.flags)
        text = origin.name
        if text.startswith("{"):
            if not text.endswith("}"):
                raise ConfigError(f"bad static:name syntax: missing '}}' in \"{text}\"")
            text = text[1:-1].strip()
        if origin.flags.value_is_file:
            try:
                text = files_as_value(text, origin.base_dir)
            except ValueError as error:
                raise ConfigError(str(error)) from None
        self._value = text

    def _find(self, key: str) -> str | None:
        return self._value

    @property
    def constant(self) -> str | None:
        """Its value, if a lookup would take it."""
        return self._value if self._value.isascii() else None


def open_table(origin: Origin) -> Static:
    """Open static:text. Raises ConfigError."""
    return Static(origin)
