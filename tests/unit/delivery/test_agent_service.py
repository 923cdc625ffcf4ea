"""AgentService: an agent that retires says so, finishes, and closes; one that lost its queue manager tells the next."""

import socket
from collections.abc import Callable

import pytest

from posthouse.delivery import agent as module
from posthouse.delivery.agent import AgentService, Delivery
from posthouse.ipc.delivery import LATE_SERVER, LateResults, LateTaken, StillDelivering, ToResults
from posthouse.ipc.message import SENT, RecipientResult
from posthouse.ipc.stream import Channel
from posthouse.skeleton.daemon import Context, Service
from posthouse.util.connection import set_bug_handler
from tests.support.agent import AgentHarness


class NextQmgr(Service):
    """Hears what an agent brings."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.heard: list[ToResults] = []
        self.channels: list[Channel[ToResults]] = []

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take it."""
        self.channels.append(Channel(self._context.loop, sock, LATE_SERVER, self._on_record, self.channels.remove))

    def _on_record(self, channel: Channel[ToResults], record: ToResults) -> None:
        self.heard.append(record)
        channel.send(LateTaken(record.id))

    def retire(self) -> None:
        """Close the connections."""
        for channel in list(self.channels):
            channel.abort()


def run_until(agent: AgentHarness, condition: Callable[[], bool]) -> None:
    """Let the loop run until it is so."""
    for _ in range(1000):
        if condition():
            return
        agent.run_for(0.01)
    raise TimeoutError("it never was so")


def test_an_agent_that_retires_says_so_and_finishes() -> None:
    """qmgr hears it at once, though a delivery takes its time; then the connection is closed."""
    begun: list[Delivery] = []
    with AgentHarness(lambda context: AgentService(context, begun.append)) as agent:
        number = agent.request("there.test")
        agent.run_for(0.05)
        agent.context.lifetime.retiring = True
        agent.agent.retire()
        agent.run_for(0.05)
        assert agent.is_leaving
        assert not agent.channel.closed
        begun[0].finish([RecipientResult(0, SENT, "2.0.0", "done", "there.test")])
        assert agent.wait(number).results[0].outcome == SENT
        agent.run_for(0.05)
        assert agent.channel.closed


def test_a_long_delivery_is_announced_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next queue manager waits a minute for who has said it once; a command may run longer, and ran twice."""
    monkeypatch.setattr(module, "ANNOUNCE_S", 0.01)
    begun: list[Delivery] = []
    with AgentHarness(lambda context: AgentService(context, begun.append)) as agent:
        qmgr = agent.serve("qmgr", NextQmgr, "public")
        assert isinstance(qmgr, NextQmgr)
        agent.request("there.test")
        agent.run_for(0.05)
        agent.channel.close()
        run_until(agent, lambda: len(qmgr.heard) >= 5)
        assert {type(each) for each in qmgr.heard} == {StillDelivering}
        begun[0].finish([RecipientResult(0, SENT, "2.0.0", "done", "there.test")])
        run_until(agent, lambda: isinstance(qmgr.heard[-1], LateResults))
        heard = len(qmgr.heard)
        agent.run_for(0.1)
        assert len(qmgr.heard) == heard
        assert not agent.agent.busy


def test_a_delivery_that_a_bug_ended_is_not_under_way() -> None:
    """Else the process would never end, and the message wait for it."""

    def broken(_delivery: Delivery) -> None:
        raise ValueError("a bug")

    set_bug_handler(lambda _error: None)
    with AgentHarness(lambda context: AgentService(context, broken)) as agent:
        agent.request("there.test")
        agent.run_for(0.05)
        assert agent.channel.closed
        assert not agent.agent.busy
