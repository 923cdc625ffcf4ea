"""The instances on this host: the primary one, and those that its multi_instance_directories names, in order."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from posthouse.config.load import load_settings
from posthouse.config.parameters_host import MULTI_INSTANCE_NAME
from posthouse.config.parameters_instances import (
    MULTI_INSTANCE_DIRECTORIES,
    MULTI_INSTANCE_ENABLE,
    MULTI_INSTANCE_GROUP,
)
from posthouse.config.settings import Settings

NONE: Final = "-"  # in a listing and in options: no name, no group; as a name: the primary instance


@dataclass(frozen=True, slots=True)
class Instance:
    """One mail system."""

    directory: str
    settings: Settings
    enabled: bool
    primary: bool = False

    @property
    def name(self) -> str:
        """Its multi_instance_name, or ""."""
        return self.settings[MULTI_INSTANCE_NAME]

    @property
    def group(self) -> str:
        """Its multi_instance_group, or ""."""
        return self.settings[MULTI_INSTANCE_GROUP]

    def line(self) -> str:
        """Give its line in a listing."""
        return f"{self.name or NONE:<15} {self.group or NONE:<15} {self._shown:<9} {self.directory}\n"

    def as_json(self) -> str:
        """Give its line in a JSON listing, spaced as Postfix spaces it."""
        members = {
            "name": self.name or NONE,
            "group": self.group or NONE,
            "enabled": self._shown,
            "config_directory": self.directory,
        }
        shown = (f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in members.items())
        return "{" + ",".join(shown) + "}\n"

    @property
    def _shown(self) -> str:
        return "y" if self.enabled else "n"

    def is_called(self, name: str) -> bool:
        """Tell whether -i NAME means it: by name, by configuration directory, or "-" for the primary one."""
        return name == self.directory or (name == self.name != "") or (name == NONE and self.primary)


def load_instances(directory: str) -> list[Instance]:
    """Read all main.cf files, the primary one's first. Raises ConfigError: one cannot be read."""
    settings = load_settings(directory, "postmulti")
    others = settings[MULTI_INSTANCE_DIRECTORIES]
    # Alone, it is managed by nobody, and so not disabled either.
    first = Instance(directory, settings, settings[MULTI_INSTANCE_ENABLE] or not others, primary=True)
    return [first, *(_secondary(other) for other in others)]


def _secondary(directory: str) -> Instance:
    settings = load_settings(directory, "postmulti")
    return Instance(directory, settings, settings[MULTI_INSTANCE_ENABLE])


def select(instances: Sequence[Instance], name: str, group: str) -> list[Instance]:
    """Keep those that -i and -g choose; an empty text chooses all."""
    return [
        instance
        for instance in instances
        if (not name or instance.is_called(name)) and (not group or instance.group == group)
    ]
