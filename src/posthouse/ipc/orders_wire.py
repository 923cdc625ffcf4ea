"""The orders: what master(8) is told about its services, as records of fixed layout on a pipe.

An unprivileged process reads main.cf and master.cf and writes these records; master, which is root, reads nothing
else. So the reader here is strict and believes little: every text has a fixed field, names and packages are of a few
harmless characters, a UNIX-domain socket can only be in one of three directories below the queue directory, no owner
is root, and a stream without its END record is no orders at all. Standard library only; both ends are here.

Stream: HEAD (magic, kind, length), then the payload. GLOBAL first, then for each service SERVICE, its ADDRESSes and
its SETTINGS (opaque to master), NOTEs anywhere; last END with the number of services, or one FAILED with the reason.
"""

import re
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

HEAD: Final = struct.Struct("!4sHI")
MAGIC: Final = b"PHO1"
MAX_TEXT: Final = 4096  # octets of a NOTE or FAILED text
MAX_SETTINGS: Final = 8 * 1024 * 1024  # octets of one service's settings: main.cf itself is a few kB
MAX_SERVICES: Final = 1000
MAX_ADDRESSES: Final = 256  # of one service: a host with more interfaces than this names them in master.cf
MAX_GROUPS: Final = 16  # supplementary groups of one owner
MAX_DENIED: Final = 32  # groups that runas gives to nobody

_OWNER: Final = struct.Struct("!IIB3x16I")  # uid, gid, number of groups, groups
_GLOBAL: Final = struct.Struct("!1024s1024s1024s64s64sBBBxdB3x32I")
_SERVICE: Final = struct.Struct("!H100s64s48sBBBBIBxIHIHBBBBIII")
_ADDRESS: Final = struct.Struct("!HBxHH64s128s")
_END: Final = struct.Struct("!H")
_NUMBER: Final = struct.Struct("!H")

_PACKAGE: Final = re.compile(r"[a-z][a-z0-9_]{0,46}", re.ASCII)
_SERVICE_NAME: Final = re.compile(r"[A-Za-z0-9_.:@%=+\[\]-]{1,99}", re.ASCII)
_SOCKET_PATH: Final = re.compile(r"(?:private|public|submit)/[A-Za-z0-9_@%=+-][A-Za-z0-9_.:@%=+-]{0,79}", re.ASCII)
_HOST: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]{1,15})?", re.ASCII)


class WireError(ValueError):
    """The records are not what this module writes: our bug, or a broken-in orders process."""


class Kind(IntEnum):
    """What a record is."""

    GLOBAL = 1
    OWNER = 2
    SERVICE = 3
    ADDRESS = 4
    SETTINGS = 5
    NOTE = 6
    FAILED = 7
    END = 8


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


@dataclass(frozen=True, slots=True)
class Identity:
    """User and groups of an owner."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service listens. `path` is relative to the queue directory."""

    family: Family
    host: str = ""
    port: int = 0
    path: str = ""
    mode: int = 0o666  # of a UNIX-domain socket


@dataclass(frozen=True, slots=True)
class RunasRule:
    """What a service may ask of runas; kinds 0: nothing. uid, gid 0: any that is not below `minimum`."""

    kinds: int = 0
    minimum: int = 1
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class ServiceOrder:
    """One line of master.cf (or an internal service), checked and counted out."""

    number: int
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
    runas: RunasRule = field(default_factory=RunasRule)
    addresses: tuple[Address, ...] = ()
    settings: bytes = b""

    @property
    def key(self) -> tuple[str, str]:
        """What identifies a service across a reload."""
        return self.name, self.type


@dataclass(frozen=True, slots=True)
class GlobalOrders:
    """What concerns the system as a whole."""

    config_directory: str
    queue_directory: str
    data_directory: str
    version: str  # mail_version, for the log
    syslog_name: str
    log: LogKind = LogKind.SYSLOG
    log_json: bool = False
    facility: int = 2  # mail
    throttle_s: float = 60.0
    denied_groups: tuple[int, ...] = ()
    owners: tuple[Identity, ...] = ()  # indexed by Owner; empty: everything runs as the present user


@dataclass(frozen=True, slots=True)
class Orders:
    """All of it."""

    settings: GlobalOrders
    services: tuple[ServiceOrder, ...]
    notes: tuple[str, ...]


class OrdersFailed(Exception):
    """The configuration cannot be used; the text says why and where."""


# ---------------------------------------------------------------------------------------------------------------------
# Writing


def _text(text: str, size: int, what: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    if len(data) >= size or b"\0" in data:
        raise WireError(f"{what} is too long ({len(data)} octets, at most {size - 1}): {text[:60]}")
    return data


def _record(kind: Kind, payload: bytes) -> bytes:
    return HEAD.pack(MAGIC, kind, len(payload)) + payload


def _numbers(values: tuple[int, ...], size: int, what: str) -> tuple[int, ...]:
    if len(values) > size:
        raise WireError(f"{what}: more than {size}")
    return (*values, *([0] * (size - len(values))))


def format_failed(text: str) -> bytes:
    """The whole stream when there are no orders."""
    return _record(Kind.FAILED, text.encode("utf-8", "replace")[:MAX_TEXT])


def _format_global(o: GlobalOrders) -> bytes:
    paths = (_text(path, 1024, "path") for path in (o.config_directory, o.queue_directory, o.data_directory))
    names = (_text(o.version, 64, "mail_version"), _text(o.syslog_name, 64, "syslog_name"))
    denied = _numbers(o.denied_groups, MAX_DENIED, "denied groups")
    head = (o.log, o.log_json, o.facility, o.throttle_s, len(o.denied_groups))
    out = _record(Kind.GLOBAL, _GLOBAL.pack(*paths, *names, *head, *denied))
    for owner in o.owners:
        groups = _numbers(owner.groups, MAX_GROUPS, "groups of an owner")
        out += _record(Kind.OWNER, _OWNER.pack(owner.uid, owner.gid, len(owner.groups), *groups))
    return out


def _format_service(o: ServiceOrder) -> bytes:
    types = ("inet", "unix", "unix-dgram", "pass", "fifo")
    service = _SERVICE.pack(
        o.number,
        _text(o.name, 100, "service name"),
        _text(o.program, 64, "program name"),
        _text(o.package, 48, "package name"),
        types.index(o.type),
        o.owner,
        o.chroot,
        o.stop_phase,
        o.wakeup_s,
        o.wakeup_if_used,
        o.limit,
        o.processes,
        o.clients,
        o.backlog,
        len(o.addresses) - 1,
        o.prefork,
        0,
        o.runas.kinds,
        o.runas.minimum,
        o.runas.uid,
        o.runas.gid,
    )
    out = [_record(Kind.SERVICE, service)]
    for a in o.addresses:
        host, path = _text(a.host, 64, "address"), _text(a.path, 128, "socket path")
        out.append(_record(Kind.ADDRESS, _ADDRESS.pack(o.number, a.family, a.port, a.mode, host, path)))
    out.append(_record(Kind.SETTINGS, _NUMBER.pack(o.number) + o.settings))
    return b"".join(out)


def format_orders(orders: Orders) -> bytes:
    """Write the whole stream. Raises WireError: something does not fit its field."""
    out = [_format_global(orders.settings)]
    out += (_record(Kind.NOTE, note.encode("utf-8", "replace")[:MAX_TEXT]) for note in orders.notes)
    out += (_format_service(service) for service in orders.services)
    out.append(_record(Kind.END, _END.pack(len(orders.services))))
    return b"".join(out)


# ---------------------------------------------------------------------------------------------------------------------
# Reading (root)

_TYPES: Final = ("inet", "unix", "unix-dgram", "pass", "fifo")
_FIXED: Final = {
    Kind.GLOBAL: _GLOBAL.size,
    Kind.OWNER: _OWNER.size,
    Kind.SERVICE: _SERVICE.size,
    Kind.ADDRESS: _ADDRESS.size,
    Kind.END: _END.size,
}


def _read_text(data: bytes) -> str:
    text = data.rstrip(b"\0").decode("utf-8", "surrogateescape")
    if any(character < " " or character == "\x7f" for character in text):
        raise WireError("control character in a text")
    return text


def _path(data: bytes) -> str:
    path = _read_text(data)
    if not path.startswith("/") or "/../" in f"{path}/":
        raise WireError("a directory is not absolute")
    return path


def _check(condition: bool, what: str) -> None:
    if not condition:
        raise WireError(what)


class OrdersReader:
    """Collects the records; `finish` gives the orders or raises."""

    def __init__(self, *, as_root: bool) -> None:
        self._as_root = as_root
        self._global: GlobalOrders | None = None
        self._owners: list[Identity] = []
        self._services: list[ServiceOrder] = []
        self._expected: list[int] = []  # addresses announced by each service
        self._addresses: list[list[Address]] = []
        self._settings: list[bytes | None] = []
        self._notes: list[str] = []
        self._ended = False

    def read(self, data: bytes) -> Orders:
        """Read a whole stream. Raises OrdersFailed: the configuration's fault; WireError: ours."""
        position = 0
        while position < len(data):
            _check(len(data) - position >= HEAD.size, "half a record")
            magic, number, length = HEAD.unpack_from(data, position)
            position += HEAD.size
            _check(magic == MAGIC and 1 <= number <= Kind.END and not self._ended, "no record, or one after the end")
            _check(length <= min(len(data) - position, MAX_SETTINGS), "record too long")
            self._take(Kind(number), data[position : position + length])
            position += length
        return self._finish()

    def _take(self, kind: Kind, payload: bytes) -> None:
        _check(_FIXED.get(kind, len(payload)) == len(payload), "record of wrong size")
        if kind is Kind.FAILED:
            raise OrdersFailed(_clean(payload))
        if kind is Kind.NOTE:
            _check(len(self._notes) < MAX_SERVICES, "too many notes")
            self._notes.append(_clean(payload))
        elif kind is Kind.GLOBAL:
            self._take_global(payload)
        elif kind is Kind.OWNER:
            self._take_owner(payload)
        elif kind is Kind.SERVICE:
            self._take_service(payload)
        elif kind is Kind.ADDRESS:
            self._take_address(payload)
        elif kind is Kind.SETTINGS:
            self._take_settings(payload)
        else:
            _check(_END.unpack(payload)[0] == len(self._services), "services are missing")
            self._ended = True

    def _take_global(self, payload: bytes) -> None:
        _check(self._global is None, "two GLOBAL records")
        config, queue, data, version, name, log, json, facility, throttle, count, *denied = _GLOBAL.unpack(payload)
        _check(log <= 1 and json <= 1 and facility < 24 and count <= MAX_DENIED, "GLOBAL: number out of range")
        _check(1 <= throttle <= 86400, "service_throttle_time out of range")
        self._global = GlobalOrders(
            config_directory=_path(config),
            queue_directory=_path(queue),
            data_directory=_path(data),
            version=_read_text(version),
            syslog_name=_read_text(name),
            log=LogKind(log),
            log_json=bool(json),
            facility=facility,
            throttle_s=throttle,
            denied_groups=tuple(denied[:count]),
        )

    def _take_owner(self, payload: bytes) -> None:
        uid, gid, count, *groups = _OWNER.unpack(payload)
        _check(self._as_root and len(self._owners) < len(Owner) and count <= MAX_GROUPS, "OWNER out of place")
        _check(uid != 0 and gid != 0 and 0 not in groups[:count], "an owner is root")
        _check(max(uid, gid, *groups) < 2**32 - 1, "an owner is no user")
        self._owners.append(Identity(uid, gid, tuple(groups[:count])))

    def _take_service(self, payload: bytes) -> None:
        number, name, program, package, type_, owner, chroot, phase, *rest = _SERVICE.unpack(payload)
        wakeup, if_used, limit, processes, clients, backlog, addresses, prefork, _, kinds, minimum, uid, gid = rest
        _check(number == len(self._services) < MAX_SERVICES, "services out of order")
        _check(type_ < len(_TYPES) and owner < len(Owner) and max(chroot, if_used, prefork) <= 1, "SERVICE: flag")
        _check(1 <= processes <= 1024 and phase <= 3 and addresses < MAX_ADDRESSES, "SERVICE: number")
        texts = [_read_text(text) for text in (name, program, package)]
        _check(bool(_SERVICE_NAME.fullmatch(texts[0]) and _PACKAGE.fullmatch(texts[2])), "SERVICE: name")
        self._expected.append(addresses + 1)
        self._addresses.append([])
        self._settings.append(None)
        self._services.append(
            ServiceOrder(
                number=number,
                name=texts[0],
                type=_TYPES[type_],
                program=texts[1],
                package=texts[2],
                owner=Owner(owner),
                chroot=bool(chroot),
                wakeup_s=wakeup,
                wakeup_if_used=bool(if_used),
                limit=limit,
                processes=processes,
                clients=clients,
                backlog=backlog,
                stop_phase=phase,
                prefork=bool(prefork),
                runas=RunasRule(kinds, minimum, uid, gid),
            )
        )

    def _take_address(self, payload: bytes) -> None:
        number, family, port, mode, host, path = _ADDRESS.unpack(payload)
        _check(number == len(self._services) - 1, "ADDRESS out of place")
        address = Address(Family(family), _read_text(host), port, _read_text(path), mode)
        if address.family in {Family.UNIX, Family.UNIX_DATAGRAM}:
            _check(_SOCKET_PATH.fullmatch(address.path) is not None and mode <= 0o666, "ADDRESS: socket path")
        else:
            _check(_HOST.fullmatch(address.host) is not None, "ADDRESS: host")
        self._addresses[number].append(address)

    def _take_settings(self, payload: bytes) -> None:
        _check(len(payload) >= _NUMBER.size, "SETTINGS too short")
        number = _NUMBER.unpack_from(payload)[0]
        _check(number == len(self._services) - 1 and self._settings[number] is None, "SETTINGS out of place")
        self._settings[number] = payload[_NUMBER.size :]

    def _finish(self) -> Orders:
        if not self._ended or self._global is None:
            raise WireError("the orders end early")
        _check(len(self._owners) == (len(Owner) if self._as_root else 0), "owners are missing")
        services = []
        for order in self._services:
            addresses, settings = self._addresses[order.number], self._settings[order.number]
            _check(len(addresses) == self._expected[order.number] and settings is not None, "a service is incomplete")
            services.append(_with(order, tuple(addresses), settings or b""))
        _check(len({order.key for order in services}) == len(services), "a service twice")
        return Orders(_with_owners(self._global, tuple(self._owners)), tuple(services), tuple(self._notes))


def _clean(payload: bytes) -> str:
    return payload[:MAX_TEXT].decode("utf-8", "replace")


def _with(order: ServiceOrder, addresses: tuple[Address, ...], settings: bytes) -> ServiceOrder:
    values = {name: getattr(order, name) for name in order.__slots__}
    return ServiceOrder(**{**values, "addresses": addresses, "settings": settings})


def _with_owners(settings: GlobalOrders, owners: tuple[Identity, ...]) -> GlobalOrders:
    values = {name: getattr(settings, name) for name in settings.__slots__}
    return GlobalOrders(**{**values, "owners": owners})
