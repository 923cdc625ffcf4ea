"""The orders: what master(8) is told about its services, as records of fixed layout on a pipe.

An unprivileged process reads main.cf and master.cf and writes these records; master, which is root, reads nothing
else. So the reader here is strict and believes little: every text has a fixed field, names and packages are of a few
harmless characters, a UNIX-domain socket can only be in one of three directories below the queue directory, no owner
is root, and a stream without its END record is no orders at all. Standard library only; both ends are here.

Stream: HEAD (kind, length), then the payload. GLOBAL first, with its OWNERs; then for each service SERVICE, its
ADDRESSes, its RUNAS rule if it has one, and its SETTINGS (opaque to master); NOTEs anywhere; last END with the number
of services. Or one FAILED with the reason.
"""

import re
import struct
from enum import IntEnum
from typing import Final, NamedTuple

from posthouse.ipc.fixed import Layout

HEAD: Final = struct.Struct("!HI")
MAX_TEXT: Final = 4096  # octets of a NOTE or FAILED text
MAX_SETTINGS: Final = 8 * 1024 * 1024  # octets of one service's settings: main.cf itself is a few kB
MAX_RECORDS: Final = 10_000  # services, addresses and notes together
MAX_GROUPS: Final = 16  # supplementary groups of one owner
MAX_DENIED: Final = 32  # groups that runas gives to nobody
MAX_PROCESSES: Final = 1024  # of one service

_SERVICE_TYPES: Final = ("inet", "unix", "unix-dgram", "pass", "fifo")
_SERVICE_NAME: Final = re.compile(r"[A-Za-z0-9_.:@%=+\[\]-]{1,99}", re.ASCII)
_SOCKET_PATH: Final = re.compile(r"(?:private|public|submit)/[A-Za-z0-9_@%=+-][A-Za-z0-9_.:@%=+-]{0,79}", re.ASCII)
_PACKAGE: Final = re.compile(r"[a-z][a-z0-9_]{0,46}", re.ASCII)
_HOST: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]{1,15})?", re.ASCII)


class WireError(ValueError):
    """The records are not what this module writes: our bug, or a broken-in orders process."""


class OrdersFailed(Exception):
    """The configuration cannot be used; the text says why and where."""


class Kind(IntEnum):
    """What a record is."""

    GLOBAL = 1
    OWNER = 2
    SERVICE = 3
    ADDRESS = 4
    RUNAS = 5
    SETTINGS = 6
    NOTE = 7
    FAILED = 8
    END = 9


class Owner(IntEnum):
    """As whom a daemon runs (docs/security.md)."""

    INNER = 0
    NETWORK = 1
    QUEUE = 2


class Family(IntEnum):
    """The kind of a listening address."""

    UNIX = 1
    UNIX_DATAGRAM = 2
    INET = 4
    INET6 = 6


class LogKind(IntEnum):
    """Where the log goes."""

    SYSLOG = 0
    POSTLOG = 1


class Identity(NamedTuple):
    """User and groups of an owner."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


class Address(NamedTuple):
    """Where a service listens. `path` is relative to the queue directory."""

    family: Family
    host: str = ""
    port: int = 0
    path: str = ""
    mode: int = 0o666  # of a UNIX-domain socket


class RunasRule(NamedTuple):
    """What a service may ask of runas; kinds 0: nothing. uid, gid 0: any that is not below `minimum`."""

    kinds: int = 0
    minimum: int = 1
    uid: int = 0
    gid: int = 0


class ServiceOrder(NamedTuple):
    """One line of master.cf (or an internal service), checked and counted out."""

    name: str
    type: str  # column 2
    program: str  # as the log names it
    package: str  # below posthouse.daemons
    owner: Owner
    chroot: bool = False
    wakeup_s: int = 0
    wakeup_if_used: bool = False
    limit: int = 0  # clients at once; 0: no limit
    processes: int = 1
    clients: int = 0  # of one process; 0: no limit
    backlog: int = 128
    stop_phase: int = 0  # when its turn is in an orderly stop, 0 first
    prefork: bool = False  # there is always a process, wanted or not
    runas: RunasRule = RunasRule()
    addresses: tuple[Address, ...] = ()
    settings: bytes = b""

    @property
    def key(self) -> tuple[str, str]:
        """What identifies a service across a reload."""
        return self.name, self.type


class GlobalOrders(NamedTuple):
    """What concerns the system as a whole."""

    config_directory: str
    queue_directory: str
    data_directory: str
    version: str  # mail_version, for the log
    syslog_name: str
    log: LogKind = LogKind.SYSLOG
    log_json: bool = False
    facility: int = 2  # mail
    throttle_s: int = 60
    denied_groups: tuple[int, ...] = ()
    owners: tuple[Identity, ...] = ()  # indexed by Owner; empty: everything runs as the present user


class Orders(NamedTuple):
    """All of it."""

    settings: GlobalOrders
    services: tuple[ServiceOrder, ...]
    notes: tuple[str, ...]


# ---------------------------------------------------------------------------------------------------------------------
# Layouts and checks


def not_root(number: int) -> int:
    """Let a user or group id pass that is not root's. Raises ValueError."""
    if not 0 < number < 2**32 - 1:
        raise ValueError("root, or nobody at all")
    return number


def no_roots(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Let groups pass that are not root's. Raises ValueError."""
    return tuple(map(not_root, numbers))


def _directory(path: str) -> str:
    if not path.startswith("/") or "/../" in f"{path}/":
        raise ValueError("a directory is not absolute")
    return path


def _service_name(name: str) -> str:
    if _SERVICE_NAME.fullmatch(name) is None:
        raise ValueError("service name")
    return name


def _service_type(name: str) -> str:
    if name not in _SERVICE_TYPES:
        raise ValueError("service type")
    return name


def _package(name: str) -> str:
    if _PACKAGE.fullmatch(name) is None:
        raise ValueError("package name")
    return name


def _address(family: Family, host: str, port: int, path: str, mode: int) -> Address:
    """Make an address. Raises ValueError: it is none, or its path leads elsewhere."""
    local = family in (Family.UNIX, Family.UNIX_DATAGRAM)
    pattern, text = (_SOCKET_PATH, path) if local else (_HOST, host)
    if pattern.fullmatch(text) is None or mode & ~0o666 or (host if local else path):
        raise ValueError(f'"{text}" is no address to listen at')
    return Address(family, host, port, path, mode)


def _processes(number: int) -> int:
    if not 0 < number <= MAX_PROCESSES:
        raise ValueError("number of processes")
    return number


GLOBAL: Final = Layout(
    GlobalOrders,
    b"POg1",
    config_directory=("1024s", _directory),
    queue_directory=("1024s", _directory),
    data_directory=("1024s", _directory),
    version="64s",
    syslog_name="64s",
    log=("B", LogKind),
    log_json="?",
    facility="B",
    throttle_s="I",
    denied_groups=f"{MAX_DENIED}I",
)
OWNER: Final = Layout(Identity, b"POo1", uid=("I", not_root), gid=("I", not_root), groups=(f"{MAX_GROUPS}I", no_roots))
SERVICE: Final = Layout(
    ServiceOrder,
    b"POs1",
    name=("100s", _service_name),
    type=("16s", _service_type),
    program="64s",
    package=("48s", _package),
    owner=("B", Owner),
    chroot="?",
    wakeup_s="I",
    wakeup_if_used="?",
    limit="I",
    processes=("H", _processes),
    clients="I",
    backlog="H",
    stop_phase="B",
    prefork="?",
)
ADDRESS: Final = Layout(_address, b"POa1", family=("B", Family), host="64s", port="H", path="128s", mode="H")
RUNAS_RULE: Final = Layout(RunasRule, b"PRr1", kinds="B", minimum="I", uid="I", gid="I")
_END: Final = struct.Struct("!H")


# ---------------------------------------------------------------------------------------------------------------------
# Writing (the orders process)


def _record(kind: Kind, payload: bytes) -> bytes:
    return HEAD.pack(kind, len(payload)) + payload


def format_failed(text: str) -> bytes:
    """Write the whole stream when there are no orders."""
    return _record(Kind.FAILED, text.encode("utf-8", "replace")[:MAX_TEXT])


def format_orders(orders: Orders) -> bytes:
    """Write the whole stream. Raises ValueError: something does not fit its field."""
    out = [_record(Kind.GLOBAL, GLOBAL.pack(orders.settings))]
    out += (_record(Kind.OWNER, OWNER.pack(owner)) for owner in orders.settings.owners)
    out += (_record(Kind.NOTE, note.encode("utf-8", "replace")[:MAX_TEXT]) for note in orders.notes)
    for service in orders.services:
        out.append(_record(Kind.SERVICE, SERVICE.pack(service)))
        out += (_record(Kind.ADDRESS, ADDRESS.pack(address)) for address in service.addresses)
        if service.runas.kinds:
            out.append(_record(Kind.RUNAS, RUNAS_RULE.pack(service.runas)))
        out.append(_record(Kind.SETTINGS, service.settings))
    out.append(_record(Kind.END, _END.pack(len(orders.services))))
    return b"".join(out)


# ---------------------------------------------------------------------------------------------------------------------
# Reading (root)


def read_orders(data: bytes, *, as_root: bool) -> Orders:
    """Read a whole stream. Raises OrdersFailed: the configuration's fault; WireError: ours."""
    reader = _Reader(as_root)
    position, kind = 0, Kind.GLOBAL
    try:
        for _ in range(MAX_RECORDS):
            number, length = HEAD.unpack_from(data, position)
            position += HEAD.size
            if length > min(len(data) - position, MAX_SETTINGS):
                raise WireError("record too long")
            kind = Kind(number)
            reader.take(kind, data[position : position + length])
            position += length
            if kind is Kind.END:
                return reader.finish(rest=len(data) - position)
    except (ValueError, IndexError, struct.error) as error:
        raise WireError(f"{kind.name} record: {error}") from None
    raise WireError("too many records")


class _Reader:
    def __init__(self, as_root: bool) -> None:
        self._as_root = as_root
        self._global: list[GlobalOrders] = []
        self._owners: list[Identity] = []
        self._services: list[ServiceOrder] = []
        self._notes: list[str] = []
        self._announced = -1

    def take(self, kind: Kind, payload: bytes) -> None:
        """Take one record; whatever belongs to a service belongs to the last one that came."""
        if kind is Kind.FAILED:
            raise OrdersFailed(_clean(payload))
        if kind is Kind.NOTE:
            self._notes.append(_clean(payload))
        elif kind is Kind.GLOBAL:
            self._global.append(GLOBAL.unpack(payload))
        elif kind is Kind.OWNER:
            self._owners.append(OWNER.unpack(payload))
        elif kind is Kind.SERVICE:
            self._services.append(SERVICE.unpack(payload))
        elif kind is Kind.END:
            self._announced = _END.unpack(payload)[0]
        else:
            self._services[-1] = self._with(self._services[-1], kind, payload)

    def _with(self, service: ServiceOrder, kind: Kind, payload: bytes) -> ServiceOrder:
        if kind is Kind.ADDRESS:
            return service._replace(addresses=(*service.addresses, ADDRESS.unpack(payload)))
        if kind is Kind.RUNAS:
            return service._replace(runas=RUNAS_RULE.unpack(payload))
        return service._replace(settings=payload)

    def finish(self, *, rest: int) -> Orders:
        """Give the orders, if they are complete."""
        complete = (
            rest == 0
            and len(self._global) == 1
            and len(self._owners) == (len(Owner) if self._as_root else 0)
            and self._announced == len(self._services) == len({service.key for service in self._services})
            and all(service.addresses for service in self._services)
        )
        if not complete:
            raise WireError("something is missing or comes twice")
        return Orders(self._global[0]._replace(owners=tuple(self._owners)), tuple(self._services), tuple(self._notes))


def _clean(payload: bytes) -> str:
    return payload[:MAX_TEXT].decode("utf-8", "replace")
