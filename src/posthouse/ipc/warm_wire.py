"""What master(8) asks of warm(8): fixed records, with descriptors, on a SOCK_SEQPACKET pair. Both ends are here.

IMPORT names a daemon's package; SEAL ends the list, and warm answers READY when everything is imported, or FAILED
with the reason. Then only FORK and RUNAS follow; each is answered FORKED with the child's process number or FAILED.
Descriptors of FORK: settings, status socket, runas socket if `runas_socket` is set, then the listening sockets.
Of RUNAS: its control socket.
"""

import array
import re
import socket
from enum import IntEnum
from typing import Final, NamedTuple

from posthouse.ipc.fixed import Layout
from posthouse.ipc.orders_wire import MAX_GROUPS, no_roots, not_root

MAX_DESCRIPTORS: Final = 253  # SCM_MAX_FD of Linux
MAX_REASON: Final = 400  # octets
_PACKAGE: Final = re.compile(r"|[a-z][a-z0-9_]{0,46}", re.ASCII)


class Ask(IntEnum):
    """What master wants."""

    IMPORT = 1
    SEAL = 2
    FORK = 3
    RUNAS = 4


class Said(IntEnum):
    """What warm answers."""

    READY = 1
    FORKED = 2
    FAILED = 3


def package_name(text: str) -> str:
    """Let only a plain module name pass, or none. Raises ValueError."""
    if _PACKAGE.fullmatch(text) is None:
        raise ValueError("not a package of daemons")
    return text


class Request(NamedTuple):
    """One request of master. Without `become` the child stays who warm is, which then is not root."""

    ask: Ask
    number: int = 0  # comes back in the answer
    package: str = ""
    become: bool = False
    uid: int = 1
    gid: int = 1
    groups: tuple[int, ...] = ()
    client_limit: int = 0
    runas_socket: bool = False
    chroot: bool = False  # keep the right to change the root directory until the child has done so
    root_files: bool = False  # keep the right to read every file until the child has opened its tables


class Answer(NamedTuple):
    """One answer of warm."""

    said: Said
    number: int = 0
    pid: int = 0
    reason: str = ""


REQUEST: Final = Layout(
    Request,
    b"PWr1",
    ask=("B", Ask),
    number="I",
    package=("48s", package_name),
    become="?",
    uid=("I", not_root),
    gid=("I", not_root),
    groups=(f"{MAX_GROUPS}I", no_roots),
    client_limit="I",
    runas_socket="?",
    chroot="?",
    root_files="?",
)
ANSWER: Final = Layout(Answer, b"PWa1", said=("B", Said), number="I", pid="I", reason=f"{MAX_REASON}s")


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
