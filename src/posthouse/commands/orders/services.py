"""From master.cf's lines to service orders: addresses, users, and how many processes with how many clients each."""

import importlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from posthouse.commands.orders.accounts import pipe_user
from posthouse.commands.orders.programs import INTERNAL_MASTER_CF, PROGRAMS, Program, is_built
from posthouse.commands.orders.root_files import needs_root_files
from posthouse.config.check_services import NEVER_CHROOT, OUTSIDE_CHROOT
from posthouse.config.endpoints import service_addresses
from posthouse.config.lists import split_tokens
from posthouse.config.load import Configuration
from posthouse.config.master_cf import Service, parse_master_cf
from posthouse.config.parameters import COMPATIBILITY_LEVEL, DEFAULT_PROCESS_LIMIT, MAILLOG_FILE, REWRITE_SERVICE_NAME
from posthouse.config.settings import Settings
from posthouse.config.wire import format_settings
from posthouse.ipc.orders_wire import Address, Family, Identity, RunasRule, ServiceOrder
from posthouse.ipc.origin import CONTENT_FILTER
from posthouse.ipc.runas_wire import JobKind
from posthouse.skeleton.daemon import Daemon
from posthouse.skeleton.rules import REMOTE_TABLES, remote_specs
from posthouse.util.errors import ConfigError

MIN_BACKLOG: Final = 511  # Postfix uses the process limit; our processes hold many clients each, and so may the queue
MAX_BACKLOG: Final = 65535
SUBMIT_PATH: Final = "submit/submit"
PROCESS_LIMITS: Final = "posthouse_process_limits"  # "smtp=100 local=20 …" among the settings of qmgr
REQUEUE_FILTER: Final = "posthouse_requeue_filter"  # content_filter of pickup, among the settings of qmgr
PICKUP: Final = ("pickup", "unix")
# What an address becomes is trivial-rewrite's to say, for Postfix; whoever judges or writes the address must agree.
REWRITING: Final = frozenset(
    {"allow_percent_hack", "append_at_myorigin", "append_dot_mydomain", "myorigin", "swap_bangpath"}
)
REWRITERS: Final = ("smtpd", "cleanup")
_RUNAS_KINDS: Final = {
    "local": JobKind.MAILBOX | JobKind.COMMAND,
    "virtual": JobKind.MAILBOX,
    "pipe": JobKind.PIPE,
    "spawn": JobKind.SPAWN,
}


@dataclass(slots=True)
class Builder:
    """Collects the orders of all services, and what is to be said about them."""

    configuration: Configuration
    settings: Settings  # of the system as a whole
    as_root: bool
    owners: tuple[Identity, ...] = ()  # by Owner; empty without root
    notes: list[str] = field(default_factory=list)
    unbuilt: list[str] = field(default_factory=list)

    def build(self) -> list[ServiceOrder]:
        """Give an order for each service that can run. Raises ConfigError."""
        orders: list[ServiceOrder] = []
        taken: dict[Address, Service] = {}
        for service in self._all_services():
            program = PROGRAMS.get(service.program)
            label = f"{service.name} ({service.type}, {service.program})"
            if program is None or not is_built(program.package):
                self.unbuilt.append(label)
            else:
                orders.append(order := self._order(service, program))
                for address in order.addresses:
                    self._take(taken, address, service)
        if self.unbuilt:
            self.notes.append("services whose program is not built yet are left out: " + ", ".join(self.unbuilt))
        return orders

    def _take(self, taken: dict[Address, Service], address: Address, service: Service) -> None:
        other = taken.setdefault(address, service)
        if other is not service:
            where = address.path or f"{address.host} port {address.port}"
            why = f"{where} is already the address of service {other.name} (line {other.line})"
            raise ConfigError(why, file=self.configuration.master.path, line=service.line)

    def _all_services(self) -> Iterator[Service]:
        master = self.configuration.master
        services = {service.key: service for service in master.effective()}
        pickup = services.get(PICKUP)
        for service in parse_master_cf(INTERNAL_MASTER_CF, "built-in master.cf").services:
            if service.program == "pickup" and pickup is not None:  # "submit": the same mail by a shorter way
                services.setdefault(service.key, service._replace(overrides=pickup.overrides, line=pickup.line))
            else:
                services.setdefault(service.key, service)
        words = [word.removeprefix("!") for word in split_tokens(self.settings.text("master_service_disable"))]
        signs = [not word.startswith("!") for word in split_tokens(self.settings.text("master_service_disable"))]
        for service in services.values():
            names = (f"{service.name}/{service.type}", service.type)
            matches = [sign for word, sign in zip(words, signs, strict=True) if word in names]
            if not (matches and matches[0]):
                yield service

    def _limit(self, service: Service) -> int:
        limit = service.process_limit
        return self.settings[DEFAULT_PROCESS_LIMIT] if limit is None else limit

    def _process_limits(self) -> str:
        """Say what qmgr must know: how many deliveries each transport may do at once."""
        services = (service for service in self._all_services() if service.type == "unix")
        return " ".join(f"{service.name}={self._limit(service)}" for service in services)

    def _requeue_filter(self) -> str:
        """Say what qmgr must know: the content filter of mail that postsuper -r sends through cleanup again."""
        pickup = next((service for service in self._all_services() if service.key == PICKUP), None)
        return self.configuration.settings("pickup", pickup)[CONTENT_FILTER].strip().replace("$", "$$")

    def _rewriting(self, name: str) -> dict[str, str]:
        """Give a trivial-rewrite's own settings for what completes addresses; -o of others does not count there.

        With `smtpd -o myorigin=ours` relay control would take a name without a domain for ours, and cleanup send it on.
        """
        services = (service for service in self._all_services() if service.program == "trivial-rewrite")
        rewrite = next((service for service in services if service.name == name), None)
        settings = self.configuration.settings("trivial-rewrite", rewrite)
        return {name: settings.text(name).replace("$", "$$") for name in REWRITING}

    def _remote_tables(self) -> str:
        """Say what proxymap must know: tables that other services name and that it alone can open."""
        found: set[str] = set()
        for service in self._all_services():
            program = PROGRAMS.get(service.program)
            if program is not None and is_built(program.package) and program.package != "proxymap":
                daemon: Daemon = importlib.import_module(f"posthouse.daemons.{program.package}.daemon").DAEMON
                found |= remote_specs(daemon, self.configuration.settings(service.program, service))
        return " ".join(sorted(found)).replace("$", "$$")

    def _order(self, service: Service, program: Program) -> ServiceOrder:
        settings = self.configuration.settings(service.program, service)
        if program.package == "qmgr":
            settings = settings.overlaid({PROCESS_LIMITS: self._process_limits()})
            settings = settings.overlaid({REQUEUE_FILTER: self._requeue_filter()})
        if program.package == "proxymap":
            settings = settings.overlaid({REMOTE_TABLES: self._remote_tables()})
        if program.package in REWRITERS and not REWRITING.isdisjoint(name for name, _ in service.overrides):
            settings = settings.overlaid(self._rewriting(settings[REWRITE_SERVICE_NAME]))
        limit = self._limit(service)
        processors = len(os.sched_getaffinity(0))
        processes = 1 if program.solitary else min(processors, limit or processors)
        # maxproc 1 of a solitary program means one process, not one client (design.md 2).
        clients = 0 if program.solitary or not limit else -(-limit // processes)
        if limit == 1 and service.program == "proxymap":
            clients = 0  # proxywrite
        addresses = self._addresses(service)
        return ServiceOrder(
            name=service.name,
            type=service.type,
            program=service.program,
            package=program.package,
            owner=program.owner,
            chroot=self._chroot(service),
            root_files=self._needs_root_files(program, settings),
            wakeup_s=service.wakeup_s,
            wakeup_if_used=service.wakeup_only_if_used,
            limit=1 if program.solitary else limit,
            processes=processes,
            clients=clients,
            backlog=min(max(limit, MIN_BACKLOG), MAX_BACKLOG),
            stop_phase=program.stop_phase,
            prefork=program.prefork,
            exposed=any(address.host and not _is_loopback(address.host) for address in addresses),
            runas=self._runas(service, settings),
            addresses=addresses,
            settings=format_settings(settings),
        )

    def _chroot(self, service: Service) -> bool:
        if service.program in NEVER_CHROOT | OUTSIDE_CHROOT:
            return False
        if service.chroot is not None:
            return service.chroot
        return self.settings[COMPATIBILITY_LEVEL].strip() in ("", "0")  # "-" means y below level 1

    def _needs_root_files(self, program: Program, settings: Settings) -> bool:
        return bool(self.owners) and needs_root_files(program.package, settings, self.owners[program.owner])

    def _addresses(self, service: Service) -> tuple[Address, ...]:
        if service.type == "inet":
            pairs = service_addresses(service, self.settings, self.configuration.master.path)
            found = [Address(Family.INET6 if ":" in host else Family.INET, host, port) for host, port in pairs]
            usable = [address for address in found if address.family is Family.INET or _has_ipv6()]
            return tuple(usable or found)
        if service.key == ("submit", "unix"):
            return (Address(Family.UNIX, path=SUBMIT_PATH),)
        directory = "private" if service.private else "public"
        family = Family.UNIX_DATAGRAM if service.type == "unix-dgram" else Family.UNIX
        return (Address(family, path=f"{directory}/{service.name}"),)

    def _runas(self, service: Service, settings: Settings) -> RunasRule:
        kinds = _RUNAS_KINDS.get(service.program)
        if kinds is None or not self.as_root:
            return RunasRule()
        if service.program in ("pipe", "spawn"):
            where = ConfigError("", file=self.configuration.master.path, line=service.line)
            return RunasRule(kinds, 1, *pipe_user(service.plain_arguments, where))
        minimum = settings.text("virtual_minimum_uid") if service.program == "virtual" else "1"
        return RunasRule(kinds, int(minimum) if minimum.isascii() and minimum.isdecimal() else 100)

    @property
    def needs_postlog(self) -> bool:
        """Whether the log goes through postlogd."""
        return bool(self.settings[MAILLOG_FILE])


def _is_loopback(host: str) -> bool:
    return host == "::1" or host.startswith("127.")


def _has_ipv6() -> bool:
    """Tell whether this kernel has IPv6: inet_protocols = all means what there is."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True
