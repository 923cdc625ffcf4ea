"""internal: (a table in this process's memory), environ: (its environment), randmap: (a random one of a few values)."""

import os
import secrets
from collections.abc import Iterator

from posthouse.config.lists import is_balanced, split_tokens, strip_braces
from posthouse.tables.file_table import Origin
from posthouse.tables.table import LocalTable, WritableTable
from posthouse.util.errors import ConfigError


class Internal(WritableTable):
    """Lost when the process ends."""

    def __init__(self, origin: Origin) -> None:
        super().__init__(origin.full_name, origin.flags)
        self._entries: dict[str, str] = {}

    def _find(self, key: str) -> str | None:
        return self._entries.get(key)

    def _store(self, key: str, value: str) -> None:
        self._entries[key] = value
        self.generation += 1

    def _remove(self, key: str) -> bool:
        self.generation += 1
        return self._entries.pop(key, None) is not None

    def items(self) -> Iterator[tuple[str, str]]:
        """Give all entries."""
        yield from list(self._entries.items())


class Environ(LocalTable):
    """Keys are names of environment variables."""

    def _find(self, key: str) -> str | None:
        return os.environ.get(key)

    def items(self) -> Iterator[tuple[str, str]]:
        """Give all variables."""
        yield from list(os.environ.items())


class RandMap(LocalTable):
    """Any key gives one of the values; a value that is named twice comes twice as often."""

    is_fixed = False

    def __init__(self, origin: Origin) -> None:
        """Take the values. Raises ConfigError."""
        super().__init__(origin.full_name, origin.flags)
        text = origin.name
        if not (text.startswith("{") and text.endswith("}") and is_balanced(text)):
            raise ConfigError(f'bad syntax: "{self.name}"; need "randmap:{{value...}}"')
        self._values = [strip_braces(item) for item in split_tokens(text[1:-1])]
        if not self._values:
            raise ConfigError(f'bad syntax: "{self.name}"; need "randmap:{{value...}}"')

    def poll(self) -> None:
        """Say that it has changed: nobody shall keep an answer, or each key would have one value for good."""
        self.generation += 1

    def _find(self, key: str) -> str | None:
        return secrets.choice(self._values)


def open_internal(origin: Origin) -> Internal:
    """Open internal:name."""
    return Internal(origin)


def open_environ(origin: Origin) -> Environ:
    """Open environ:anything."""
    return Environ(origin.full_name, origin.flags)


def open_randmap(origin: Origin) -> RandMap:
    """Open randmap:{...}. Raises ConfigError."""
    return RandMap(origin)
