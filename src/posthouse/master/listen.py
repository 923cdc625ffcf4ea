"""Listening sockets: made by master, inherited by daemons, kept open over reloads.

A socket is known by its address alone, so a reload that moves it to another service keeps it. UNIX-domain sockets are
given as paths below the queue directory, which is the current directory; the orders' reader allows three directories
there. From its first moment a socket outside of private/ takes no descriptors, and one for datagrams says who sent
them. The mode is set by the umask while binding: changing it by name afterwards could be led elsewhere by a link.
Master holds the locks of queue and data directory, so a socket file that exists is a dead instance's.
"""

import contextlib
import os
import socket
import stat
from typing import Final

from posthouse.ipc.orders_wire import Address, Family
from posthouse.util.fatal import Fatal

_FAMILIES: Final = {
    Family.UNIX: (socket.AF_UNIX, socket.SOCK_STREAM),
    Family.UNIX_DATAGRAM: (socket.AF_UNIX, socket.SOCK_DGRAM),
    Family.INET: (socket.AF_INET, socket.SOCK_STREAM),
    Family.INET6: (socket.AF_INET6, socket.SOCK_STREAM),
}
LISTEN_FDS_START: Final = 3  # sd_listen_fds(3)
SO_PASSRIGHTS: Final = 83  # asm-generic/socket.h, unix(7); Python 3.11 has no name for it


class Listeners:
    """All listening sockets by address."""

    def __init__(self, inherited: list[socket.socket]) -> None:
        self._sockets: dict[Address, socket.socket] = {}
        self._inherited = inherited

    def open_all(self, wanted: list[tuple[Address, int]]) -> dict[Address, socket.socket]:
        """Open those (address, backlog) that are not open; all or nothing. Raises Fatal: one cannot be opened."""
        made: dict[Address, socket.socket] = {}
        try:
            for address, backlog in wanted:
                if address not in self._sockets and address not in made:
                    made[address] = self._adopted(address) or _open(address, backlog)
        except OSError as error:
            for sock in made.values():
                sock.close()
            place = address.path or f"{address.host} port {address.port}"
            raise Fatal(f"bind {place}: {os.strerror(error.errno) if error.errno else error}") from None
        self._sockets.update(made)
        return {address: self._sockets[address] for address, _ in wanted}

    def keep_only(self, addresses: set[Address]) -> None:
        """Close and remove the others."""
        for address in set(self._sockets) - addresses:
            self._sockets.pop(address).close()
            if address.path and not any(other.path == address.path for other in self._sockets):
                with contextlib.suppress(OSError):
                    os.unlink(address.path)

    def _adopted(self, address: Address) -> socket.socket | None:
        """Find a socket that systemd passed for this address."""
        for sock in self._inherited:
            if (sock.family, sock.type) == _FAMILIES[address.family] and _is_at(sock, address):
                self._inherited.remove(sock)
                return sock
        return None


def small_number(text: str) -> int:
    """Read up to three ASCII digits; -1: it is something else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 3 else -1


def inherited_sockets(environment: dict[str, str]) -> list[socket.socket]:
    """Take the listening sockets that systemd passed to this very process (LISTEN_PID, LISTEN_FDS)."""
    pid, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    number = small_number(count) if pid == str(os.getpid()) else 0
    found = []
    for descriptor in range(LISTEN_FDS_START, LISTEN_FDS_START + number):
        with contextlib.suppress(OSError):
            sock = socket.socket(fileno=descriptor)
            sock.set_inheritable(False)
            sock.setblocking(False)
            found.append(sock)
    return found


def _is_at(sock: socket.socket, address: Address) -> bool:
    name = sock.getsockname()
    if address.path:  # of a nameless socket it is "", of an abstract one octets
        return bool(name) and os.path.abspath(name) == os.path.abspath(address.path)
    return bool(name[:2] == (address.host.partition("%")[0], address.port))


def _open(address: Address, backlog: int) -> socket.socket:
    if address.host:
        host, _, zone = address.host.partition("%")
        place = (host, address.port, *((0, socket.if_nametoindex(zone)) if zone else ()))
        sock = socket.create_server(place, family=_FAMILIES[address.family][0], backlog=backlog)
    else:
        sock = _open_path(address, backlog)
    sock.setblocking(False)
    return sock


def _open_path(address: Address, backlog: int) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.lstat(address.path).st_mode):
            os.unlink(address.path)
    sock = socket.socket(*_FAMILIES[address.family])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, address.family is Family.UNIX_DATAGRAM)
    with contextlib.suppress(OSError):  # Linux 6.16: users pass no descriptors, the system's own processes do
        sock.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, address.path.startswith("private/"))
    before = os.umask(0o777 & ~address.mode)
    try:
        sock.bind(address.path)
        if address.family is Family.UNIX:
            sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock
