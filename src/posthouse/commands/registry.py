"""What is built in this release, gathered from the daemons for postconf and for the checks.

config knows no daemon, so the list of packages is here. A package without parameters.py reads shared rows only;
modules are imported one by one, since a command that does not ask for the registry should not pay for it.
"""

import importlib
import importlib.util
from typing import Final

from posthouse.config.parameter import Parameter
from posthouse.config.registry import Registry

# Program of master.cf -> package in posthouse.daemons.
PROGRAMS: Final = {
    "anvil": "anvil",
    "bounce": "bounce",
    "cleanup": "cleanup",
    "discard": "discard",
    "dns": "dns",
    "error": "error",
    "lmtp": "smtp",
    "local": "local",
    "pickup": "pickup",
    "postlogd": "postlogd",
    "proxymap": "proxymap",
    "qmgr": "qmgr",
    "showq": "showq",
    "smtp": "smtp",
    "smtpd": "smtpd",
    "trivial-rewrite": "trivial_rewrite",
    "virtual": "virtual",
}
# Table types by how they work here; tables/open.py has the openers.
TABLE_TYPES: Final = frozenset(
    {
        "btree", "cidr", "environ", "fail", "hash", "inline", "internal", "lmdb", "pcre", "pipemap", "proxy", "randmap",
        "regexp", "static", "texthash", "unionmap", "unix",
    }
)  # fmt: skip
_DAEMONS: Final = "posthouse.daemons"


def program_package(program: str) -> str | None:
    """Give the package of a program of master.cf; None when it is not built."""
    package = PROGRAMS.get(program)
    return package if package and _exists(f"{_DAEMONS}.{package}.daemon") else None


def _exists(module: str) -> bool:
    """Tell whether a module is there, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its package is not there either
        return False


def registry() -> Registry:
    """Gather what is built."""
    rows: list[Parameter[object]] = []
    for package in dict.fromkeys(PROGRAMS.values()):
        name = f"{_DAEMONS}.{package}.parameters"
        if _exists(name):
            rows += importlib.import_module(name).PARAMETERS
    programs = [program for program in PROGRAMS if program_package(program) is not None]
    return Registry.of(rows, programs, TABLE_TYPES)
