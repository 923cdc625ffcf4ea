"""Checks of what values ask of master.cf: transports and services by name, users and commands of pipe(8), sockets."""

import difflib
import os
import pwd
from collections.abc import Iterator
from typing import Final, NamedTuple

from posthouse.config.check_services import KNOWN_PROGRAMS
from posthouse.config.check_tables import tables_in
from posthouse.config.checks.context import Context
from posthouse.config.findings import ERROR, NOTE, WARNING, Finding, Kind, Place
from posthouse.config.master_cf import Service

NO_TRANSPORT = Kind(
    "unknown-transport",
    WARNING,
    "A value, or an entry of transport_maps or its like, names a transport that master.cf does not have.",
    "mail for it waits in the queue, and is returned when it is too old",
)
NO_SERVICE = Kind(
    "unknown-service",
    WARNING,
    "A parameter such as cleanup_service_name names a service that master.cf does not have.",
    "what needs it waits or fails",
)
PIPE_USER = Kind(
    "pipe-user-unknown",
    WARNING,
    "A transport that is used runs a command as a user who does not exist.",
    "mail for it waits in the queue",
)
PIPE_COMMAND = Kind(
    "pipe-command-missing",
    WARNING,
    "A transport that is used runs a command that is not there or cannot be run.",
    "mail for it waits in the queue",
)
LONG_NAME = Kind(
    "socket-name-too-long",
    ERROR,
    "The name of a service's socket, below queue_directory, is longer than the kernel allows.",
    "the service cannot start",
    "choose a shorter queue_directory",
)
LOW_PORT = Kind(
    "privileged-port",
    NOTE,
    "A service listens at a port below 1024, and the mail system is not run by root.",
    "the service cannot start, unless systemd passes the socket or the kernel allows the port",
    "give it a port of 1024 or more, or allow it with sysctl net.ipv4.ip_unprivileged_port_start",
)
# Parameters whose value begins with a transport, and the class of domains that makes a default of theirs matter.
_VALUES: Final = {
    "default_transport": "",
    "local_transport": "mydestination",
    "relay_transport": "relay_domains",
    "virtual_transport": "virtual_mailbox_domains",
    "mailbox_transport": "-",
    "fallback_transport": "-",
    "content_filter": "-",
    "best_mx_transport": "-",
}
_MAPS: Final = (
    "transport_maps", "sender_dependent_default_transport_maps", "mailbox_transport_maps", "fallback_transport_maps",
    "default_transport_maps",
)  # fmt: skip
_INTERNAL: Final = frozenset({"retry", "dns", "governor", "proxywrite", "postlog"})  # there without a line
_MAX_SOCKET: Final = 107  # unix(7): 108 with the NUL
_STATUS: Final = "/proc/self/status"
_CAP_NET_BIND_SERVICE: Final = 10  # capabilities(7)
_PORT_START: Final = "/proc/sys/net/ipv4/ip_unprivileged_port_start"


class Use(NamedTuple):
    """A transport that something names."""

    transport: str
    place: Place
    shown: str


def uses(context: Context) -> Iterator[Use]:
    """Find every transport that values and tables name; defaults where their class has domains."""
    for service, settings in context.readers():
        own = {name for name, _ in service.overrides} if service else set(context.configuration.main.values)
        for name, domains in _VALUES.items():
            if name in own or (service is None and _has_domains(context, domains)):
                yield from _use(context.text(name, settings), context.place(name, settings), name)
    for name in _MAPS:
        for kind, table in tables_in(context.items(name)):
            for entry in context.probe.entries(kind, table, aliases=False):
                place = Place(table, entry.line) if table.startswith("/") else context.place(name)
                yield from _use(entry.value, place, f"{name}: {entry.key}")


def _has_domains(context: Context, domains: str) -> bool:
    """Tell whether a class has domains; the old default of relay_domains, mydestination, does not count."""
    if domains in ("", "-"):
        return domains == ""
    return bool(context.items(domains)) and (domains != "relay_domains" or context.is_set(domains))


def _use(value: str, place: Place, shown: str) -> Iterator[Use]:
    transport = value.partition(":")[0].strip()
    if transport and transport.upper() != "DUNNO":
        yield Use(transport, place, shown)


def check_transports(context: Context) -> Iterator[Finding]:
    """Each transport that is named is a service; what it runs is there."""
    if not context.configuration.master.exists:
        return
    services = {service.name: service for service in context.services() if service.type in ("unix", "fifo")}
    piped: dict[str, Service] = {}
    for use in uses(context):
        service = services.get(use.transport)
        if service is not None and service.program == "pipe":
            piped[service.name] = service
        elif service is None and use.transport not in _INTERNAL:
            what = f'{use.shown}: master.cf has no transport "{use.transport}"'
            yield NO_TRANSPORT.at(use.place, what, _guess(use.transport, services))
    for service in piped.values():
        yield from _check_pipe(context, service)


def _guess(name: str, services: dict[str, Service]) -> str:
    near = [] if name in KNOWN_PROGRAMS else difflib.get_close_matches(name, [*services], n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else f"add a service {name} to master.cf, or name another"


def _check_pipe(context: Context, service: Service) -> Iterator[Finding]:
    place = context.line_of(service)
    for word in service.plain_arguments:
        name, equals, value = word.partition("=")
        if name == "user" and equals:
            user = value.partition(":")[0]
            try:
                pwd.getpwnam(user)
            except KeyError:
                yield PIPE_USER.at(place, f"{service.name}: there is no user {user}", f"make the user {user}")
        elif name == "argv" and equals:
            if value.startswith("/") and not os.access(value, os.X_OK):
                what = f"{service.name}: {value} is not there, or cannot be run"
                yield PIPE_COMMAND.at(place, what, "correct its name, or install it")
            return  # what follows belongs to the command


def check_service_names(context: Context) -> Iterator[Finding]:
    """Each service that a parameter names is there."""
    if not context.configuration.master.exists:
        return
    services = {service.name: service for service in context.services() if service.type != "inet"}
    for service, settings in context.readers():
        names = [name for name, _ in service.overrides] if service else list(context.configuration.main.values)
        for name in names:
            if not name.endswith("_service_name") or name.startswith("non_bdb_") or name == "smtpd_service_name":
                continue
            value = context.text(name, settings)
            if value and value not in services and value not in _INTERNAL:
                what = f'{name}: master.cf has no service "{value}"'
                yield NO_SERVICE.at(context.place(name, settings), what, _guess(value, services))


def check_sockets(context: Context) -> Iterator[Finding]:
    """Each socket's name fits; each port may be listened at."""
    queue = context.text("queue_directory")
    too_long: list[str] = []
    for service in context.services():
        if service.type == "inet":
            yield from _check_port(context, service)
            continue
        path = f"{queue}/{'private' if service.private else 'public'}/{service.name}"
        if len(os.fsencode(path)) > _MAX_SOCKET:
            too_long.append(service.name)
    if too_long:
        what = f"queue_directory: sockets below it have names of more than {_MAX_SOCKET} bytes: {', '.join(too_long)}"
        yield LONG_NAME.at(context.place("queue_directory"), what)


def _check_port(context: Context, service: Service) -> Iterator[Finding]:
    if context.as_root:
        return
    from posthouse.config.endpoints import find_port, split_endpoint  # noqa: PLC0415 (asks for names of ports)
    from posthouse.config.parameter import ConfigValueError  # noqa: PLC0415

    try:
        port = find_port(split_endpoint(service.name)[1], {})
    except ConfigValueError:
        return  # the check of endpoints says so
    if port < _first_free_port():
        yield LOW_PORT.at(context.line_of(service), f"{service.name}/inet: port {port} is for root")


def _first_free_port() -> int:
    """Give the lowest port that this process may listen at; 0 when it has the capability for all."""
    try:
        with open(_STATUS, encoding="ascii", errors="replace") as file:
            held = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
        if held >> _CAP_NET_BIND_SERVICE & 1:
            return 0
        with open(_PORT_START, encoding="ascii") as file:
            return int(file.read())
    except (OSError, StopIteration, ValueError):
        return 1024
