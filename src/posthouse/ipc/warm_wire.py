"""What master(8) asks of warm(8): fixed records, with descriptors, on a SOCK_SEQPACKET pair. Both ends are here.

IMPORT names a daemon's package; SEAL ends the list, and warm answers READY when everything is imported, or FAILED
with the reason. Then only FORK and RUNAS follow; each is answered FORKED with the child's process number or FAILED.
Descriptors of FORK: settings, status socket, runas socket if the flag says so, then the listening sockets.
Of RUNAS: its control socket.
"""

import array
import re
import socket
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

from posthouse.ipc.orders_wire import MAX_GROUPS, Identity

MAGIC: Final = b"PHW1"
MAX_DESCRIPTORS: Final = 253  # SCM_MAX_FD of Linux
MAX_REASON: Final = 400  # octets

_REQUEST: Final = struct.Struct("!4sBBHIIIIB3x16I48s")
_ANSWER: Final = struct.Struct("!4sB3xII400s")
_PACKAGE: Final = re.compile(rb"[a-z][a-z0-9_]{0,46}")


class Ask(IntEnum):
    """What master wants."""

    IMPORT = 1
    SEAL = 2
    FORK = 3
    RUNAS = 4


class Flag(IntFlag):
    """Flags of a FORK."""

    NONE = 0
    BECOME = 1  # take the identity in the record (warm is root)
    RUNAS_SOCKET = 2  # the third descriptor leads to runas


class Said(IntEnum):
    """What warm answers."""

    READY = 1
    FORKED = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class Request:
    """One request of master."""

    ask: Ask
    number: int = 0  # comes back in the answer
    package: str = ""
    identity: Identity | None = None  # None: stay who you are
    client_limit: int = 0
    runas_socket: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of warm."""

    said: Said
    number: int = 0
    pid: int = 0
    reason: str = ""


def format_request(request: Request) -> bytes:
    """Pack a request."""
    flags, who = Flag.NONE, request.identity
    if who is not None:
        flags |= Flag.BECOME
    if request.runas_socket:
        flags |= Flag.RUNAS_SOCKET
    uid, gid, groups = (who.uid, who.gid, who.groups) if who else (0, 0, ())
    padded = (*groups, *([0] * (MAX_GROUPS - len(groups))))
    head = (MAGIC, request.ask, flags, 0, request.number, request.client_limit, uid, gid, len(groups))
    return _REQUEST.pack(*head, *padded, request.package.encode("ascii"))


def parse_request(record: bytes) -> Request:
    """Unpack a request. Raises ValueError: not what this module writes, or root as somebody to become."""
    if len(record) != _REQUEST.size:
        raise ValueError("warm request: wrong size")
    magic, ask, flags, _, number, limit, uid, gid, count, *rest = _REQUEST.unpack(record)
    groups, package = tuple(rest[:MAX_GROUPS]), rest[MAX_GROUPS].rstrip(b"\0")
    if magic != MAGIC or count > MAX_GROUPS or (package and not _PACKAGE.fullmatch(package)):
        raise ValueError("warm request: wrong version, count or name")
    identity = None
    if flags & Flag.BECOME:
        identity = Identity(uid, gid, groups[:count])
        if uid == 0 or gid == 0 or 0 in identity.groups:
            raise ValueError("warm request: a daemon is never root")
    return Request(Ask(ask), number, package.decode("ascii"), identity, limit, bool(flags & Flag.RUNAS_SOCKET))


def format_answer(answer: Answer) -> bytes:
    """Pack an answer."""
    reason = answer.reason.encode("utf-8", "replace")[:MAX_REASON]
    return _ANSWER.pack(MAGIC, answer.said, answer.number, answer.pid, reason)


def parse_answer(record: bytes) -> Answer:
    """Unpack an answer. Raises ValueError: not what this module writes."""
    if len(record) != _ANSWER.size:
        raise ValueError("warm answer: wrong size")
    magic, said, number, pid, reason = _ANSWER.unpack(record)
    if magic != MAGIC:
        raise ValueError("warm answer: wrong version")
    return Answer(Said(said), number, pid, reason.rstrip(b"\0").decode("utf-8", "replace"))


def send_record(sock: socket.socket, record: bytes, descriptors: list[int]) -> None:
    """Send one record with its descriptors."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    sock.sendmsg([record], rights)


def receive_record(sock: socket.socket, limit: int) -> tuple[bytes, list[int]]:
    """Receive one record of at most `limit` octets with its descriptors, which are close-on-exec. b"": the end.

    Raises ValueError: more was sent than fits, and what came is closed.
    """
    size = socket.CMSG_SPACE(MAX_DESCRIPTORS * 4)
    record, ancillary, flags, _ = sock.recvmsg(limit, size, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close_all(descriptors.tolist())
        raise ValueError("record or descriptors truncated")
    return record, descriptors.tolist()


def close_all(descriptors: list[int]) -> None:
    """Close each."""
    for descriptor in descriptors:
        socket.close(descriptor)


REQUEST_SIZE: Final = _REQUEST.size
ANSWER_SIZE: Final = _ANSWER.size
