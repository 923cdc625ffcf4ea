"""Settings: what one daemon or command reads from main.cf. Frozen; typed values come out by parameter row.

A value is looked up in this order: read-only names (process_name ..), explicit settings (main.cf, then -o on top),
facts the host decides (myhostname ..), the default. References are expanded when a value is asked for, and the typed
value is kept. A daemon reads its settings once at start and copies them; it never looks one up per message.
"""

import os
from collections.abc import Mapping
from typing import Final, NamedTuple, Self, TypeVar, cast

from posthouse.config import catalog, derived
from posthouse.config.expand import ExpansionLoopError, expand_value
from posthouse.config.parameter import ConfigValueError, Parameter
from posthouse.util.errors import ConfigError

T = TypeVar("T")

DEFAULT_CONFIG_DIRECTORY: Final = "/etc/postfix"


class Origin(NamedTuple):
    """Where a setting was written."""

    file: str
    line: int


class Identity(NamedTuple):
    """Who reads the settings: these are values of their own in main.cf ($service_name ...)."""

    service_name: str = ""
    process_name: str = ""
    config_directory: str = DEFAULT_CONFIG_DIRECTORY


class Settings:
    """The settings of one process. Do not change them; make another object with `overlaid`."""

    __slots__ = ("_explicit", "_facts", "_identity", "_origins", "_values")

    def __init__(
        self,
        explicit: Mapping[str, str],
        identity: Identity,
        facts: Mapping[str, str],
        origins: Mapping[str, Origin],
    ) -> None:
        self._explicit = dict(explicit)
        self._identity = identity
        self._facts = dict(facts)  # defaults that are not in the catalog: what the host decides
        self._origins = dict(origins)
        self._values: dict[tuple[type, str], object] = {}

    @classmethod
    def from_mapping(
        cls,
        explicit: Mapping[str, str],
        *,
        service_name: str = "",
        process_name: str = "",
        config_directory: str = DEFAULT_CONFIG_DIRECTORY,
    ) -> Self:
        """Make settings from raw texts by name: for tests and for the library."""
        return cls(explicit, Identity(service_name, process_name, config_directory), {}, {})

    def __getitem__(self, parameter: Parameter[T]) -> T:
        """Give the typed value. Raises ConfigError: its text is no legal value; with file and line."""
        key = (type(parameter), parameter.name)
        try:
            return cast("T", self._values[key])
        except KeyError:
            pass
        text = self._raw(parameter.name)
        if text is None:
            text = parameter.default
        try:
            value = parameter.parse(self._expanded(text) if parameter.expanded else text)
        except ConfigValueError as error:
            raise self.error(parameter.name, str(error)) from None
        self._values[key] = value
        return value

    def text(self, name: str) -> str:
        """Give any parameter or user macro by name, expanded; "" when nobody defines it."""
        raw = self.raw(name)
        try:
            return "" if raw is None else self._expanded(raw)
        except ConfigValueError as error:
            raise self.error(name, str(error)) from None

    def raw(self, name: str) -> str | None:
        """Give a parameter's text as it was written, or its default; None when nobody defines it."""
        text = self._raw(name)
        return catalog.default_of(name) if text is None else text

    def expand(self, text: str) -> str:
        """Expand references in any text. Raises ConfigError: wrong syntax, or a circle."""
        try:
            return self._expanded(text)
        except ConfigValueError as error:
            raise ConfigError(str(error)) from None

    def is_set(self, name: str) -> bool:
        """Tell whether main.cf or -o sets this; a default does not count."""
        return name in self._explicit

    def overlaid(self, more: Mapping[str, str]) -> "Settings":
        """Give the same settings with some set on top, for example {"stress": "yes"}."""
        return Settings({**self._explicit, **more}, self._identity, self._facts, self._origins)

    def error(self, name: str, why: str) -> ConfigError:
        """Make the error for a parameter, with the place where it is set."""
        origin = self._origins.get(name)
        if origin is not None:
            return ConfigError(why, file=origin.file, line=origin.line, parameter=name)
        return ConfigError(why, parameter=name)

    @property
    def explicit(self) -> Mapping[str, str]:
        """What is set, by name: raw texts."""
        return self._explicit

    @property
    def facts(self) -> Mapping[str, str]:
        """The defaults that the host decided, as far as they were given."""
        return self._facts

    @property
    def origins(self) -> Mapping[str, Origin]:
        """Where each setting was written, as far as it is known."""
        return self._origins

    @property
    def identity(self) -> Identity:
        """Who reads these settings."""
        return self._identity

    @property
    def service_name(self) -> str:
        """The first column of master.cf."""
        return self._identity.service_name

    @property
    def process_name(self) -> str:
        """The daemon's or command's name."""
        return self._identity.process_name

    @property
    def config_directory(self) -> str:
        """Where main.cf is."""
        return self._identity.config_directory

    def _raw(self, name: str) -> str | None:
        """Look a name up everywhere but in the catalog of defaults."""
        match name:
            case "service_name":
                return self._identity.service_name
            case "process_name":
                return self._identity.process_name
            case "process_id":
                return str(os.getpid())
            case "config_directory":
                return self._identity.config_directory
        text = self._explicit.get(name)
        if text is None:
            text = self._facts.get(name)
        if text is None and name in derived.NAMES:
            self._facts[name] = ""  # mydomain = $myhostname, and the other way round, must not turn for ever
            try:
                text = self._facts[name] = derived.compute(name, self.is_set, self.text)
            except ConfigValueError as error:
                raise self.error(error.parameter or name, str(error)) from None
        return text

    def _expanded(self, text: str) -> str:
        """Expand. Raises ConfigValueError."""
        if "$" not in text:
            return text
        try:
            result = expand_value(text, self.raw)
        except ExpansionLoopError as error:
            raise ConfigValueError(str(error)) from None
        if result.syntax_error:
            raise ConfigValueError("; ".join(result.problems))
        return result.text
