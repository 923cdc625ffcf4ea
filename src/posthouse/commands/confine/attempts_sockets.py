"""Attempts at sockets: connections, listening, every family and protocol that no daemon needs.

A daemon that serves TCP has a listening socket, and could make something else of it than master did; attempts that
need an internet socket use that one where the filter gives no other.
"""

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Final

from posthouse.commands.confine.attempt import DENIED, Attempt, Scene, Wall, always
from posthouse.commands.confine.attempts_files import filtered
from posthouse.commands.confine.system import call
from posthouse.confine.rules import Rules

FILES, PORTS, SCOPES, USERS, NOT_ROOT = Wall.FILES, Wall.PORTS, Wall.SCOPES, Wall.USERS, Wall.NOT_ROOT
HOST: Final = "127.0.0.1"
LIMIT_S: Final = 2.0
_MPTCP: Final = 262
_LOW_PORT: Final = 1  # tcpmux: nobody serves it
_STREAM, _DATAGRAM, _RAW, _SEQPACKET = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET
# Families by name, with a type and a protocol that a kernel would give to a user.
_FAMILIES: Final = (
    ("packets of the wire", 17, _RAW, 0),
    ("packets of the wire, cooked", 17, _DATAGRAM, 0),
    ("netlink", 16, _RAW, 0),
    ("netlink: kernel events", 16, _DATAGRAM, 15),
    ("vsock", 40, _STREAM, 0),
    ("the kernel's ciphers", 38, _SEQPACKET, 0),
    ("XDP", 44, _RAW, 0),
    ("key management", 15, _RAW, 2),
    ("Bluetooth", 31, _SEQPACKET, 0),
    ("CAN", 29, _RAW, 1),
    ("TIPC", 30, _SEQPACKET, 0),
    ("RDS", 21, _SEQPACKET, 0),
    ("SMC", 43, _STREAM, 0),
    ("amateur radio", 3, _SEQPACKET, 0),
)
_PROTOCOLS: Final = (
    ("MPTCP", _STREAM, _MPTCP),
    ("SCTP", _STREAM, 132),
    ("DCCP", 6, 33),
    ("UDP-Lite", _DATAGRAM, 136),
    ("ping", _DATAGRAM, socket.IPPROTO_ICMP),
    ("raw ICMP", _RAW, socket.IPPROTO_ICMP),
    ("raw IP", _RAW, socket.IPPROTO_RAW),
)


def no_network(rules: Rules) -> bool:
    """Whether the filter gives no internet socket at all."""
    return not (rules.uses_network or rules.executes)


def no_udp(rules: Rules) -> bool:
    """Whether it gives none for UDP."""
    return not (rules.udp or rules.executes)


def _connects(scene: Scene) -> bool:
    return scene.rules.tcp_connect is None or scene.rules.executes


def _socket(family: int, kind: int, protocol: int = 0) -> Callable[[Scene], None]:
    return lambda _scene: socket.socket(family, kind, protocol).close()


@contextlib.contextmanager
def _stream(scene: Scene) -> Iterator[socket.socket]:
    """Get a TCP socket: a new one, or the daemon's own listening one, which listens no more."""
    sock = socket.socket() if scene.listener is None or scene.rules.uses_network else scene.listener.dup()
    with sock:
        sock.settimeout(LIMIT_S)
        with contextlib.suppress(OSError):  # a new socket; or it was done before
            sock.shutdown(socket.SHUT_RDWR)
        yield sock


def _connect_tcp(scene: Scene) -> None:
    with socket.socket() as sock:
        sock.settimeout(LIMIT_S)
        sock.connect((HOST, scene.ports["tcp"]))


def _connect_listener(scene: Scene) -> None:
    with _stream(scene) as sock:
        sock.connect((HOST, scene.ports["tcp"]))


def _connect_fast(scene: Scene) -> None:
    """Connect by sending (TCP Fast Open): for Landlock this is no connect(2)."""
    with _stream(scene) as sock:
        sock.sendto(b"x", socket.MSG_FASTOPEN, (HOST, scene.ports["tcp"]))


def _connect_fast_message(scene: Scene) -> None:
    with _stream(scene) as sock:
        sock.sendmsg([b"x"], [], socket.MSG_FASTOPEN, (HOST, scene.ports["tcp"]))


def _connect_mptcp(scene: Scene) -> None:
    with socket.socket(socket.AF_INET, _STREAM, _MPTCP) as sock:
        sock.settimeout(LIMIT_S)
        sock.connect((HOST, scene.ports["tcp"]))


def _connect_v6(_scene: Scene) -> None:
    with socket.socket(socket.AF_INET6) as sock:
        sock.settimeout(LIMIT_S)
        sock.connect(("::1", _LOW_PORT))


def _send_udp(scene: Scene) -> None:
    with socket.socket(socket.AF_INET, _DATAGRAM) as sock:
        sock.sendto(b"x", (HOST, scene.ports["udp"]))


def _bind(port: str | int) -> Callable[[Scene], None]:
    def act(scene: Scene) -> None:
        with socket.socket() as sock:
            sock.bind((HOST, scene.ports[port] if isinstance(port, str) else port))

    return act


def _listen_unbound(_scene: Scene) -> None:
    """Listen at a port that the kernel chooses: for Landlock this is no bind(2)."""
    with socket.socket() as sock:
        sock.listen(1)


def _listen_unix(_scene: Scene) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.listen(1)


def _listen_again(scene: Scene) -> None:
    assert scene.listener is not None, "applies where there is one"
    scene.listener.listen(1)


def _connect_abstract(scene: Scene) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(LIMIT_S)
        sock.connect(scene.abstract)


def _send_abstract(scene: Scene) -> None:
    with socket.socket(socket.AF_UNIX, _DATAGRAM) as sock:
        sock.setblocking(False)  # nobody reads: a full queue is no refusal either
        sock.sendto(b"x", f"{scene.abstract}-datagram")


def _connect_path(place: str) -> Callable[[Scene], None]:
    def act(scene: Scene) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(LIMIT_S)
            sock.connect(scene[place])

    return act


def attempts() -> Iterator[Attempt]:
    """Give them all."""
    yield from _internet()
    yield from _unix()
    for name, kind, protocol in _PROTOCOLS:
        walls = (NOT_ROOT,) if kind == _RAW else ()
        yield Attempt(f"a socket for {name}", _socket(socket.AF_INET, kind, protocol), walls, "socket", _not_commands)
    for name, family, kind, protocol in _FAMILIES:
        walls = (NOT_ROOT,) if name.startswith("packets") else ()
        yield Attempt(f"a socket for {name}", _socket(family, kind, protocol), walls, "socket", _not_commands)
    yield filtered("a pair of sockets (TIPC)", "socketpair", lambda _: call("socketpair", 30, 5, 0, None))


def _not_commands(rules: Rules) -> bool:
    return not rules.executes


def _internet() -> Iterator[Attempt]:
    yield Attempt("connect to a TCP port", _connect_tcp, (PORTS,), "socket", no_network, _connects)
    listens = lambda scene: scene.listener is not None  # noqa: E731
    yield Attempt("connect its listening socket elsewhere", _connect_listener, (PORTS,), applies=listens)
    yield Attempt("connect to a TCP port over IPv6", _connect_v6, (PORTS,), "socket", no_network, _connects)
    yield Attempt("connect by TCP Fast Open", _connect_fast, (), "sendto", _no_tcp, _connects)
    yield Attempt("connect by TCP Fast Open (sendmsg)", _connect_fast_message, (), "sendmsg", _no_tcp, _connects)
    yield Attempt("connect by MPTCP", _connect_mptcp, (), "socket", _not_commands)
    yield Attempt("send by UDP", _send_udp, (), "socket", no_udp, lambda scene: scene.rules.udp)
    yield Attempt("bind a TCP port", _bind("free"), (PORTS,), "socket", no_network)
    yield Attempt("bind a TCP port below 1024", _bind(_LOW_PORT), (PORTS, NOT_ROOT), "socket", no_network)
    yield Attempt("listen at a port of the kernel's choice", _listen_unbound, (), "listen", _not_commands)
    yield Attempt("listen anew on its own socket", _listen_again, (), "listen", _not_commands, applies=listens)


def _no_tcp(rules: Rules) -> bool:
    """Whether the rules name no port to connect to."""
    return rules.tcp_connect == () and not rules.executes


def _unix() -> Iterator[Attempt]:
    yield Attempt("listen on a UNIX socket", _listen_unix, (), "listen", _not_commands)
    yield Attempt("connect to an abstract socket", _connect_abstract, (SCOPES,), refusals=DENIED)
    yield Attempt("send to an abstract socket", _send_abstract, (SCOPES,), refusals=DENIED)
    yield Attempt("connect to a socket of root's", _connect_path("root_socket"), (USERS,))
    yield Attempt("connect to a socket that all may use", _connect_path("open_socket"), (Wall.SOCKETS,))
    yield Attempt("a socket pair of the internet", _pair, (), "socketpair", always)


def _pair(_scene: Scene) -> None:
    call("socketpair", int(socket.AF_INET), int(_STREAM), 0, None)
