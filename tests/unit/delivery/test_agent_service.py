"""AgentService: an agent that retires says so, finishes, and closes."""

from posthouse.delivery.agent import AgentService, Delivery
from posthouse.ipc.message import SENT, RecipientResult
from tests.support.agent import AgentHarness


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
