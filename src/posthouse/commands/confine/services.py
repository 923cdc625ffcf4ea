"""The services of a configuration, and the rules of each: shown, expected of a proof, and what explain refers to."""

import contextlib
import getpass
import importlib
import inspect
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from posthouse.commands.orders.accounts import find_owners
from posthouse.commands.orders.begin import read_files
from posthouse.commands.orders.main import parse_configuration
from posthouse.commands.orders.programs import PROGRAMS, is_built
from posthouse.commands.orders.services import Builder
from posthouse.config.load import Configuration
from posthouse.config.parameters import QUEUE_DIRECTORY
from posthouse.config.settings import Settings
from posthouse.config.wire import parse_settings
from posthouse.confine.rules import Rules
from posthouse.ipc.orders_wire import Address, Identity, ServiceOrder
from posthouse.skeleton.daemon import Daemon
from posthouse.skeleton.rules import compute_rules
from posthouse.util.errors import ConfigError

DECLARATION: Final = "Privileges("


class Served(NamedTuple):
    """One program of master.cf with the rules of its processes; `services` are those that it serves."""

    program: str
    services: tuple[str, ...]
    order: ServiceOrder
    daemon: Daemon
    settings: Settings
    rules: Rules


def read_configuration(directory: str) -> Configuration:
    """Read main.cf and master.cf as master's orders process does. Raises ConfigError, Fatal."""
    return parse_configuration(read_files(directory))


def served_of(configuration: Configuration, *, as_root: bool) -> list[Served]:
    """Give the programs of a configuration. Raises ConfigError."""
    settings = configuration.settings("master")
    owners: tuple[Identity, ...] = ()
    if as_root:
        with contextlib.suppress(ConfigError):  # a system that is not set up yet has no users, and has rules
            owners = find_owners(settings)
    return served_by(Builder(configuration, settings, as_root, owners).build(), as_root=as_root)


def served_by(orders: list[ServiceOrder], *, as_root: bool) -> list[Served]:
    """Give each program once, by its first service, with the rules that skeleton computes for it."""
    found: dict[str, Served] = {}
    for order in orders:
        known = found.get(order.program)
        if known is not None:
            found[order.program] = known._replace(services=(*known.services, order.name))
        else:
            found[order.program] = _served(order, as_root=as_root)
    return sorted(found.values(), key=lambda each: each.program)


def _served(order: ServiceOrder, *, as_root: bool) -> Served:
    settings, daemon = parse_settings(order.settings), daemon_of(order.package)
    queue = settings[QUEUE_DIRECTORY]
    user = settings.expand(daemon.privileges.user) if as_root else getpass.getuser()
    rules = compute_rules(daemon, settings, has_runas=bool(order.runas.kinds), user=user, chroot=order.chroot)
    listens = tuple(_listens(address, queue) for address in order.addresses)
    rules = replace(rules, root_files=order.root_files, serves=rules.serves or listens)
    return Served(order.program, (order.name,), order, daemon, settings, rules)


def _listens(address: Address, queue: str) -> str:
    return f"{queue}/{address.path}" if address.path else f"{address.host}:{address.port}"


def daemon_of(package: str) -> Daemon:
    """Give what a daemon declares."""
    daemon: Daemon = importlib.import_module(f"posthouse.daemons.{package}.daemon").DAEMON
    return daemon


def package_of(name: str) -> str:
    """Find a daemon's package by the name in the log, of the process or of a profile; "" when there is none."""
    plain = name.strip().replace("-", "_")
    for program, known in PROGRAMS.items():
        if plain in (program.replace("-", "_"), known.package, known.package[:15]) and is_built(known.package):
            return known.package
    return ""


def declaration_place(package: str) -> str:
    """Give file:line of a daemon's declaration."""
    path = inspect.getsourcefile(importlib.import_module(f"posthouse.daemons.{package}.daemon")) or ""
    return f"{path}:{next(_lines_with(path, DECLARATION), 1)}"


def _lines_with(path: str, text: str) -> Iterator[int]:
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if text in line and not line.startswith(("from", "import")):
                yield number


def runs_as_root(configuration: Configuration) -> bool:
    """Tell whether this system is one that root starts: then there is a user for each part of it."""
    if os.geteuid() == 0:
        return True
    try:
        return os.stat(configuration.settings("master")[QUEUE_DIRECTORY]).st_uid == 0
    except OSError:
        return True
