"""main.cf: "name = value" lines, read with the place of each, in the order they stand.

Knows nothing of which parameters exist. Bytes that are not UTF-8 are kept as surrogate escapes.
Sources: postconf(5), facts B01.01.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from posthouse.config.lists import split_name_value
from posthouse.config.logical import StrayLine, read_lines
from posthouse.config.settings import Origin
from posthouse.util.errors import ConfigError

FILE_NAME: Final = "main.cf"


class Assignment(NamedTuple):
    """One "name = value"."""

    name: str
    value: str
    line: int


class MainCf(NamedTuple):
    """A main.cf as it was read. The last assignment of a name is the one that counts."""

    path: str
    assignments: tuple[Assignment, ...] = ()
    stray_lines: tuple[tuple[int, str], ...] = ()  # continuation lines with nothing to continue
    exists: bool = True
    values: Mapping[str, str] = MappingProxyType({})

    def origins(self) -> Mapping[str, Origin]:
        """Tell where each setting that counts is."""
        return {item.name: Origin(self.path, item.line) for item in self.assignments}

    def overridden(self) -> tuple[tuple[Assignment, Assignment], ...]:
        """Give (earlier, later) pairs: a name that is set twice, with different values."""
        seen: dict[str, Assignment] = {}
        pairs = []
        for item in self.assignments:
            earlier = seen.get(item.name)
            if earlier is not None and earlier.value != item.value:
                pairs.append((earlier, item))
            seen[item.name] = item
        return tuple(pairs)


def parse_main_cf(data: bytes, path: str) -> MainCf:
    """Read the text of a main.cf. Raises ConfigError: a line is no assignment; with its number."""
    assignments = []
    stray = []
    for line in read_lines(data):
        if isinstance(line, StrayLine):
            stray.append((line.first, line.text.decode("utf-8", "surrogateescape")))
            continue
        text = line.text.decode("utf-8", "surrogateescape").rstrip(" \t\r\v\f")
        try:
            name, value = split_name_value(text)
        except ValueError as error:
            raise ConfigError(f'{error}: "{text[:60]}"', file=path, line=line.first) from None
        assignments.append(Assignment(name, value, line.first))
    values = {item.name: item.value for item in assignments}
    return MainCf(path, tuple(assignments), tuple(stray), exists=True, values=values)


def read_main_cf(directory: str) -> MainCf:
    """Read main.cf of a configuration directory. A directory without one is fine: every default holds.

    Raises ConfigError: it cannot be read, there is no such directory, or wrong syntax.
    """
    shown = f"{directory}/{FILE_NAME}"
    try:
        with open(shown, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        if os.path.isdir(directory):
            return MainCf(shown, exists=False)
        raise ConfigError("there is no such directory; name it with -c or MAIL_CONFIG", file=directory) from None
    except OSError as error:
        raise ConfigError(f"cannot read it: {error.strerror}", file=shown) from None
    return parse_main_cf(data, shown)


def format_assignment(name: str, value: str) -> str:
    """Write one setting the way `postconf -e` does."""
    return f"{name} = {value}"
