"""Loopback ports and a few plain SMTP exchanges for the tests' own use (not under test themselves)."""

import contextlib
import itertools
import os
import socket
import time
from typing import Final

from posthouse.ipc.stream import SO_PASSRIGHTS

LOOPBACK: Final = "127.0.0.1"
# Below the kernel's range for outgoing connections, so that no client's port collides with a server that starts later.
_FIRST_PORT: Final = 12000
_LAST_PORT: Final = 31000
_used: Final[set[int]] = set()  # by connect_from_new_port
_ports = itertools.cycle(range(_FIRST_PORT, _LAST_PORT))


def free_port() -> int:
    """Return a loopback port that nobody listens on; each call another one.

    Processes of a parallel run start at different places, so two of them do not get the same port.
    """
    global _ports  # noqa: PLW0603 - one sequence for each process
    if os.getpid() != free_port.__dict__.get("pid"):
        free_port.__dict__["pid"] = os.getpid()
        span = _LAST_PORT - _FIRST_PORT
        start = (os.getpid() * 97) % span
        _ports = itertools.cycle([_FIRST_PORT + (start + n) % span for n in range(span)])
    for port in _ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise AssertionError("the ports never end")


def connect_from_new_port(port: int, timeout_s: float) -> socket.socket:
    """Connect from a port that no connection of this process had before: that is how its lines are found in a log."""
    while True:
        sock = socket.socket()
        sock.bind((LOOPBACK, 0))
        own: int = sock.getsockname()[1]
        if own not in _used:
            _used.add(own)
            sock.settimeout(timeout_s)
            sock.connect((LOOPBACK, port))
            return sock
        sock.close()


def read_reply(sock: socket.socket) -> bytes:
    """Read one whole reply, all its lines; what has come when the connection ends."""
    data = b""
    while True:
        *whole, _rest = data.split(b"\r\n")
        if any(line[3:4] == b" " or len(line) == 3 for line in whole):
            return data
        chunk = sock.recv(65536)
        if not chunk:
            return data
        data += chunk


def greeting(port: int, timeout_s: float = 5) -> bytes:
    """Connect and return the greeting; empty when nobody answers."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_s) as sock:
            sock.settimeout(timeout_s)
            reply = read_reply(sock)
            sock.sendall(b"QUIT\r\n")
            read_reply(sock)
            return reply
    except OSError:
        return b""


def wait_greeting(port: int, limit_s: float) -> float:
    """Wait for a 220; return the seconds it took. Raises TimeoutError."""
    begin = time.monotonic()
    while time.monotonic() - begin < limit_s:
        if greeting(port).startswith(b"220"):
            return time.monotonic() - begin
        time.sleep(0.005)
    raise TimeoutError(f"no greeting from port {port} within {limit_s} s")


def refuses_descriptors() -> bool:
    """Whether this kernel lets a socket refuse descriptors (Linux 6.16)."""
    with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
        return True
    return False
