"""ClientConfig: the attributes of a table that has a file of settings (pgsql:/path/file.cf, ldap:/path/file.cf ...).

The file has main.cf syntax; $name is not expanded in it. A name with neither "/" nor "." in it is a name of old:
attributes are then main.cf parameters NAME_attribute (expanded, as main.cf is).
Sources: pgsql_table(5), ldap_table(5), facts/tables.tsv "map configuration file".
"""

from collections.abc import Mapping
from typing import Final

from posthouse.config.lists import ListSyntaxError, parse_words
from posthouse.config.main_cf import parse_main_cf
from posthouse.config.parameter import ConfigValueError, check_range, parse_boolean, parse_time
from posthouse.config.settings import Settings
from posthouse.tables.file_table import Origin
from posthouse.util import log
from posthouse.util.errors import ConfigError

_NUMBER_MAX: Final = 2**31 - 1
_DIGITS_MAX: Final = 20  # more are no number of ours, and int() refuses thousands


class ClientConfig:
    """Attributes by name. Each is asked for once at open; `finish` warns of what nobody asked for."""

    def __init__(self, file: str, values: Mapping[str, str], lines: Mapping[str, int], prefix: str = "") -> None:
        """file: for messages. lines: where each attribute is. prefix: of the names in main.cf, "" for a file."""
        self.file = file
        self.values = values
        self._lines = lines
        self._prefix = prefix
        self._asked: set[str] = set()

    @property
    def is_file(self) -> bool:
        """Whether the attributes are in a file of their own."""
        return not self._prefix

    def is_set(self, name: str) -> bool:
        """Whether an attribute is there; this counts as asking for it."""
        self._asked.add(name)
        return name in self.values

    def text(self, name: str, default: str = "") -> str:
        """Give an attribute as it is written."""
        return self.values[name] if self.is_set(name) else default

    def required(self, name: str) -> str:
        """Give an attribute that must not be empty. Raises ConfigError."""
        value = self.text(name)
        if not value:
            raise self.error(name, "it is missing")
        return value

    def integer(self, name: str, default: int, minimum: int = 0, maximum: int = _NUMBER_MAX) -> int:
        """Give a whole number. Raises ConfigError."""
        text = self.text(name)
        if not text:
            return default
        if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= _DIGITS_MAX):
            raise self.error(name, f'"{text}" is not a whole number')
        value = int(text)
        self._check(name, value, minimum, maximum)
        return value

    def seconds(self, name: str, default: float, minimum: float = 0, maximum: float | None = None) -> float:
        """Give a time in seconds; a bare number means seconds. Raises ConfigError."""
        text = self.text(name)
        if not text:
            return default
        try:
            value = float(parse_time(text, "s"))
        except ConfigValueError as error:
            raise self.error(name, str(error)) from None
        self._check(name, value, minimum, maximum)
        return value

    def boolean(self, name: str, *, default: bool) -> bool:
        """Give yes or no. Raises ConfigError."""
        text = self.text(name)
        if not text:
            return default
        try:
            return parse_boolean(text)
        except ConfigValueError as error:
            raise self.error(name, str(error)) from None

    def items(self, name: str, default: str = "") -> tuple[str, ...]:
        """Give a list: commas and white space separate, { } keep together. Raises ConfigError."""
        try:
            return parse_words(self.text(name, default))
        except ListSyntaxError as error:
            raise self.error(name, str(error)) from None

    def error(self, name: str, why: str) -> ConfigError:
        """Make the error for an attribute, with its place."""
        return ConfigError(why, file=self.file, line=self._lines.get(name, 0), parameter=self._prefix + name)

    def finish(self) -> None:
        """Warn of attributes that nobody asked for, such as misspelled ones. Not of their values: one may be secret."""
        for name in sorted(self.values.keys() - self._asked, key=lambda name: self._lines.get(name, 0)):
            place = f"{self.file}, line {self._lines[name]}" if name in self._lines else self.file
            log.warning(f"{place}: unused parameter: {name}")

    def _check(self, name: str, value: float, minimum: float, maximum: float | None) -> None:
        try:
            check_range(value, minimum, maximum)
        except ConfigValueError as error:
            raise self.error(name, str(error)) from None


def read_config(origin: Origin, settings: Settings) -> ClientConfig:
    """Read the attributes of a table. Raises ConfigError: the file cannot be read, or its syntax is wrong."""
    if "/" not in origin.name and "." not in origin.name:
        return _from_main_cf(origin.name, settings)
    try:
        with open(origin.path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ConfigError(f"open {origin.name}: {error.strerror}", file=origin.path) from None
    try:
        parsed = parse_main_cf(data, origin.path)
    except ConfigError as error:  # it quotes the line, and a password may be in that
        raise ConfigError(error.why.partition(': "')[0], file=origin.path, line=error.line) from None
    return ClientConfig(origin.path, parsed.values, {item.name: item.line for item in parsed.assignments})


def _from_main_cf(name: str, settings: Settings) -> ClientConfig:
    """Collect NAME_attribute; whatever else begins with NAME_ is somebody else's, and is not complained of."""
    prefix = f"{name}_"
    values = {full.removeprefix(prefix): settings.text(full) for full in settings.explicit if full.startswith(prefix)}
    return _MainCfAttributes(f"{settings.config_directory}/main.cf", values, {}, prefix)


class _MainCfAttributes(ClientConfig):
    def finish(self) -> None:
        """Say nothing: the check of main.cf knows which names are used."""
