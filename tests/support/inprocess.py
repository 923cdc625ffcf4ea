"""Runs daemons inside of a test's own event loop: their real services on UNIX sockets of a temporary directory.

No master, no forks, no privileges: what is tested is the daemon, with its neighbours real or faked. A System is one
set of settings; `start` serves a daemon (or any Service) on a socket, `run` lets the loop turn until a coroutine ends.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import ClassVar, TypeVar

from posthouse.config.settings import Settings
from posthouse.ipc.record import replace
from posthouse.skeleton.daemon import UNLIMITED, Context, Daemon, Service
from posthouse.skeleton.lifetime import Lifetime
from posthouse.util import log
from posthouse.util.connection import set_bug_handler
from posthouse.util.loop import new_event_loop

T = TypeVar("T")

MAIN: Mapping[str, str] = {
    "compatibility_level": "3.6",
    "myhostname": "mx.example.test",
    "mydomain": "example.test",
    "myorigin": "$mydomain",
    "mydestination": "$myhostname, $mydomain, localhost",
    "mynetworks": "127.0.0.2/32",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "alias_maps": "",
    "local_recipient_maps": "inline:{alice=x, bob=x, postmaster=x}",
    "smtpd_peername_lookup": "no",
    "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
}


class ListSink:
    """A log that a test can read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, lines: list[tuple[int, bytes]]) -> int:
        """Keep all lines, without program and process number."""
        self.lines += [line.partition(b"]: ")[2].decode() for _, line in lines]
        return len(lines)


class BugError(AssertionError):
    """A session ended by an exception of ours."""


class System:
    """Settings, a directory for sockets, a loop, a log."""

    def __init__(self, directory: Path, main: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        for name in ("private", "public"):
            (directory / name).mkdir(exist_ok=True)
        self.settings = Settings.from_mapping(
            {**MAIN, "queue_directory": str(directory), **(main or {})}, service_name="test", process_name="test"
        )
        self.loop = new_event_loop()  # that of daemons: what libuv does differently shows here, too
        self.log = ListSink()
        log.LOG.open("test", self.log)
        self.bugs: list[BaseException] = []
        set_bug_handler(self.bugs.append)
        self.services: list[Service] = []
        self._sockets: list[socket.socket] = []

    def start(self, daemon: Daemon | Callable[[Context], Service], path: str) -> Service:
        """Serve a daemon at `path` below the directory ("private/rewrite")."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.directory / path))
        return self._serve(daemon, listener)

    def start_tcp(self, daemon: Daemon | Callable[[Context], Service], host: str = "127.0.0.1") -> int:
        """Serve a daemon on a TCP port of its own; returns the port."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, 0))
        self._serve(daemon, listener)
        port: int = listener.getsockname()[1]
        return port

    def context(self) -> Context:
        """Make what a service is started with."""
        ours, masters = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._sockets += [ours, masters]
        lifetime = Lifetime(self.loop, ours, client_limit=UNLIMITED)
        context = Context(self.settings, self.loop, lifetime, str(self.directory), UNLIMITED)
        context.resources.take(replace(context.resources.state, queue_known=True, queue_free=1 << 40))  # all is well
        return context

    def run(self, coroutine: Coroutine[object, object, T], *, limit_s: float = 10.0) -> T:
        """Turn the loop until the coroutine is done; a bug in any session fails the test."""
        value = self.loop.run_until_complete(asyncio.wait_for(coroutine, limit_s))
        if self.bugs:
            raise BugError(repr(self.bugs[0])) from self.bugs[0]
        return value

    def close(self) -> None:
        """Close services, sockets and the loop."""
        for client in Client.open:
            client.close()
        Client.open.clear()
        self._turn()
        for service in self.services:
            service.closing()
        for sock in self._sockets:
            self.loop.remove_reader(sock.fileno())
            sock.close()
        self._turn()
        self.loop.close()
        asyncio.set_event_loop(None)

    def _turn(self) -> None:
        """Let the ends of connections come through."""
        self.loop.run_until_complete(asyncio.sleep(0.02))

    def _serve(self, daemon: Daemon | Callable[[Context], Service], listener: socket.socket) -> Service:
        listener.listen(1024)
        listener.setblocking(False)
        self._sockets.append(listener)
        context = self.context()
        service = daemon.start(context) if isinstance(daemon, Daemon) else daemon(context)
        context.lifetime.serve(service, [listener], max_idle=0.0, max_use=0)
        self.services.append(service)
        return service


class Client:
    """An SMTP client for tests: says something, reads replies."""

    open: ClassVar[list["Client"]] = []  # closed with the system

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.open.append(self)

    @classmethod
    async def connect(cls, port: int, source: str = "127.0.0.1") -> "Client":
        """Connect from an address of this host."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0)))

    async def reply(self) -> str:
        """Read one reply, its lines joined by LF; "" at the end of the connection."""
        lines = []
        while True:
            line = (await self._reader.readline()).decode().rstrip("\r\n")
            lines.append(line)
            if line[3:4] != "-":
                return "\n".join(lines)

    async def say(self, line: str) -> str:
        """Send a command and read its reply."""
        self.send(line + "\r\n")
        return await self.reply()

    async def dialog(self, *lines: str) -> list[str]:
        """Send commands one by one; give the last line of each reply."""
        return [(await self.say(line)).rpartition("\n")[2] for line in lines]

    def send(self, text: str) -> None:
        """Send without waiting."""
        self._writer.write(text.encode("utf-8", "surrogateescape"))

    async def is_closed(self) -> bool:
        """Wait for the server to close."""
        return await self._reader.read() == b""

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def descriptors() -> int:
    """Count this process's open descriptors: to see that none leak."""
    return len(os.listdir("/proc/self/fd"))
