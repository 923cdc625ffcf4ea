"""Situation: the configuration that is explained, and where each part of it is written."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from posthouse.commands.explain.model import Place, Step
from posthouse.commands.explain.record import Recorder
from posthouse.config.load import Configuration
from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.util.errors import ConfigError

DEFAULT: Final = "default"


@dataclass(slots=True)
class Situation:
    """What all explainers of one question share. words: the question's options by name."""

    configuration: Configuration
    words: dict[str, list[str]] = field(default_factory=dict)
    recorder: Recorder = field(default_factory=Recorder)
    asks_dns: bool = False

    def word(self, name: str) -> str | None:
        """Give an option's value, the last one that was given."""
        values = self.words.get(name)
        return values[-1] if values else None

    def service(self, program: str, name: str = "", kind: str = "") -> Service | None:
        """Find a service of master.cf: the first with this program, name and type; "" is any."""
        for service in self.configuration.master.services:
            if service.program == program and name in ("", service.name) and kind in ("", service.type):
                return service
        return None

    def settings(self, program: str, name: str = "") -> Settings:
        """Give the settings of a daemon, with what its service in master.cf overrides."""
        return self.configuration.settings(program, self.service(program, name))

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
