"""Situation: the configuration that is explained, and where each part of it is written."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar, Final

from posthouse.commands.explain.model import Place, Step
from posthouse.commands.explain.record import Recorder, RecordingOpener
from posthouse.commands.orders.programs import INTERNAL_MASTER_CF
from posthouse.config.load import Configuration
from posthouse.config.master_cf import Service, parse_master_cf
from posthouse.config.settings import Settings
from posthouse.util.errors import ConfigError

DEFAULT: Final = "default"
BUILT_IN: Final = "built-in master.cf"


@cache
def _internal() -> tuple[Service, ...]:
    return parse_master_cf(INTERNAL_MASTER_CF, BUILT_IN).services


class ExplainError(Exception):
    """The question cannot be answered; str() says why. status: the command's exit status."""

    status: ClassVar[int]


class UnknownNameError(ExplainError):
    """What was asked about does not exist."""

    status = 64


class UnavailableError(ExplainError):
    """Who could answer cannot be reached, or may not answer this user."""

    status = 69


@dataclass(slots=True)
class Situation:
    """What all explainers of one question share. words: the question's options by name."""

    configuration: Configuration
    words: dict[str, list[str]] = field(default_factory=dict)
    recorder: Recorder = field(default_factory=Recorder)
    asks_dns: bool = False
    openers: list[RecordingOpener] = field(default_factory=list)

    def word(self, name: str) -> str | None:
        """Give an option's value, the last one that was given."""
        values = self.words.get(name)
        return values[-1] if values else None

    def service(self, program: str, name: str = "", kind: str = "") -> Service | None:
        """Find a service of master.cf: the first with this program, name and type; "" is any.

        What master.cf lacks and every system has is found, too.
        """
        for service in (*self.configuration.master.effective(), *_internal()):
            if program in ("", service.program) and name in ("", service.name) and kind in ("", service.type):
                return service
        return None

    def settings(self, program: str, name: str = "") -> Settings:
        """Give the settings of a daemon, with what its service in master.cf overrides."""
        return self.configuration.settings(program, self.service(program, name))

    def opener(self, settings: Settings) -> RecordingOpener:
        """Make what opens a daemon's tables; what proxymap(8) would refuse is refused. `close` closes them."""
        opener = RecordingOpener(settings, self.recorder, proxied=self.settings("proxymap"))
        self.openers.append(opener)
        return opener

    def close(self) -> None:
        """Close all tables."""
        for opener in self.openers:
            opener.close()

    def place_of(self, service: Service) -> Place:
        """Say where a service is written."""
        path = BUILT_IN if service in _internal() else self.configuration.master.path
        return Place(path, service.line)

    def place(self, settings: Settings, parameter: str) -> Place | None:
        """Say where a parameter is set; None: it is not."""
        origin = settings.origins.get(parameter) if settings.is_set(parameter) else None
        return None if origin is None else Place(origin.file, origin.line)


@dataclass(slots=True)
class Narrator:
    """Makes steps, each with the lookups and log lines that came before it."""

    recorder: Recorder
    settings: Settings
    place: Callable[[Settings, str], Place | None]
    steps: list[Step] = field(default_factory=list)

    def tell(self, kind: str, name: str, result: str = "", *, argument: str = "", text: str = "") -> Step:
        """Add a step; one that is named after a parameter says where it is set."""
        step = Step(kind, name, argument, result, text, self.place(self.settings, name))
        step.lookups, step.log = self.recorder.take_lookups(), self.recorder.take_log()
        self.steps.append(step)
        return step


def missing(program: str) -> ConfigError:
    """Make the error for a service that master.cf does not have."""
    return ConfigError(f"no service in master.cf runs {program}")
