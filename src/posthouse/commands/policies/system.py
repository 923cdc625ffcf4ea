"""What all generated policies are made from: each daemon's rules under one configuration, and the places involved.

A daemon that serves several services of master.cf has one domain, so its rules are the union over these services. Who
talks to qmgr(8) gets descriptors of messages from it (agents, cleanup, showq).
"""

import importlib
import os.path
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from posthouse.commands.orders.accounts import find_owners
from posthouse.commands.orders.begin import Files, read_files
from posthouse.commands.orders.main import parse_configuration
from posthouse.commands.orders.programs import PROGRAMS, is_built
from posthouse.commands.orders.services import Builder
from posthouse.config.load import Configuration
from posthouse.config.parameters import (
    DATA_DIRECTORY,
    INET_INTERFACES,
    MAIL_SPOOL_DIRECTORY,
    MAILLOG_FILE,
    MYDESTINATION,
    QUEUE_DIRECTORY,
)
from posthouse.config.settings import DEFAULT_CONFIG_DIRECTORY, Settings
from posthouse.config.wire import parse_settings
from posthouse.confine.rules import Rules
from posthouse.ipc.orders_wire import Identity, ServiceOrder
from posthouse.skeleton.daemon import Daemon
from posthouse.skeleton.rules import OWN_SOURCE, compute_rules
from posthouse.util.errors import ConfigError

PREFIX: Final = "/opt/posthouse"  # where packaging/install.sh and the units put the environment
COMMANDS: Final = (  # what is executed by its own path
    "mailq", "newaliases", "postalias", "postcat", "postconf", "postfix", "posthouse",
    "postlog", "postmap", "postqueue", "postsuper", "sendmail",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Domain:
    """One daemon: its declaration, and what it comes to under this configuration. `services`: names in master.cf."""

    daemon: Daemon
    rules: Rules
    services: tuple[str, ...]
    gets_content: bool  # descriptors of messages, lent by qmgr

    @property
    def name(self) -> str:
        """As ps(1) and the manual name it."""
        return self.daemon.name

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Give what it keeps until its tables are open and its root directory is changed: nothing, for most."""
        wanted = {"dac_read_search": self.rules.root_files, "sys_chroot": bool(self.rules.root_directory)}
        return tuple(name for name, needed in wanted.items() if needed)


@dataclass(frozen=True, slots=True)
class System:
    """One configuration as the policies see it."""

    settings: Settings
    domains: tuple[Domain, ...]
    sockets: tuple[str, ...]  # every UNIX socket that master listens on, absolute
    ports: tuple[int, ...]  # and every TCP port
    prefix: str = PREFIX

    @property
    def queue(self) -> str:
        """Give queue_directory."""
        return os.path.normpath(self.settings[QUEUE_DIRECTORY])

    @property
    def data(self) -> str:
        """Give data_directory."""
        return os.path.normpath(self.settings[DATA_DIRECTORY])

    @property
    def configuration(self) -> str:
        """Give config_directory."""
        return os.path.normpath(self.settings.config_directory)

    @property
    def log(self) -> str:
        """Give maillog_file; "" when the log goes to syslog or to standard output."""
        path = self.settings[MAILLOG_FILE]
        return "" if path.startswith("/dev/") else path

    @property
    def mailboxes(self) -> tuple[str, ...]:
        """Give the directories that hold mailboxes, homes apart."""
        found = [self.settings[MAIL_SPOOL_DIRECTORY], self.settings.text("virtual_mailbox_base")]
        return tuple(dict.fromkeys(os.path.normpath(path) for path in found if path.startswith("/")))


def default_system(prefix: str = PREFIX) -> System:
    """Describe a system without main.cf and master.cf, in Debian's places."""
    return describe(parse_configuration(Files(DEFAULT_CONFIG_DIRECTORY, None, None)), prefix)


def read_system(directory: str, prefix: str) -> System:
    """Describe what a configuration directory makes. Raises ConfigError, Fatal."""
    return describe(parse_configuration(read_files(os.path.abspath(directory))), prefix)


def describe(configuration: Configuration, prefix: str = PREFIX) -> System:
    """Gather rules and places from the orders that master would get. Raises ConfigError."""
    settings = configuration.settings("master")
    orders = Builder(configuration, settings, as_root=False, owners=_owners(settings)).build()
    addresses = [address for order in orders for address in order.addresses]
    queue = settings[QUEUE_DIRECTORY]
    return System(
        settings=settings,
        domains=tuple(_domains(orders)),
        sockets=tuple(sorted({f"{queue}/{address.path}" for address in addresses if address.path})),
        ports=tuple(sorted({address.port for address in addresses if not address.path})),
        prefix=prefix,
    )


def _owners(settings: Settings) -> tuple[Identity, ...]:
    """Find the three users; () where they are not made yet, and so no table can be closed to them."""
    try:
        return find_owners(settings)
    except ConfigError:
        return ()


def daemons() -> tuple[Daemon, ...]:
    """Give the declaration of every daemon that is built, by name."""
    packages = sorted({program.package for program in PROGRAMS.values() if is_built(program.package)})
    found = (importlib.import_module(f"posthouse.daemons.{package}.daemon").DAEMON for package in packages)
    return tuple(sorted(found, key=lambda daemon: daemon.name))


def package_of(daemon: Daemon) -> str:
    """Give the package of a daemon: its name as Python can say it."""
    return daemon.name.replace("-", "_")


def _domains(orders: list[ServiceOrder]) -> Iterable[Domain]:
    for daemon in daemons():
        own = [order for order in orders if order.package == package_of(daemon)]
        if own:
            names = tuple(sorted({order.name for order in own}))
            yield Domain(daemon, united([_rules(daemon, order) for order in own]), names, "qmgr" in daemon.talks_to)


def _rules(daemon: Daemon, order: ServiceOrder) -> Rules:
    settings = parse_settings(order.settings)
    user = settings.expand(daemon.privileges.user)
    rules = compute_rules(daemon, settings, has_runas=True, user=user, chroot=order.chroot)
    return replace(rules, root_files=order.root_files)


def united(rules: list[Rules]) -> Rules:
    """Give what any of these may do. Their daemon and user are the same."""

    def paths(name: str) -> tuple[str, ...]:
        return tuple(sorted({path for each in rules for path in getattr(each, name)}))

    def flag(name: str) -> bool:
        return any(getattr(each, name) for each in rules)

    open_to_all = any(each.tcp_connect is None for each in rules)
    return Rules(
        daemon=rules[0].daemon,
        user=rules[0].user,
        root_directory=max(each.root_directory for each in rules),
        root_files=flag("root_files"),
        reads=paths("reads"),
        writes=paths("writes"),
        appends=paths("appends"),
        sockets=paths("sockets"),
        tcp_connect=None if open_to_all else tuple(sorted({port for each in rules for port in each.tcp_connect or ()})),
        tcp_bind=tuple(sorted({port for each in rules for port in each.tcp_bind})),
        udp=flag("udp"),
        threads=flag("threads"),
        executes=flag("executes"),
        accounts=flag("accounts"),
    )


def foreign(paths: Iterable[str]) -> list[str]:
    """Leave the program's own source out: it is named by its place, not by where this process found it."""
    return [path for path in paths if path != OWN_SOURCE]


def reads_interfaces(daemon: Daemon) -> bool:
    """Tell whether a daemon looks up the addresses of this host's interfaces at its start."""
    return bool({INET_INTERFACES, MYDESTINATION} & set(daemon.parameters))
