"""What is built in this release, gathered from the daemons for the checks of a configuration.

config knows no daemon: it gets this. A package without parameters.py reads shared rows only.
"""

import importlib
import importlib.util

from posthouse.commands.orders.programs import PROGRAMS, is_built
from posthouse.config import parameters_instances
from posthouse.config.check_restrictions import KNOWN
from posthouse.config.parameter import Parameter
from posthouse.config.registry import Registry
from posthouse.daemons.smtpd.access.names import NOT_BUILT, NOT_BUILT_WITH_ARGUMENT
from posthouse.tables.open import TYPES

_DAEMONS = "posthouse.daemons"


def registry() -> Registry:
    """Gather what is built."""
    rows: list[Parameter[object]] = [*parameters_instances.PARAMETERS]
    for package in dict.fromkeys(program.package for program in PROGRAMS.values()):
        name = f"{_DAEMONS}.{package}.parameters"
        if is_built(package) and importlib.util.find_spec(name) is not None:
            rows += importlib.import_module(name).PARAMETERS
    programs = [
        name for name, program in PROGRAMS.items() if is_built(program.package) and name != "oqmgr"
    ]  # that scheduler is not ours
    return Registry.of(rows, programs, TYPES, KNOWN - NOT_BUILT - NOT_BUILT_WITH_ARGUMENT)
