"""Agents: qmgr's connections to the processes of a transport, with agents at the other ends."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.daemons.qmgr.agents import Agents
from posthouse.daemons.qmgr.destinations import Entry, Transport, TransportLimits
from posthouse.ipc.delivery import AGENT, Deliver, DeliverTo, Leaving, Results, ToAgent
from posthouse.ipc.message import SENT, RecipientResult
from posthouse.ipc.stream import Channel
from tests.unit.qmgr.make import message


class Case:
    """A transport at a socket; each connection to it is an agent process."""

    def __init__(self, path: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.agents_got: list[list[int]] = []  # numbers of the deliveries, by connection
        self.channels: list[Channel[ToAgent]] = []
        self.done: list[int] = []
        self.lost: list[Entry] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.setblocking(False)
        self.loop.add_reader(self._listener.fileno(), self._accept)
        self.transport = Transport("smtp", TransportLimits(10, 5, 20, 50))
        self.agents = Agents(
            self.loop,
            str(path),
            self.transport,
            lambda _entry, results, _acknowledge: self.done.append(results.id),
            self.lost.append,
            lambda _transport: None,
        )

    def _accept(self) -> None:
        got: list[int] = []
        self.agents_got.append(got)
        sock = self._listener.accept()[0]
        self.channels.append(
            Channel(self.loop, sock, AGENT, lambda _channel, record: got.append(record.id), lambda _channel: None)
        )

    def send(self) -> int:
        """Send a delivery; its number."""
        assert self.agents.available
        one = message("to@there.test")
        entry = Entry(one, self.transport.destination("there.test"), "there.test", [1])
        request = Deliver(
            self.agents.next_id(), one.envelope, "there.test", [DeliverTo(1, "to@there.test")], 0.0, b"x\n"
        )
        self.agents.send(entry, request, -1)
        return request.id

    def run(self) -> None:
        """Let everything that is on its way arrive."""
        self.loop.run_until_complete(asyncio.sleep(0.05))

    def close(self) -> None:
        """End it."""
        self.agents.close()
        for channel in self.channels:
            channel.close()
        self.run()
        self.loop.remove_reader(self._listener.fileno())
        self._listener.close()
        self.loop.close()


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """Make one."""
    made = Case(tmp_path / "agent")
    yield made
    made.close()


def test_an_agent_that_leaves_gets_nothing_more(case: Case) -> None:
    """While mail flows it would never be done; what is new goes to the next process, what it has it may finish."""
    first = case.send()
    case.run()
    case.channels[0].send(Leaving(0))
    case.run()
    second = case.send()
    case.run()
    assert case.agents_got == [[first], [second]]
    case.channels[0].send(Results(first, "ID", [RecipientResult(1, SENT, "2.0.0", "", "")]))
    case.run()
    case.channels[0].close()
    case.run()
    assert (case.done, case.lost) == ([first], [])
    third = case.send()
    case.run()
    assert case.agents_got == [[first], [second, third]]
