"""The other side of the proof: what the rules allow must work, or "everything is refused" would pass."""

import errno
import os
import pwd
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from posthouse.commands.confine.attempt import Answer, Outcome, Scene, error_of
from posthouse.commands.confine.attempts_sockets import HOST, LIMIT_S
from posthouse.commands.confine.inside_thread import in_thread

TRUE: Final = "/bin/true"
Deed = tuple[str, Callable[[Scene], object]]


def try_allowed(scene: Scene) -> Iterator[Outcome]:
    """Do everything that the rules name, as far as it is there."""
    for name, act in (*_files(scene), *_connections(scene), *_network(scene), *_process(scene)):
        error = error_of(act, scene)
        yield Outcome(name, Answer.FAILS if error else Answer.WORKS, error)


def _files(scene: Scene) -> Iterator[Deed]:
    rules = scene.rules
    for path in rules.reads:
        if os.path.exists(path):
            yield f"read {path}", _reads(path)
    for path in rules.appends:
        if os.path.exists(path):
            yield f"append to {path}", _appends(path)
    for path in rules.writes:
        if os.path.isdir(path):
            yield f"make, write, sync, rename and remove a file in {path}", _writes(path)


def _reads(path: str) -> Callable[[Scene], None]:
    def act(_scene: Scene) -> None:
        if os.path.isdir(path):
            os.scandir(path).close()
        else:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))

    return act


def _appends(path: str) -> Callable[[Scene], None]:
    return lambda _scene: os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC))


def _writes(directory: str) -> Callable[[Scene], None]:
    def act(_scene: Scene) -> None:
        first, second = f"{directory}/.proof-{os.getpid()}", f"{directory}/.proof-renamed-{os.getpid()}"
        descriptor = os.open(first, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b"proof\n")
            os.fsync(descriptor)
            os.rename(first, second)
        finally:
            os.close(descriptor)
            for path in (first, second):
                with suppress(FileNotFoundError):
                    os.unlink(path)

    return act


def _connections(scene: Scene) -> Iterator[Deed]:
    for path in scene.rules.sockets:
        with suppress(OSError):
            if stat.S_ISSOCK(os.stat(path).st_mode):
                yield f"connect to {path}", _connects(path)


def _connects(path: str) -> Callable[[Scene], None]:
    def act(_scene: Scene) -> None:
        try:
            _connect(path, socket.SOCK_STREAM)
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:
                raise
            _connect(path, socket.SOCK_DGRAM)

    return act


def _connect(path: str, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.settimeout(LIMIT_S)
        sock.connect(path)


def _network(scene: Scene) -> Iterator[Deed]:
    if scene.rules.tcp_connect is None:
        yield "connect to a TCP port", lambda each: socket.create_connection((HOST, each.ports["tcp"]), LIMIT_S).close()
    if scene.rules.tcp_bind == (0,):
        yield "bind any TCP port, for a source address", _binds
    if scene.rules.udp:
        yield "send by UDP", _sends
    if scene.listener is not None:
        yield "wait for clients on its listening socket", _waits


def _binds(_scene: Scene) -> None:
    with socket.socket() as sock:
        sock.bind((HOST, 0))


def _sends(scene: Scene) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", (HOST, scene.ports["udp"]))


def _waits(scene: Scene) -> None:
    assert scene.listener is not None, "asked for where there is one"
    scene.listener.setblocking(False)
    with suppress(BlockingIOError):
        scene.listener.accept()[0].close()


def _process(scene: Scene) -> Iterator[Deed]:
    yield "memory, time and random numbers", lambda _scene: (bytearray(1 << 20), os.urandom(8))
    if scene.rules.threads:
        yield "start a thread", lambda _scene: in_thread(lambda: None)
    if scene.rules.accounts:
        yield "look up an account", lambda _scene: pwd.getpwnam("root")
    if scene.rules.executes and os.path.exists(TRUE):
        yield "run a command", _runs


def _runs(_scene: Scene) -> None:
    pid = os.posix_spawn(TRUE, [TRUE], {})
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise OSError(status, TRUE)
