"""What is checked before master gets its orders: every value that a service will read must be one it can use."""

import importlib
import importlib.util
from collections.abc import Iterable
from typing import Protocol

from posthouse.config import parameters as common
from posthouse.config.parameter import Parameter
from posthouse.config.settings import Settings


class _Rows(Protocol):
    PARAMETERS: Iterable[Parameter[object]]


def rows_of(package: str) -> tuple[Parameter[object], ...]:
    """Give the parameters that a daemon reads by itself. The module is light: it imports no code of the daemon."""
    name = f"posthouse.daemons.{package}.parameters"
    if importlib.util.find_spec(name) is None:
        return ()
    module: _Rows = importlib.import_module(name)
    return tuple(module.PARAMETERS)


def check_service(settings: Settings, package: str) -> None:
    """Parse every value. Raises ConfigError: one is impossible; with file, line and parameter."""
    for row in (*common.PARAMETERS, *rows_of(package)):
        settings[row]
