"""The orders: what master(8) is told about its services, as records of fixed layout on a pipe.

An unprivileged process reads main.cf and master.cf and writes these records; master, which is root, reads nothing
else. So the reader here is strict and believes little: every text has a fixed field, names and packages are of a few
harmless characters, a UNIX-domain socket can only be in one of three directories below the queue directory, no owner
is root, and a stream without its END record is no orders at all. Standard library only. ipc/orders_stream.py writes.

Stream: HEAD (kind, length), then the payload. GLOBAL first, with its OWNERs; then for each service SERVICE, its
ADDRESSes, its RUNAS rule if it has one, and its SETTINGS (opaque to master); NOTEs anywhere; last END, which is empty.
Or one FAILED with the reason.
"""

import re
import struct
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Annotated, Any, Final, NamedTuple

from posthouse.ipc.fixed import Byte, Flag, Layout, Number, Short

HEAD: Final = struct.Struct("!HI")
MAX_TEXT: Final = 4096  # octets of a NOTE or FAILED text
MAX_SETTINGS: Final = 8 * 1024 * 1024  # octets of one service's settings: main.cf itself is a few kB
MAX_RECORDS: Final = 10_000  # services, addresses and notes together
MAX_GROUPS: Final = 16  # supplementary groups of one owner
MAX_DENIED: Final = 32  # groups that runas gives to nobody
MAX_PROCESSES: Final = 1024  # of one service


class WireError(ValueError):
    """The records are not what this module writes: our bug, or a broken-in orders process."""


class OrdersFailed(Exception):
    """The configuration cannot be used; the text says why and where."""


# ---------------------------------------------------------------------------------------------------------------------
# Checks


def named(pattern: str) -> Callable[[str], str]:
    """Make the check that lets only texts of this (ASCII) pattern pass, whole. It raises ValueError."""
    compiled = re.compile(pattern, re.ASCII)

    def check(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise ValueError(f'"{text}" cannot stand here')
        return text

    return check


def between(low: int, high: int) -> Callable[[int], int]:
    """Make the check that lets numbers from low to high pass. It raises ValueError."""

    def check(number: int) -> int:
        if not low <= number <= high:
            raise ValueError(f"{number} is not between {low} and {high}")
        return number

    return check


MAX_ID: Final = 2**32 - 2  # -1 means "unchanged" to setresuid(2)
not_root = between(1, MAX_ID)
Package = Annotated[str, "48s", named(r"[a-z][a-z0-9_]{0,46}")]  # below posthouse.daemons
Someone = Annotated[int, "I", not_root]
Groups = Annotated[tuple[int, ...], f"{MAX_GROUPS}I", not_root]
_Directory = Annotated[str, "1024s", named(r"(?!.*/\.\.(?:/|\Z))/.*")]  # absolute, and not by way of ".."
_name = named(r"[A-Za-z0-9_.:@%=+\[\]-]{1,99}")
_type = named("inet|unix|unix-dgram|pass|fifo")
_host = named(r"[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]{1,15})?")
_socket_path = named(r"(?:private|public|submit)/[A-Za-z0-9_@%=+-][A-Za-z0-9_.:@%=+-]{0,79}")


# ---------------------------------------------------------------------------------------------------------------------
# Values and their records


# What a record of the stream is; where the log goes; as whom a daemon runs (docs/security.md); a listening address.
Kind = IntEnum("Kind", "GLOBAL OWNER SERVICE ADDRESS RUNAS SETTINGS NOTE FAILED END")
LogKind = IntEnum("LogKind", "SYSLOG POSTLOG", start=0)
Owner = IntEnum("Owner", "INNER NETWORK QUEUE", start=0)
Family = IntEnum("Family", {"UNIX": 1, "UNIX_DATAGRAM": 2, "INET": 4, "INET6": 6})


class Identity(NamedTuple):
    """User and groups of an owner."""

    uid: Someone
    gid: Someone
    groups: Groups = ()


class Address(NamedTuple):
    """Where a service listens. `path` is relative to the queue directory."""

    family: Annotated[Family, "B", Family]
    host: Annotated[str, "64s"] = ""
    port: Short = 0
    path: Annotated[str, "128s"] = ""
    mode: Short = 0o666  # of a UNIX-domain socket


class RunasRule(NamedTuple):
    """What a service may ask of runas; kinds 0: nothing. uid, gid 0: any that is not below `minimum`."""

    kinds: Byte = 0
    minimum: Number = 1
    uid: Number = 0
    gid: Number = 0


class ServiceOrder(NamedTuple):
    """One line of master.cf (or an internal service), checked and counted out."""

    name: Annotated[str, "100s", _name]
    type: Annotated[str, "16s", _type]  # column 2
    program: Annotated[str, "64s"]  # as the log names it
    package: Package
    owner: Annotated[Owner, "B", Owner]
    chroot: Flag = False
    root_files: Flag = False  # opens tables that only root may read, before it serves
    wakeup_s: Number = 0
    wakeup_if_used: Flag = False
    limit: Number = 0  # clients at once; 0: no limit
    processes: Annotated[int, "H", between(1, MAX_PROCESSES)] = 1
    clients: Number = 0  # of one process; 0: no limit
    backlog: Short = 128
    stop_phase: Byte = 0  # when its turn is in an orderly stop, 0 first
    prefork: Flag = False  # there is always a process, wanted or not
    exposed: Flag = False  # strangers can reach it, so overload means something (postconf(5) stress)
    runas: RunasRule = RunasRule()
    addresses: tuple[Address, ...] = ()
    settings: bytes = b""

    @property
    def key(self) -> tuple[str, str]:
        """What identifies a service across a reload."""
        return self.name, self.type


class GlobalOrders(NamedTuple):
    """What concerns the system as a whole."""

    config_directory: _Directory
    queue_directory: _Directory
    data_directory: _Directory
    version: Annotated[str, "64s"]  # mail_version, for the log
    syslog_name: Annotated[str, "64s"]
    log: Annotated[LogKind, "B", LogKind] = LogKind.SYSLOG
    log_json: Flag = False
    facility: Byte = 2  # mail
    throttle_s: Number = 60
    denied_groups: Annotated[tuple[int, ...], f"{MAX_DENIED}I"] = ()
    owners: tuple[Identity, ...] = ()  # indexed by Owner; empty: everything runs as the present user


class Orders(NamedTuple):
    """All of it."""

    settings: GlobalOrders
    services: tuple[ServiceOrder, ...]
    notes: tuple[str, ...]


def _listening(address: Address) -> Address:
    """Let an address pass that one can listen at. Raises ValueError: it is none, or its path leads elsewhere."""
    if address.family in (Family.UNIX, Family.UNIX_DATAGRAM):
        _socket_path(address.path)
    else:
        _host(address.host)
    if address.mode & ~0o666 or (address.host and address.path):
        raise ValueError("no address to listen at")
    return address


GLOBAL: Final = Layout(GlobalOrders, b"POg1")
OWNER: Final = Layout(Identity, b"POo1")
SERVICE: Final = Layout(ServiceOrder, b"POs1")
ADDRESS: Final = Layout(Address, b"POa1", _listening)
RUNAS_RULE: Final = Layout(RunasRule, b"PRr1")


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def read_orders(data: bytes, *, as_root: bool) -> Orders:
    """Read a whole stream. Raises OrdersFailed: the configuration's fault; WireError: ours."""
    reader, kind = _Reader(), Kind.GLOBAL
    try:
        for kind, payload in _records(data):
            reader.take(kind, payload)
        return reader.finish(len(Owner) if as_root else 0)
    except (ValueError, IndexError, struct.error) as error:
        raise WireError(f"the orders process failed ({kind.name} record: {error})") from None


def _records(data: bytes) -> Iterator[tuple[Kind, bytes]]:
    position = 0
    for _ in range(MAX_RECORDS):
        number, length = HEAD.unpack_from(data, position)
        position += HEAD.size
        if length > min(len(data) - position, MAX_SETTINGS):
            raise WireError("record too long")
        if number == Kind.END and position == len(data):
            return
        yield Kind(number), data[position : position + length]
        position += length
    raise WireError("too many records")


class _Reader:
    def __init__(self) -> None:
        self._global: list[GlobalOrders] = []
        self._owners: list[Identity] = []
        self._services: list[ServiceOrder] = []
        self._notes: list[str] = []

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
        elif kind is Kind.ADDRESS:
            self._change(addresses=(*self._services[-1].addresses, ADDRESS.unpack(payload)))
        elif kind is Kind.RUNAS:
            self._change(runas=RUNAS_RULE.unpack(payload))
        elif kind is Kind.SETTINGS:
            self._change(settings=payload)
        else:
            raise WireError("something after the end")

    def _change(self, **fields: Any) -> None:  # noqa: ANN401 - what _replace takes
        self._services[-1] = self._services[-1]._replace(**fields)

    def finish(self, owners: int) -> Orders:
        """Give the orders. Raises WireError: they are not complete."""
        keys = {service.key for service in self._services if service.addresses}
        if (len(self._global), len(self._owners), len(keys)) != (1, owners, len(self._services)):
            raise WireError("something is missing or comes twice")
        return Orders(self._global[0]._replace(owners=tuple(self._owners)), tuple(self._services), tuple(self._notes))


def _clean(payload: bytes) -> str:
    return payload[:MAX_TEXT].decode("utf-8", "replace")
