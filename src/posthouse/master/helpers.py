"""The processes master starts by exec: the orders process, which reads the configuration, and warm, which forks.

Both run the interpreter that runs master, isolated (-I) from the caller's environment and directory. Neither writes
compiled code (-B): root's would be root's alone, by master's umask, and each daemon would compile it again.
"""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from posthouse.ipc.orders_wire import Orders, OrdersFailed, WireError, read_orders
from posthouse.ipc.warm_wire import ANSWER, REQUEST, Answer, Ask, Request, Said, send_record
from posthouse.master import log
from posthouse.util.select_loop import Loop

CONTROL_FD: Final = 3  # where warm finds its control socket, and orders its pipe
MAX_ORDERS: Final = 64 * 1024 * 1024  # octets of the whole stream
PYTHON: Final = (sys.executable, "-I", "-B", "-m")
# What warm imports while the configuration is still being read: nearly every system needs these.
EARLY: Final = "smtpd cleanup trivial_rewrite qmgr smtp dns bounce local pickup proxymap error"


class Launch(NamedTuple):
    """What to start; tests put their own here."""

    orders: tuple[str, ...] = (*PYTHON, "posthouse.commands.orders")
    warm: tuple[str, ...] = (*PYTHON, "posthouse.warm")
    environment: Mapping[str, str] = {}
    early: str = EARLY


def spawn(argv: tuple[str, ...], descriptor: int, environment: Mapping[str, str]) -> int:
    """Start a program with `descriptor` as its CONTROL_FD.

    0: there is no room for a process now. Its end of the socket or pipe is closed then, as when it had died at once.
    """
    defaults = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGQUIT)
    actions = [(os.POSIX_SPAWN_DUP2, descriptor, CONTROL_FD)]
    try:
        return os.posix_spawn(argv[0], argv, environment, file_actions=actions, setsigdef=defaults)
    except OSError as error:
        log.warning(f"starting {' '.join(argv)}: {error.strerror}")
    return 0


class OrdersRun:
    """One run of the orders process. `done` gets the orders, or the text that says why there are none."""

    def __init__(self, loop: Loop, launch: Launch, config_directory: str, done: Callable[[Orders | str], None]) -> None:
        self._loop, self._done = loop, done
        self._data = bytearray()
        self._reader, writer = os.pipe()
        self.pid = spawn((*launch.orders, "-c", config_directory), writer, launch.environment)
        os.close(writer)
        loop.watch(self._reader, self._readable)

    def close(self) -> None:
        """Do not wait for it any more."""
        if self._reader >= 0:
            self._loop.unwatch(self._reader)
            os.close(self._reader)
            self._reader = -1

    def _readable(self) -> None:
        piece = os.read(self._reader, 1 << 20)
        self._data += piece
        if piece and len(self._data) <= MAX_ORDERS:
            return
        self.close()
        try:
            self._done(read_orders(bytes(self._data), as_root=os.geteuid() == 0))
        except (OrdersFailed, WireError) as error:
            self._done(str(error))


class Warm:
    """Our end of a warm process. `ready` is called once; `lost`, with us and the reason, when it goes away unasked."""

    def __init__(self, loop: Loop, launch: Launch, ready: Callable[[], None], lost: Callable[..., None]) -> None:
        self._loop, self._on_ready, self._on_lost = loop, ready, lost
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        self.pid = spawn(launch.warm, theirs.fileno(), launch.environment)
        theirs.close()
        self.waiting: dict[int, Callable[[Answer], None]] = {}  # answers are still to come
        self._number, self.is_ready, self.closed = 0, False, False
        loop.watch(self._control, self._readable)

    def import_daemons(self, packages: Iterable[str], *, last: bool = True) -> None:
        """Name daemons to hold; after the last ones it becomes ready."""
        requests = [*(Request(Ask.IMPORT, package=package) for package in packages), *[Request(Ask.SEAL)] * last]
        self._control.setblocking(True)  # more records than the socket holds while warm still imports
        with contextlib.suppress(OSError):  # it is gone: read that from the socket
            for request in requests:
                self._control.send(REQUEST.pack(request))
        self._control.setblocking(False)

    def request(self, request: Request, descriptors: list[int], answered: Callable[[Answer], None]) -> None:
        """Ask for a process. A request that cannot be sent is answered FAILED at once."""
        self._number += 1
        try:
            send_record(self._control, REQUEST.pack(request._replace(number=self._number)), descriptors)
        except OSError as error:
            answered(Answer(Said.FAILED, self._number, reason=f"asking warm: {error.strerror}"))
            return
        self.waiting[self._number] = answered

    def close(self) -> None:
        """Dismiss it: it exits when it reads the end of its socket."""
        if not self.closed:
            self.closed = True
            self._loop.unwatch(self._control)
            self._control.close()
            for number, answered in list(self.waiting.items()):
                answered(Answer(Said.FAILED, number, reason="warm is gone"))
            self.waiting.clear()

    def _readable(self) -> None:
        try:
            record = self._control.recv(ANSWER.size + 1)
            answer = ANSWER.unpack(record) if record else None
        except (OSError, ValueError):
            answer = None
        if answer is None or (answer.said is Said.FAILED and not self.is_ready):
            self.close()
            self._on_lost(self, answer.reason if answer else "it ended")
        elif answer.said is Said.READY and not self.is_ready:
            self.is_ready = True
            self._on_ready()
        elif answer.number in self.waiting:
            self.waiting.pop(answer.number)(answer)
