"""A delivery agent in the test's own event loop, with the test as qmgr(8) at the other end of its connection."""

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

from posthouse.config.settings import Settings
from posthouse.delivery.agent import AgentService
from posthouse.ipc.delivery import QMGR, Acknowledge, Deliver, DeliverTo, FromAgent, Leaving, Results
from posthouse.ipc.message import Envelope
from posthouse.ipc.stream import Channel
from posthouse.skeleton.daemon import Context, Service
from posthouse.skeleton.lifetime import Lifetime
from posthouse.util import log
from posthouse.util.loop import new_event_loop

DEFAULTS: Final = {"myhostname": "client.test", "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4"}


class FakeLifetime:
    """Counts nothing."""

    retiring = False

    def session_started(self) -> None:
        """A client came."""

    def session_ended(self) -> None:
        """A client left."""


class ListSink:
    """A log that the test reads."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, lines: list[tuple[int, bytes]]) -> int:
        """Keep the lines."""
        self.lines += [line.decode() for _, line in lines]
        return len(lines)


class AgentHarness:
    """`with AgentHarness(start, {"smtp_helo_name": …}) as agent: agent.deliver(…)`."""

    def __init__(
        self, start: Callable[[Context], AgentService], main: Mapping[str, str] | None = None, program: str = "smtp"
    ) -> None:
        self._start = start
        self._main = {**DEFAULTS, **(main or {})}
        self._program = program
        self._number = 0
        self.results: dict[int, Results] = {}
        self.is_leaving = False  # the agent said so
        self.log = ListSink()
        self._services: list[Service] = []
        self._listeners: list[socket.socket] = []
        self._directory = tempfile.TemporaryDirectory(prefix="posthouse-test-")
        self.directory = Path(self._directory.name)

    def __enter__(self) -> Self:
        """Make loop, context and agent, and connect to it."""
        for name in ("private", "public"):
            (self.directory / name).mkdir()
        self.loop = new_event_loop()
        main = {"queue_directory": str(self.directory), **self._main}
        settings = Settings.from_mapping(main, service_name=self._program, process_name=self._program)
        lifetime = cast("Lifetime", FakeLifetime())
        self.context = Context(settings, self.loop, lifetime, str(self.directory), 1)
        log.LOG.open(f"postfix/{self._program}", self.log)
        self.agent = self._start(self.context)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.agent.accept(theirs, 0)
        self.channel: Channel[FromAgent] = Channel(self.loop, ours, QMGR, self._on_results, lambda _channel: None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End everything."""
        self.agent.closing()
        for service in self._services:
            service.retire()
        self.channel.close()
        self.run_for(0.02)
        for listener in self._listeners:
            self.loop.remove_reader(listener.fileno())
            listener.close()
        self.loop.close()
        asyncio.set_event_loop(None)
        log.LOG.open("postfix", log.NullSink())
        self._directory.cleanup()

    def serve(self, name: str, start: Callable[[Context], Service], directory: str = "private") -> Service:
        """Run another service in the same loop, on private/NAME."""
        service = start(self.context)
        self._services.append(service)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self.directory / directory / name))
        listener.listen(10)
        listener.setblocking(False)
        self._listeners.append(listener)
        self.loop.add_reader(listener.fileno(), lambda: service.accept(listener.accept()[0], 0))
        return service

    def request(
        self,
        nexthop: str,
        recipients: Sequence[str | DeliverTo] = ("to@there.test",),
        content: bytes = b"Subject: x\n\nbody\n",
        *,
        envelope: Envelope | None = None,
        reuse: bool = False,
        large: bool = False,
    ) -> int:
        """Send a delivery request; returns its number."""
        self._number += 1
        now = time.time()
        rcpts = [rcpt if isinstance(rcpt, DeliverTo) else DeliverTo(n, rcpt) for n, rcpt in enumerate(recipients)]
        envelope = envelope or Envelope("3TestQueueId", "from@here.test", now, len(content))
        body = b"" if large else content
        record = Deliver(self._number, envelope, nexthop, rcpts, now, body, large, reuse)
        if large:
            with tempfile.TemporaryFile() as file:
                file.write(content)
                file.flush()
                descriptor = os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY)
            self.channel.send_with_descriptor(record, descriptor)
            os.close(descriptor)
        else:
            self.channel.send(record)
        return self._number

    def wait(self, number: int, limit_s: float = 15) -> Results:
        """Run until a request is answered. Raises TimeoutError."""
        deadline = time.monotonic() + limit_s
        while number not in self.results:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no results of delivery {number}; log: {self.log.lines}")
            self.run_for(0.01)
        return self.results[number]

    def deliver(self, nexthop: str, *arguments: object, **options: object) -> Results:
        """Send a request and wait for its results."""
        return self.wait(self.request(nexthop, *arguments, **options))  # type: ignore[arg-type]

    def run_for(self, seconds: float) -> None:
        """Let the loop run."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def _on_results(self, channel: Channel[FromAgent], record: FromAgent) -> None:
        if isinstance(record, Leaving):
            self.is_leaving = True
            return
        assert record.id not in self.results, "answered twice"
        self.results[record.id] = record
        channel.send(Acknowledge(record.id))
