"""Load a configuration directory: main.cf and master.cf, and the settings of each service.

This runs in commands and in master's short-lived loader, never in a daemon: daemons get theirs from wire.py.
"""

import os
from collections.abc import Mapping
from typing import Final, NamedTuple

from posthouse.config import catalog, derived
from posthouse.config.level import LAST_LEVEL
from posthouse.config.main_cf import MainCf, read_main_cf
from posthouse.config.master_cf import MasterCf, Service, read_master_cf
from posthouse.config.settings import DEFAULT_CONFIG_DIRECTORY, Identity, Origin, Settings

_FACTS_DEPEND_ON: Final = frozenset(
    {"myhostname", "mydomain", "inet_interfaces", "inet_protocols", "mynetworks_style", "compatibility_level"}
)
ENVIRONMENT_NAME: Final = "MAIL_CONFIG"


def config_directory(option: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Choose the configuration directory: option -c, else MAIL_CONFIG, else the default."""
    environment = os.environ if environment is None else environment
    return option or environment.get(ENVIRONMENT_NAME) or DEFAULT_CONFIG_DIRECTORY


class Configuration(NamedTuple):
    """One configuration directory, read once."""

    directory: str
    main: MainCf
    master: MasterCf
    facts: Mapping[str, str]

    def settings(self, process_name: str, service: Service | None = None) -> Settings:
        """Give the settings of a command, or of a service: its -o settings lie on top."""
        explicit = dict(self.main.values)
        origins = dict(self.main.origins())
        for name, value in service.overrides if service else ():
            if name not in catalog.READ_ONLY:
                explicit[name] = value
                origins[name] = Origin(self.master.path, service.line if service else 0)
        identity = Identity(service.name if service else process_name, process_name, self.directory)
        facts = self.facts
        if service and any(name in _FACTS_DEPEND_ON for name, _ in service.overrides):
            facts = host_facts(Settings(explicit, identity, level_facts(self.main), origins))
        return Settings(explicit, identity, facts, origins)


def load(directory: str) -> Configuration:
    """Read main.cf and master.cf. Raises ConfigError: wrong syntax, or a file that cannot be read."""
    main = read_main_cf(directory)
    settings = Settings(main.values, Identity(config_directory=directory), level_facts(main), main.origins())
    return Configuration(directory, main, read_master_cf(directory), host_facts(settings))


def load_settings(directory: str, process_name: str, overrides: Mapping[str, str] | None = None) -> Settings:
    """Read main.cf alone, for a command; `overrides` are its -o options. Raises ConfigError."""
    main = read_main_cf(directory)
    explicit = {**main.values, **(overrides or {})}
    identity = Identity(process_name, process_name, directory)
    return Settings(explicit, identity, level_facts(main), main.origins())


def level_facts(main: MainCf) -> dict[str, str]:
    """Without any main.cf there is no old installation to protect: the newest defaults hold."""
    return {} if main.exists else {"compatibility_level": str(LAST_LEVEL)}


def host_facts(settings: Settings) -> dict[str, str]:
    """Compute the defaults that the host decides, once for all services. Raises ConfigError."""
    computed = {name: settings.text(name) for name in sorted(derived.NAMES) if not settings.is_set(name)}
    return {**settings.facts, **computed}
