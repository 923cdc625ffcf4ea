"""What master(8) asks of warm(8): fixed records, with descriptors, on a SOCK_SEQPACKET pair. Both ends are here.

IMPORT names a daemon's package; SEAL ends the list, and warm answers READY when everything is imported, or FAILED
with the reason. Then only FORK and RUNAS follow; each is answered FORKED with the child's process number or FAILED.
Descriptors of FORK: settings, status socket, runas socket if `runas_socket` is set, then the listening sockets.
Of RUNAS: its control socket.
"""

import array
import os
import socket
from enum import IntEnum
from typing import Annotated, Final, NamedTuple

from posthouse.ipc.fixed import Flag, Layout, Number
from posthouse.ipc.orders_wire import Groups, Someone, named

MAX_DESCRIPTORS: Final = 253  # SCM_MAX_FD of Linux
MAX_REASON: Final = 400  # octets

# What master wants, and what warm answers.
Ask = IntEnum("Ask", "IMPORT SEAL FORK RUNAS")
Said = IntEnum("Said", "READY FORKED FAILED")


class Request(NamedTuple):
    """One request of master. Without `become` the child stays who warm is, which then is not root."""

    ask: Annotated[Ask, "B", Ask]
    number: Number = 0  # comes back in the answer
    package: Annotated[str, "48s", named(r"|[a-z][a-z0-9_]{0,46}")] = ""
    become: Flag = False
    uid: Someone = 1
    gid: Someone = 1
    groups: Groups = ()
    client_limit: Number = 0
    runas_socket: Flag = False
    chroot: Flag = False  # keep the right to change the root directory until the child has done so
    root_files: Flag = False  # keep the right to read every file until the child has opened its tables


class Answer(NamedTuple):
    """One answer of warm."""

    said: Annotated[Said, "B", Said]
    number: Number = 0
    pid: Number = 0
    reason: Annotated[str, f"{MAX_REASON}s"] = ""


REQUEST: Final = Layout(Request, b"PWr1")
ANSWER: Final = Layout(Answer, b"PWa1")


def send_record(sock: socket.socket, record: bytes, descriptors: list[int]) -> None:
    """Send one record with its descriptors."""
    sock.sendmsg([record], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))])


def receive_record(sock: socket.socket, limit: int) -> tuple[bytes, list[int]]:
    """Receive one record of at most `limit` octets with its descriptors, which are close-on-exec. b"": the end.

    Raises ValueError: more was sent than fits, and what came is closed.
    """
    size = socket.CMSG_SPACE(MAX_DESCRIPTORS * 4)
    record, ancillary, flags, _ = sock.recvmsg(limit, size, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for _, _, data in ancillary:  # nothing but descriptors was asked for
        descriptors.frombytes(data)
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close_all(descriptors.tolist())
        raise ValueError("record or descriptors truncated")
    return record, descriptors.tolist()


def close_all(descriptors: list[int]) -> None:
    """Close each."""
    for descriptor in descriptors:
        os.close(descriptor)
