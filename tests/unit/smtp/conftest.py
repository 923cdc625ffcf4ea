"""The smtp agent in the test's own loop."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from posthouse.daemons.dns.service import start as start_dns
from posthouse.daemons.smtp.agent import start
from tests.support.agent import AgentHarness
from tests.support.fake_dns import FakeDns

StartAgent = Callable[..., AgentHarness]


@pytest.fixture
def start_agent() -> Iterator[StartAgent]:
    """Give a function that starts the agent with settings, as one program, with a name server."""
    with ExitStack() as stack:

        def begin(
            main: dict[str, str] | None = None, *, program: str = "smtp", dns: FakeDns | None = None
        ) -> AgentHarness:
            servers = {"dns_nameservers": dns.address} if dns is not None else {}
            agent = stack.enter_context(AgentHarness(start, {**(main or {}), **servers}, program))
            if dns is not None:
                agent.serve("dns", start_dns)
            return agent

        yield begin
