"""Deliveries as they should be: what is said to the server, what is reported, when sessions are used again."""

import socket
import time

import pytest

from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import BOUNCED, DEFERRED, NOTIFY_DELAY, NOTIFY_FAILURE, SENT, Envelope
from tests.support.net import free_port
from tests.support.scripted_server import ScriptedServer, Talk
from tests.unit.smtp.conftest import StartAgent

FULL_EHLO = "250-scripted.test|250-PIPELINING|250-DSN|250-8BITMIME|250-SMTPUTF8|250 SIZE 1000"


def envelope(**fields: object) -> Envelope:
    """Make an envelope with some fields of interest."""
    return Envelope("3TestQueueId", "from@here.test", time.time(), **fields)  # type: ignore[arg-type]


def test_mixed_replies_are_each_recipients_own(start_agent: StartAgent) -> None:
    """One is sent, one deferred, one bounced; relay, remote name and diagnostic are there."""
    replies = iter(["250 2.1.5 Ok", "450 4.2.1 later", "550 5.1.1 <c@b.test>: no such user"])

    def script(talk: Talk) -> None:
        talk.say("220 hi ESMTP")
        talk.line()
        talk.say("250-hi|250 PIPELINING")
        talk.line()
        talk.say("250 ok")
        for reply in replies:
            talk.line()
            talk.say(reply)
        talk.line()
        talk.say("354 go")
        talk.content()
        talk.say("250 2.0.0 Ok: queued as 4X")

    with ScriptedServer(script) as server:
        agent = start_agent()
        results = agent.deliver(f"[127.0.0.1]:{server.port}", ["a@b.test", "b@b.test", "c@b.test"])
        agent.run_for(0.02)
    sent, deferred, bounced = sorted(results.results, key=lambda each: each.rcpt_id)
    assert (sent.outcome, sent.dsn, sent.text, sent.action) == (SENT, "2.0.0", "250 2.0.0 Ok: queued as 4X", "relayed")
    assert (deferred.outcome, deferred.dsn) == (DEFERRED, "4.2.1")
    assert bounced.text == (
        "host 127.0.0.1[127.0.0.1] said: 550 5.1.1 <c@b.test>: no such user (in reply to RCPT TO command)"
    )
    assert bounced.diagnostic == "smtp; 550 5.1.1 <c@b.test>: no such user"
    assert bounced.relay == f"127.0.0.1[127.0.0.1]:{server.port}"
    assert not results.destination_dead
    assert any("status=bounced (host 127.0.0.1[127.0.0.1] said: 550" in line for line in agent.log.lines)


def test_envelope_goes_out_in_one_group_and_the_message_in_another(start_agent: StartAgent) -> None:
    """With PIPELINING the server sees MAIL, RCPT and DATA before it has answered any."""

    def script(talk: Talk) -> None:
        talk.say("220 hi ESMTP")
        talk.line()
        talk.say("250-hi|250 PIPELINING")
        for _ in range(4):
            talk.line()
        talk.say("250 ok|250 ok|250 ok|354 go")
        talk.content()
        talk.say("250 taken")

    with ScriptedServer(script) as server:
        results = start_agent().deliver(f"[127.0.0.1]:{server.port}", ["a@b.test", "b@b.test"]).results
    assert [each.outcome for each in results] == [SENT, SENT]


def test_dsn_parameters_go_to_servers_that_know_them(start_agent: StartAgent) -> None:
    """RET, ENVID, NOTIFY and ORCPT; success is then reported by the next server."""
    rcpt = DeliverTo(7, "a@b.test", "x+y@b.test", "", NOTIFY_FAILURE | NOTIFY_DELAY)
    with ScriptedServer(lambda talk: talk.converse({"EHLO": FULL_EHLO})) as server:
        (result,) = (
            start_agent()
            .deliver(
                f"[127.0.0.1]:{server.port}",
                [rcpt],
                envelope=envelope(dsn_ret="HDRS", dsn_envid="a=b", encoding="8bit"),
            )
            .results
        )
    assert b"MAIL FROM:<from@here.test> SIZE=20 BODY=8BITMIME ENVID=a+3Db RET=HDRS" in server.heard()
    assert b"RCPT TO:<a@b.test> ORCPT=rfc822;x+2By@b.test NOTIFY=FAILURE,DELAY" in server.heard()
    assert (result.rcpt_id, result.action) == (7, "")


@pytest.mark.parametrize(
    ("encoding", "content", "body"),
    [
        ("7bit", b"x\n", b" BODY=7BIT"),
        ("", b"x\n", b""),
        ("", b"\xe4\n", b" BODY=8BITMIME"),
        ("8bit", b"x\n", b" BODY=8BITMIME"),
    ],
)
def test_recipient_without_orcpt_gets_one(start_agent: StartAgent, encoding: str, content: bytes, body: bytes) -> None:
    """Next servers learn who was meant (RFC 3461 5.2.1), and what was said of the content."""
    with ScriptedServer(lambda talk: talk.converse({"EHLO": FULL_EHLO})) as server:
        label, message = f"[127.0.0.1]:{server.port}", envelope(encoding=encoding)
        start_agent().deliver(label, [DeliverTo(7, "a+b@b.test")], content, envelope=message)
    assert b"MAIL FROM:<from@here.test> SIZE=%d%b" % (len(content) + 1, body) in server.heard()
    assert b"RCPT TO:<a+b@b.test> ORCPT=rfc822;a+2Bb@b.test" in server.heard()


@pytest.mark.parametrize("large", [False, True])
def test_message_beyond_the_servers_size_bounces_unsent(start_agent: StartAgent, *, large: bool) -> None:
    """The SIZE a server announces is respected before anything is sent."""
    with ScriptedServer(lambda talk: talk.converse({"EHLO": FULL_EHLO})) as server:
        agent = start_agent()
        (result,) = agent.deliver(f"[127.0.0.1]:{server.port}", ["a@b.test"], b"x\n" * 500, large=large).results
        agent.run_for(0.02)
    assert (result.outcome, result.dsn) == (BOUNCED, "5.3.4")
    assert result.text.startswith("message size 1500 exceeds size limit 1000 of server 127.0.0.1[127.0.0.1]")
    assert not any(line.startswith(b"MAIL") for line in server.heard())


@pytest.mark.parametrize(
    ("ehlo", "address", "outcome"),
    [
        (FULL_EHLO, "jürgen@b.test", SENT),
        ("250 hi", "jürgen@b.test", BOUNCED),
        ("250 hi", "juergen@b.test", SENT),
    ],
)
def test_smtputf8_is_needed_only_where_there_is_utf8(
    start_agent: StartAgent, ehlo: str, address: str, outcome: int
) -> None:
    """A server without SMTPUTF8 gets what has no UTF-8 in it; the rest bounces with 5.6.7."""
    with ScriptedServer(lambda talk: talk.converse({"EHLO": ehlo})) as server:
        agent = start_agent()
        (result,) = agent.deliver(f"[127.0.0.1]:{server.port}", [address], envelope=envelope(smtputf8=True)).results
    assert result.outcome == outcome
    if outcome == BOUNCED:
        assert result.dsn == "5.6.7"
    elif address.isascii():
        assert b"MAIL FROM:<from@here.test>" in server.heard()


def test_sessions_are_kept_on_demand_only(start_agent: StartAgent) -> None:
    """With the hint the next delivery comes over the same connection; without it the session ends."""
    with ScriptedServer(lambda talk: talk.converse()) as server:
        agent = start_agent()
        nexthop = f"[127.0.0.1]:{server.port}"
        for _ in range(3):
            agent.deliver(nexthop, reuse=True)
        assert len(server.talks) == 1
        agent.deliver(nexthop)
        agent.deliver(nexthop)
        assert len(server.talks) == 2
        agent.run_for(0.05)
        assert server.talks[0].heard[-1] == b"QUIT"
        assert "conn_use=4" in agent.log.lines[3]


def test_idle_session_is_closed_in_time(start_agent: StartAgent) -> None:
    """smtp_connection_cache_time_limit."""
    with ScriptedServer(lambda talk: talk.converse()) as server:
        agent = start_agent({"smtp_connection_cache_time_limit": "1s"})
        agent.deliver(f"[127.0.0.1]:{server.port}", reuse=True)
        agent.run_for(1.2)
        assert server.talks[0].heard[-1] == b"QUIT"


def test_reuse_has_its_limits(start_agent: StartAgent) -> None:
    """smtp_connection_reuse_count_limit."""
    with ScriptedServer(lambda talk: talk.converse()) as server:
        agent = start_agent({"smtp_connection_reuse_count_limit": "2"})
        for _ in range(4):
            agent.deliver(f"[127.0.0.1]:{server.port}", reuse=True)
        assert len(server.talks) == 2


@pytest.mark.parametrize("name", ["127.0.0.1", "[127.0.0.1]:{port}"])
def test_sessions_to_destinations_that_are_named_are_always_kept(start_agent: StartAgent, name: str) -> None:
    """smtp_connection_cache_destinations: names without brackets and port, as in Postfix; whole nexthops do, too."""
    with ScriptedServer(lambda talk: talk.converse()) as server:
        main = {"smtp_connection_cache_destinations": name.format(port=server.port)}
        agent = start_agent(main)
        for _ in range(3):
            agent.deliver(f"[127.0.0.1]:{server.port}")
        assert len(server.talks) == 1


@pytest.mark.parametrize("said", ["250", "what", "421 bye", "45"])
def test_half_a_reply_of_a_stale_session_costs_nothing(start_agent: StartAgent, said: str) -> None:
    """Or nonsense in its place: the server has not taken the sender, so a new connection doubles nothing."""

    def script(talk: Talk) -> None:
        if talk.number:
            talk.converse()
            return
        talk.say("220 hi ESMTP")
        talk.line()
        talk.say("250 hi")
        for reply in ("250 ok", "250 ok", "354 go"):
            talk.line()
            talk.say(reply)
        talk.content()
        talk.say("250 taken")
        talk.line()
        talk.say(said.encode() + (b"\r\n" if " " in said or said == "what" else b""))

    with ScriptedServer(script) as server:
        agent = start_agent()
        for _ in range(2):
            (result,) = agent.deliver(f"[127.0.0.1]:{server.port}", reuse=True).results
            assert result.outcome == SENT
        assert len(server.talks) == 2


def test_what_befalls_all_recipients_is_logged_once(start_agent: StartAgent) -> None:
    """As Postfix does when there is another server to try; what befalls one is logged for each."""
    with (
        ScriptedServer(lambda talk: talk.converse({"MAIL": "450 4.3.0 busy"})) as first,
        ScriptedServer(lambda talk: talk.converse({"RCPT": "450 4.3.0 busy"})) as second,
        ScriptedServer(lambda talk: talk.converse({".": ""})) as third,
        ScriptedServer(lambda talk: talk.converse()) as last,
    ):
        agent = start_agent({"smtp_mx_session_limit": "0"})
        nexthop = " ".join(f"[127.0.0.1]:{each.port}" for each in (first, second, third, last))
        results = agent.deliver(nexthop, ["a@b.test", "b@b.test", "c@b.test"]).results
        agent.run_for(0.02)
    assert [each.outcome for each in results] == [SENT] * 3
    words = [line.partition("127.0.0.1[127.0.0.1] ")[2] for line in agent.log.lines if " to=<" not in line]
    refused = "said: 450 4.3.0 busy (in reply to {} command)"
    assert words == [
        refused.format("MAIL FROM"),
        *[refused.format("RCPT TO")] * 3,
        "while sending end of data -- message may be sent more than once",
    ]


@pytest.mark.parametrize("goodbye", ["", "421 4.4.2 idle too long"])
def test_stale_session_costs_nothing(start_agent: StartAgent, goodbye: str) -> None:
    """A server that closes a kept session as the next mail comes: a new connection, no failure, no line in the log."""

    def script(talk: Talk) -> None:
        if talk.number:
            talk.converse()
            return
        talk.say("220 hi ESMTP")
        talk.line()
        talk.say("250-hi|250 PIPELINING")
        for _ in range(3):
            talk.line()
        talk.say("250 ok|250 ok|354 go")
        talk.content()
        talk.say("250 taken")
        talk.line()  # the next MAIL
        if goodbye:
            talk.say(goodbye)

    with ScriptedServer(script) as server:
        agent = start_agent()
        nexthop = f"[127.0.0.1]:{server.port}"
        agent.deliver(nexthop, reuse=True)
        results = agent.deliver(nexthop, reuse=True)
        agent.run_for(0.02)
    assert results.results[0].outcome == SENT
    assert len(server.talks) == 2
    assert len(agent.log.lines) == 2


def test_connection_refused_is_the_destinations_fault(start_agent: StartAgent) -> None:
    """Postfix's text, no relay, and qmgr is told that the destination is dead."""
    port = free_port()
    agent = start_agent()
    results = agent.deliver(f"[127.0.0.1]:{port}")
    (result,) = results.results
    text = f"connect to 127.0.0.1[127.0.0.1]:{port}: Connection refused"
    assert (result.outcome, result.dsn, result.text, result.relay) == (DEFERRED, "4.4.1", text, "none")
    assert (results.destination_dead, results.why) == (True, text)


def test_list_of_nexthops_is_tried_in_order(start_agent: StartAgent) -> None:
    """The first does not answer, the second has a bad day, the third takes it."""
    with (
        ScriptedServer(lambda talk: talk.converse({"RCPT": "450 4.3.0 busy"})) as second,
        ScriptedServer(lambda talk: talk.converse()) as third,
    ):
        agent = start_agent()
        nexthop = f"[127.0.0.1]:{free_port()}, [127.0.0.1]:{second.port} [127.0.0.1]:{third.port}"
        results = agent.deliver(nexthop)
        agent.run_for(0.02)
    assert results.results[0].outcome == SENT
    assert results.results[0].relay.endswith(f":{third.port}")
    assert not results.destination_dead
    assert any("3TestQueueId: host 127.0.0.1[127.0.0.1] said: 450 4.3.0 busy" in line for line in agent.log.lines)


def test_fallback_relay_takes_what_the_destination_does_not(start_agent: StartAgent) -> None:
    """smtp_fallback_relay, after the recipient's own servers; hard errors do not go there."""
    with (
        ScriptedServer(lambda talk: talk.converse()) as relay,
        ScriptedServer(lambda talk: talk.converse({"RCPT": "550 no"})) as own,
    ):
        agent = start_agent({"smtp_fallback_relay": f"[127.0.0.1]:{relay.port}"})
        assert agent.deliver(f"[127.0.0.1]:{free_port()}").results[0].outcome == SENT
        assert agent.deliver(f"[127.0.0.1]:{own.port}").results[0].outcome == BOUNCED
        assert len(relay.talks) == 1


@pytest.mark.parametrize("nexthop", ["", "[", "[]:25", "a:b:c", "[127.0.0.1]:nosuchservice", "[127.0.0.1]:0"])
def test_bad_destination_is_deferred(start_agent: StartAgent, nexthop: str) -> None:
    """A nexthop that is none is a mistake of the configuration: mail waits."""
    (result,) = start_agent().deliver(nexthop).results
    assert result.outcome != SENT
    assert result.dsn in ("4.3.5", "5.4.4")


def test_where_tls_is_demanded_mail_waits(start_agent: StartAgent) -> None:
    """CL-09: without TLS nothing goes out in plain text that must not."""
    with ScriptedServer(lambda talk: talk.converse()) as server:
        (result,) = start_agent({"smtp_tls_security_level": "encrypt"}).deliver(f"[127.0.0.1]:{server.port}").results
    assert (result.outcome, result.dsn) == (DEFERRED, "4.7.4")
    assert not server.talks


def test_large_content_is_streamed(start_agent: StartAgent) -> None:
    """A message larger than the buffers arrives whole, dots and all."""
    content = b"Subject: large\n\n" + b"".join(b".line %d\n" % number for number in range(400_000))
    with ScriptedServer(lambda talk: talk.converse()) as server:
        (result,) = start_agent().deliver(f"[127.0.0.1]:{server.port}", ["a@b.test"], content, large=True).results
    assert result.outcome == SENT
    wire = max(server.heard(), key=len)
    assert (wire + b"\r\n").replace(b"\r\n..", b"\r\n.").replace(b"\r\n", b"\n") == content


def test_lmtp_over_a_unix_socket(start_agent: StartAgent) -> None:
    """unix: paths below the queue directory; one result for each recipient; relay as Postfix writes it."""
    agent = start_agent(program="lmtp")
    path = f"{agent.directory}/private/lmtp"
    script = {".": "250 2.1.5 one|550 5.2.2 two is full"}
    with ScriptedServer(lambda talk: talk.converse(script), path=path) as server:
        results = agent.deliver("unix:private/lmtp", ["a@b.test", "b@b.test"]).results
    assert [(each.outcome, each.relay) for each in results] == [
        (SENT, "client.test[private/lmtp]"),
        (BOUNCED, "client.test[private/lmtp]"),
    ]
    assert server.heard()[0] == b"LHLO client.test"


def test_lmtp_server_that_wants_content_for_nobody(start_agent: StartAgent) -> None:
    """354 though all recipients were refused: the next message of that session has all of its results."""

    def script(talk: Talk) -> None:
        talk.say("220 hi")
        talk.line()
        talk.say("250-hi|250 PIPELINING")
        for _ in range(3):
            talk.line()
        talk.say("250 ok|550 5.1.1 nobody|354 go")
        talk.content()  # of no octets; nobody answers it
        for _ in range(4):
            talk.line()
        talk.say("250 ok|250 ok|250 ok|354 go")
        talk.content()
        talk.say("250 2.0.0 one|250 2.0.0 two")
        talk.line()

    agent = start_agent(program="lmtp")
    with ScriptedServer(script, path=f"{agent.directory}/private/lmtp"):
        (refused,) = agent.deliver("unix:private/lmtp", ["nobody@b.test"], reuse=True).results
        results = agent.deliver("unix:private/lmtp", ["a@b.test", "b@b.test"]).results
    assert refused.outcome == BOUNCED
    assert [each.outcome for each in results] == [SENT, SENT]


def test_absent_unix_socket_is_deferred(start_agent: StartAgent) -> None:
    """No such socket: Postfix's words."""
    (result,) = start_agent(program="lmtp").deliver("unix:private/none").results
    assert (result.outcome, result.dsn) == (DEFERRED, "4.4.1")
    assert result.text == "connect to client.test[private/none]: No such file or directory"


def test_many_deliveries_at_once(start_agent: StartAgent) -> None:
    """Two hundred at a time in one process, each with its own result."""
    with ScriptedServer(lambda talk: talk.converse()) as server:
        agent = start_agent()
        numbers = [agent.request(f"[127.0.0.1]:{server.port}", [f"r{n}@b.test"]) for n in range(200)]
        assert all(agent.wait(number).results[0].outcome == SENT for number in numbers)
    rcpts = [line for line in server.heard() if line.startswith(b"RCPT")]
    assert len(set(rcpts)) == len(rcpts) == 200


def test_server_that_cannot_be_reached_times_out(start_agent: StartAgent) -> None:
    """CL-11 at connect: smtp_connect_timeout, and Postfix's words."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:  # fill the queue of connections that nobody accepts
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        try:
            (result,) = start_agent({"smtp_connect_timeout": "1s"}).deliver(f"[127.0.0.1]:{port}").results
        finally:
            for sock in waiting:
                sock.close()
    assert (result.outcome, result.dsn, result.relay) == (DEFERRED, "4.4.1", "none")
    assert result.text == f"connect to 127.0.0.1[127.0.0.1]:{port}: Connection timed out"


def test_greeting_may_take_longer_than_the_connection(start_agent: StartAgent) -> None:
    """A server that is there, but slow to greet, is waited for."""

    def script(talk: Talk) -> None:
        time.sleep(1.5)
        talk.converse()

    with ScriptedServer(script) as server:
        (result,) = start_agent({"smtp_connect_timeout": "1s"}).deliver(f"[127.0.0.1]:{server.port}").results
    assert result.outcome == SENT
