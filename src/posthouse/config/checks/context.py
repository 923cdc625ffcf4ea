"""What every check gets: the configuration, what is built, and helpers that never raise.

A check is a function of a Context that gives findings. What it asks of a value that cannot be read is empty: the check
of values has said so already.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from posthouse.config.findings import Place
from posthouse.config.lists import split_tokens
from posthouse.config.load import Configuration
from posthouse.config.master_cf import Service
from posthouse.config.registry import Registry
from posthouse.config.settings import Settings
from posthouse.util.errors import ConfigError


class Entry(NamedTuple):
    """One line of a table's source text."""

    line: int
    key: str
    value: str


class Probe(Protocol):
    """What looks into tables; config itself knows no table type. Large tables are read in part."""

    def problems(self, kind: str, name: str, *, aliases: bool) -> Iterable[tuple[int, str]]:
        """Give (line, what is wrong) pairs of a table's text."""

    def entries(self, kind: str, name: str, *, aliases: bool) -> Iterable[Entry]:
        """Give the entries of a table whose text can be read, in order; nothing of others."""


class NoProbe:
    """Looks into no table."""

    def problems(self, kind: str, name: str, *, aliases: bool) -> Iterable[tuple[int, str]]:
        """Know nothing."""
        return ()

    def entries(self, kind: str, name: str, *, aliases: bool) -> Iterable[Entry]:
        """Know nothing."""
        return ()


@dataclass(slots=True)
class Context:
    """One run of the checks over one configuration."""

    configuration: Configuration
    registry: Registry
    as_root: bool = False  # daemons open tables with the right to read every file
    probe: Probe = field(default_factory=NoProbe)
    now: float = field(default_factory=time.time)
    bad: set[str] = field(default_factory=set)  # settings whose values cannot be read
    settings: Settings = field(init=False)
    _views: dict[int, Settings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the settings of main.cf alone. Raises ConfigError."""
        self.settings = self.configuration.settings("postfix")

    @property
    def main_path(self) -> str:
        """The name of main.cf."""
        return self.configuration.main.path

    @property
    def master_path(self) -> str:
        """The name of master.cf."""
        return self.configuration.master.path

    def services(self, *programs: str) -> list[Service]:
        """Give the services that count, in order; only those of some programs when any are named."""
        found = self.configuration.master.effective()
        return [service for service in found if not programs or service.program in programs]

    def view(self, service: Service) -> Settings:
        """Give what a service reads: main.cf with its -o settings on top."""
        key = service.line
        if key not in self._views:
            own = service.overrides
            self._views[key] = self.configuration.settings(service.program, service) if own else self.settings
        return self._views[key]

    def place(self, name: str, settings: Settings | None = None) -> Place:
        """Tell where a setting is written; main.cf as a whole when it is not."""
        origin = (settings or self.settings).origins.get(name)
        return Place(origin.file, origin.line) if origin else Place(self.main_path)

    def line_of(self, service: Service) -> Place:
        """Tell where a service is written."""
        return Place(self.master_path, service.line)

    def is_set(self, name: str) -> bool:
        """Tell whether main.cf sets it."""
        return name in self.configuration.main.values

    def text(self, name: str, settings: Settings | None = None) -> str:
        """Give the expanded value; "" when it cannot be expanded."""
        try:
            return (settings or self.settings).text(name)
        except ConfigError:
            return ""

    def items(self, name: str, settings: Settings | None = None) -> tuple[str, ...]:
        """Give the items of a list."""
        return tuple(split_tokens(self.text(name, settings)))

    def readers(self, *programs: str) -> Iterator[tuple[Service | None, Settings]]:
        """Give main.cf's settings, then those of each service that sets something of its own."""
        yield None, self.settings
        for service in self.services(*programs):
            if service.overrides:
                yield service, self.view(service)
