"""Who sent a datagram, by the kernel's word. Any user can write to the socket, so a line proves nothing by itself.

Master asks for credentials before it binds. On a socket that somebody else made, what came before postlogd asked is
from process 0, which is nobody. Sources: unix(7) SO_PASSCRED, SCM_RIGHTS.
"""

import array
import contextlib
import os
import socket
import struct
from collections.abc import Iterable
from typing import Final

from posthouse.ipc.stream import refuse_descriptors

UNKNOWN: Final = -1  # no credentials came
MAX_FOREIGN_LINES: Final = 10  # of one datagram of somebody else
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid
_ROOM: Final = socket.CMSG_SPACE(_CREDENTIALS.size)


def ask_for_credentials(sockets: Iterable[socket.socket]) -> None:
    """Have the kernel say with each datagram who sent it, and let nobody pass descriptors."""
    sockets = list(sockets)
    for sock in sockets:
        with contextlib.suppress(OSError):  # no UNIX socket
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    refuse_descriptors(sockets)


def receive(sock: socket.socket, size: int) -> tuple[bytes, int]:
    """Read a datagram; its sender's uid, or UNKNOWN. Raises OSError."""
    data, ancillary, _flags, _address = sock.recvmsg(size, _ROOM, socket.MSG_CMSG_CLOEXEC)
    uid = UNKNOWN
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS and len(payload) == _CREDENTIALS.size:
            pid, sender, _gid = _CREDENTIALS.unpack(payload)
            uid = sender if pid else UNKNOWN
        elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            passed = array.array("i")
            passed.frombytes(payload[: len(payload) - len(payload) % passed.itemsize])
            for descriptor in passed:
                os.close(descriptor)
    return data, uid
