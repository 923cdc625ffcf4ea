"""The smtp agent against servers that nobody here wrote: smtp-sink, Dovecot's LMTP, a Debian Postfix."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from posthouse.daemons.smtp.agent import start
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT
from tests.conftest import Start
from tests.support import dovecot
from tests.support.agent import AgentHarness
from tests.support.load import SmtpSink

StartAgent = Callable[..., AgentHarness]
CONTENT = b"From: a@here.test\nTo: b@there.test\nSubject: peers\n\n.dot\n..two dots\n.\nlast line \xc3\xa4\n"


@pytest.fixture
def start_agent() -> Iterator[StartAgent]:
    """Give a function that starts the agent with settings, as one program."""
    with ExitStack() as stack:
        yield lambda main=None, program="smtp": stack.enter_context(AgentHarness(start, main, program))


@pytest.mark.parametrize(
    ("options", "outcome", "text"),
    [
        ([], SENT, "250 2.0.0 Ok"),
        (["-p"], SENT, "250 2.0.0 Ok"),  # no PIPELINING
        (["-e"], SENT, "250 2.0.0 Ok"),  # no ESMTP
        (["-8", "-N", "-F"], SENT, "250 2.0.0 Ok"),
        (["-r", "mail"], DEFERRED, "(in reply to MAIL FROM command)"),
        (["-f", "mail"], BOUNCED, "(in reply to MAIL FROM command)"),
        (["-r", "rcpt"], DEFERRED, "(in reply to RCPT TO command)"),
        (["-f", "rcpt"], BOUNCED, "(in reply to RCPT TO command)"),
        (["-r", "data"], DEFERRED, "(in reply to DATA command)"),
        (["-f", "data"], BOUNCED, "(in reply to DATA command)"),
        (["-r", "."], DEFERRED, "(in reply to end of DATA command)"),
        (["-f", "."], BOUNCED, "(in reply to end of DATA command)"),
        (["-q", "ehlo"], DEFERRED, "lost connection with 127.0.0.1[127.0.0.1] while performing the EHLO handshake"),
        (["-q", "mail"], DEFERRED, "lost connection with 127.0.0.1[127.0.0.1] while sending MAIL FROM"),
        (["-q", "rcpt"], DEFERRED, "lost connection with 127.0.0.1[127.0.0.1] while sending RCPT TO"),
        (["-q", "data"], DEFERRED, "lost connection with 127.0.0.1[127.0.0.1] while sending DATA command"),
        (
            ["-q", "."],
            DEFERRED,
            "lost connection with 127.0.0.1[127.0.0.1] while sending end of data -- message may be",
        ),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_smtp_sink_with_its_faults(start_agent: StartAgent, options: list[str], outcome: int, text: str) -> None:
    """Each of smtp-sink's ways to fail has its outcome and Postfix's words."""
    with SmtpSink(*options) as sink:
        agent = start_agent()
        (result,) = agent.deliver(f"[127.0.0.1]:{sink.port}", ["b@there.test"], CONTENT).results
    assert result.outcome == outcome, result
    assert text in result.text


@pytest.mark.parametrize("way", ["unix", "inet"])
def test_dovecot_takes_mail_by_lmtp(start_agent: StartAgent, way: str) -> None:
    """Known users get the message, byte for byte; the unknown one is bounced, alone."""
    if dovecot.why_not():
        pytest.skip(dovecot.why_not())
    with dovecot.Dovecot(["alice", "bob"]) as server:
        agent = start_agent(program="lmtp")
        nexthop = f"unix:{server.socket}" if way == "unix" else f"inet:127.0.0.1:{server.port}"
        rcpts = ["alice@box.test", "nobody@box.test", "bob@box.test"]
        results = sorted(agent.deliver(nexthop, rcpts, CONTENT).results, key=lambda each: each.rcpt_id)
        assert [each.outcome for each in results] == [SENT, BOUNCED, SENT]
        assert results[0].text.startswith("250 2.0.0 <alice@box.test>")
        assert results[1].dsn == "5.1.1"
        assert "(in reply to RCPT TO command)" in results[1].text
        for user in ("alice", "bob"):
            (message,) = server.messages(user, 1)
            assert message.endswith(CONTENT)


def test_dovecot_session_is_used_again(start_agent: StartAgent) -> None:
    """A hundred messages over one LMTP connection."""
    if dovecot.why_not():
        pytest.skip(dovecot.why_not())
    with dovecot.Dovecot(["alice"]) as server:
        agent = start_agent(program="lmtp")
        for _ in range(100):
            (result,) = agent.deliver(f"unix:{server.socket}", ["alice@box.test"], CONTENT, reuse=True).results
            assert result.outcome == SENT
        assert "conn_use=100" in agent.log.lines[-1]
        assert len(server.messages("alice", 100)) == 100


def test_postfix_as_server(start_agent: StartAgent, postfix_peer: Start) -> None:
    """A real Postfix takes, refuses by size, and refuses a recipient; sessions are used again."""
    peer = postfix_peer(
        main={
            "message_size_limit": "20000",
            "mydestination": "there.test",
            "local_recipient_maps": "inline:{{b=x}}",
            "local_transport": "discard",
        }
    )
    agent = start_agent()
    nexthop = f"[127.0.0.1]:{peer.port}"
    for _ in range(5):
        results = agent.deliver(nexthop, ["b@there.test", "c@there.test"], CONTENT, reuse=True).results
        good, bad = sorted(results, key=lambda each: each.rcpt_id)
        assert (good.outcome, good.dsn, bad.outcome, bad.dsn) == (SENT, "2.0.0", BOUNCED, "5.1.1")
        assert good.text.startswith("250 2.0.0 Ok: queued as ")
        assert "<c@there.test>: Recipient address rejected: User unknown" in bad.text
    agent.run_for(0.05)
    assert "conn_use=5," in agent.log.lines[-1]
    (large,) = agent.deliver(nexthop, ["b@there.test"], b"Subject: x\n\n" + b"x" * 70 + b"\n" * 30000).results
    assert (large.outcome, large.dsn) == (BOUNCED, "5.3.4")
    assert "exceeds size limit 20000 of server 127.0.0.1[127.0.0.1]" in large.text
