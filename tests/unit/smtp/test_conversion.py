"""Content that is converted on its way out: for which server, in how many pieces, and what happens when it cannot be.

What it becomes is compared with Debian's Postfix in tests/integration/05_smtp_client/test_conversion.py.
"""

import os
import socket
import time

import pytest

from posthouse.daemons.proxymap.service import ProxymapService
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT, Envelope
from tests.support.agent import AgentHarness
from tests.support.scripted_server import ScriptedServer, Talk
from tests.unit.smtp.conftest import StartAgent

EIGHT = "250-scripted.test|250-PIPELINING|250 8BITMIME"
SEVEN = "250-scripted.test|250 PIPELINING"
LABELLED = b"From: a@here.test\nContent-Transfer-Encoding: 8bit\n\n\xe4\n.\n"
CONVERTED = b"From: a@here.test\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n.."
NESTED = b"Content-Transfer-Encoding: 8bit\n" + b"".join(
    b"Content-Type: multipart/x; boundary=%b\n\n--%b\n" % (mark, mark) for mark in (b"a", b"b", b"c", b"d")
)


def envelope(encoding: str = "", sender: str = "from@here.test") -> Envelope:
    """Make an envelope that says how the content is encoded."""
    return Envelope("3TestQueueId", sender, time.time(), encoding=encoding)


def talks(replies: dict[str, str]) -> ScriptedServer:
    """Make a server that answers well, but for some verbs."""
    return ScriptedServer(lambda talk: talk.converse(replies))


def content_of(server: ScriptedServer) -> bytes:
    """Give what the server got as content last."""
    heard = server.talks[-1].heard
    return heard[max(at for at, line in enumerate(heard) if line == b"DATA") + 1]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("ehlo", "encoding", "main", "content"),
    [
        (SEVEN, "8bit", {}, CONVERTED),
        (SEVEN, "", {}, CONVERTED),
        (SEVEN, "7bit", {}, None),
        (SEVEN + "|250 SMTPUTF8", "8bit", {}, None),
        (EIGHT, "8bit", {}, None),
        (SEVEN, "8bit", {"disable_mime_output_conversion": "yes"}, None),
    ],
)
def test_who_gets_7_bits(
    start_agent: StartAgent, ehlo: str, encoding: str, main: dict[str, str], content: bytes | None, *, large: bool
) -> None:
    """Servers that take no others, unless the message says that it has none."""
    ehlo = ehlo.replace("250 PIPELINING|", "250-PIPELINING|")
    with talks({"EHLO": ehlo}) as server:
        (result,) = (
            start_agent(main)
            .deliver(f"[127.0.0.1]:{server.port}", ["b@b.test"], LABELLED, envelope=envelope(encoding), large=large)
            .results
        )
        assert result.outcome == SENT
        wanted = content if content is not None else LABELLED[:-1].replace(b"\n", b"\r\n") + b"."
        assert content_of(server) == wanted


def test_each_server_gets_what_it_takes(start_agent: StartAgent) -> None:
    """The next server gets the message as it is, whatever the one before had got of it."""
    with talks({"EHLO": SEVEN, ".": "451 later"}) as first, talks({"EHLO": EIGHT}) as second:
        nexthop = f"[127.0.0.1]:{first.port}, [127.0.0.1]:{second.port}"
        (result,) = start_agent().deliver(nexthop, ["b@b.test"], LABELLED).results
        assert result.outcome == SENT
        assert content_of(first) == CONVERTED
        assert content_of(second) == LABELLED[:-1].replace(b"\n", b"\r\n") + b"."


def test_large_content_is_converted_in_pieces(start_agent: StartAgent) -> None:
    """Nothing is lost between two of them, and long lines are cut in the end."""
    lines = b"".join(b"line %d = \xe4\n" % number for number in range(20_000))
    header = b"Content-Transfer-Encoding: 8bit\n\n"
    with talks({"EHLO": SEVEN}) as server:
        agent = start_agent({"smtp_line_length_limit": "12"})
        (result,) = agent.deliver(f"[127.0.0.1]:{server.port}", ["b@b.test"], header + lines, large=True).results
        assert result.outcome == SENT
        wire = content_of(server)
    body = wire.partition(b"\r\n\r\n")[2].replace(b"\r\n ", b"") + b"\r\n"
    assert body == lines.replace(b"=", b"=3D").replace(b"\xe4", b"=E4").replace(b"\n", b"\r\n")
    assert max(map(len, wire.split(b"\r\n"))) == 12
    assert sum("breaking line > 12 bytes" in line for line in agent.log.lines) == 1


def test_lines_that_are_cut_are_told_once(start_agent: StartAgent) -> None:
    """And only when they are sent that way: quoted-printable has short lines."""
    long = b"A: b\nContent-Transfer-Encoding: 8bit\n\n" + b"x" * 999 + b"\n"
    for ehlo, large, told in ((EIGHT, False, 1), (EIGHT, True, 1), (SEVEN, False, 0), (SEVEN, True, 0)):
        with talks({"EHLO": ehlo}) as server:
            agent = start_agent()
            agent.deliver(f"[127.0.0.1]:{server.port}", ["b@b.test"], long, large=large)
            assert sum("3TestQueueId: breaking line > 998 bytes" in line for line in agent.log.lines) == told


INNER = b"Subject: \xc3\xa4\n\nx\n"
PARTS = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n%b--b--\n"


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (INNER, BOUNCED),
        (PARTS % INNER, BOUNCED),
        (b"Content-Type: message/rfc822\n\n" + INNER, BOUNCED),
        (b"X: " + b"x" * 70_000 + b"\n \xe4\n\n", BOUNCED),
        (b"Subject: x\n\n" + INNER, SENT),
        (PARTS % b"\n\xc3\xa4\n", SENT),
    ],
)
def test_headers_in_utf8_go_to_servers_with_smtputf8(
    start_agent: StartAgent, content: bytes, outcome: int, *, large: bool
) -> None:
    """Wherever in the message they stand; seen with Postfix 3.7. To who offers it, SMTPUTF8 is said in any case."""
    with talks({"EHLO": EIGHT}) as without, talks({"EHLO": EIGHT.replace("250 8", "250-SMTPUTF8|250 8")}) as capable:
        message = Envelope("3TestQueueId", "a@here.test", time.time(), smtputf8=True)
        agent = start_agent({"smtp_line_length_limit": "0"})
        results = [
            agent.deliver(f"[127.0.0.1]:{server.port}", ["b@b.test"], content, envelope=message, large=large).results[0]
            for server in (without, capable)
        ]
        assert [result.outcome for result in results] == [outcome, SENT]
        assert results[0].dsn == ("2.0.0" if outcome == SENT else "5.6.7")
        assert any(line.startswith(b"MAIL ") and b" SMTPUTF8" in line for line in capable.heard())


def test_envelope_and_header_are_mapped(start_agent: StartAgent) -> None:
    """smtp_generic_maps: the server hears the new addresses, the log and the result have the old ones."""
    main = {"smtp_generic_maps": "inline:{a@here.test=x@far.test, b@here.test=y@far.test}"}
    with talks({"EHLO": EIGHT}) as server:
        agent = start_agent(main)
        nexthop = f"[127.0.0.1]:{server.port}"
        content = b"From: a@here.test\nTo: b@here.test, c@c.test\nX-To: b@here.test\n\nb@here.test\n"
        agent.deliver(nexthop, ["b@here.test", "c@c.test"], content, envelope=envelope(sender="a@here.test"))
        agent.deliver(nexthop, ["c@c.test"], content, envelope=envelope(sender=""))
        heard = server.heard()
        assert content_of(server).startswith(b"From: x@far.test\r\nTo: y@far.test, c@c.test\r\nX-To: b@here.test\r\n")
    assert {b"MAIL FROM:<x@far.test>", b"RCPT TO:<y@far.test>", b"RCPT TO:<c@c.test>", b"MAIL FROM:<>"} <= set(heard)
    assert "to=<b@here.test>" in agent.log.lines[0]


def test_lmtp_has_parameters_of_its_own(start_agent: StartAgent) -> None:
    """And its names stand in the log."""
    main = {
        "smtp_header_checks": "static:IGNORE",
        "lmtp_header_checks": "static:{PREPEND X: y}",
        "lmtp_generic_maps": "inline:{b@here.test=c@far.test}",
        "lmtp_body_checks": "static:HOLD",
    }
    with talks({"LHLO": EIGHT}) as server:
        agent = start_agent(main, program="lmtp")
        (result,) = agent.deliver(
            f"inet:127.0.0.1:{server.port}", ["b@here.test"], b"To: b@here.test\n\ntext\n"
        ).results
        assert result.outcome == SENT
        assert content_of(server) == b"X: y\r\nTo: c@far.test\r\n\r\ntext"
        assert b"RCPT TO:<c@far.test>" in server.heard()
    assert agent.log.lines[0].endswith(": 3TestQueueId: prepend: header To: b@here.test: X: y")
    assert "unsupported command in lmtp_body_checks map: HOLD" in agent.log.lines[1]


@pytest.mark.parametrize(
    ("main", "content", "dsn", "text"),
    [
        ({"smtp_header_checks": "fail:x"}, b"A: b\n\n", "4.3.0", "local data error while talking to 127.0.0.1"),
        ({"smtp_body_checks": "fail:x"}, b"A: b\n\ntext\n", "4.3.0", "local data error while talking to 127.0.0.1"),
        ({"smtp_generic_maps": "fail:x"}, b"A: b\n\n", "4.3.0", "local data error: addresses cannot be mapped now"),
        (
            {"mime_nesting_limit": "1"},
            NESTED,
            "5.6.0",
            "MIME nesting exceeds safety limit",
        ),
    ],
)
def test_what_cannot_be_converted_is_nobody_elses_fault(
    start_agent: StartAgent, main: dict[str, str], content: bytes, dsn: str, text: str
) -> None:
    """No server gets half a message, no other one is tried, and other mail need not wait for the destination."""
    with talks({"EHLO": SEVEN}) as server, talks({"EHLO": SEVEN}) as other:
        agent = start_agent(main)
        results = agent.deliver(f"[127.0.0.1]:{server.port}, [127.0.0.1]:{other.port}", ["b@b.test"], content)
        (result,) = results.results
        agent.run_for(0.02)
        assert (result.outcome, result.dsn) == (BOUNCED if dsn[0] == "5" else DEFERRED, dsn)
        assert result.text.startswith(text)
        assert not results.destination_dead
        assert not other.talks
        assert not any(b"\r\n" in line for talk in server.talks for line in talk.heard)


def test_tables_behind_proxymap_are_waited_for(start_agent: StartAgent) -> None:
    """Content goes on when the answer is there."""
    main = {
        "smtp_header_checks": "proxy:regexp:{{/^A: b/ PREPEND X: y}}",
        "smtp_generic_maps": "proxy:inline:{b@b.test=c@c.test}",
    }
    with talks({"EHLO": EIGHT}) as server:
        agent = start_agent(main)
        agent.serve("proxymap", ProxymapService)
        nexthop = f"[127.0.0.1]:{server.port}"
        content = b"A: b\nTo: b@b.test\n\n" + b"text\n" * 100_000
        for large in (False, True):
            body = content if large else content[:40]
            (result,) = agent.deliver(nexthop, ["b@b.test"], body, large=large).results
            assert result.outcome == SENT
            assert content_of(server).startswith(b"X: y\r\nA: b\r\nTo: c@c.test\r\n\r\ntext")
            assert content_of(server).count(b"text") == body.count(b"text")
        assert b"RCPT TO:<c@c.test>" in server.heard()


def silent_proxymap(agent: AgentHarness) -> socket.socket:
    """Listen in place of proxymap(8), and never answer."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(agent.context.private("proxymap"))
    listener.listen(10)
    return listener


def test_a_server_that_leaves_while_a_table_is_waited_for(start_agent: StartAgent) -> None:
    """The delivery ends at once, and lets go of its content."""

    def script(talk: Talk) -> None:
        talk.say("220 hi ESMTP")
        talk.line()
        talk.say(SEVEN)
        for _ in range(3):
            talk.line()
        talk.say("250 ok|250 ok|354 go")
        time.sleep(0.2)

    with ScriptedServer(script) as server:
        agent = start_agent({"smtp_header_checks": "proxy:static:IGNORE"})
        with silent_proxymap(agent):
            before = len(os.listdir("/proc/self/fd"))
            (result,) = agent.deliver(f"[127.0.0.1]:{server.port}", ["b@b.test"], b"A: b\n" * 9, large=True).results
            assert (result.outcome, result.dsn) == (DEFERRED, "4.4.2")
            assert result.text.startswith("lost connection with 127.0.0.1[127.0.0.1] while sending message body")
            agent.run_for(0.05)
            assert len(os.listdir("/proc/self/fd")) <= before + 1  # the connection to proxymap


def test_other_mail_goes_on_while_content_is_checked(start_agent: StartAgent) -> None:
    """A long message with many lines does not keep the loop: one that comes later is delivered first."""
    with talks({"EHLO": EIGHT}) as busy, talks({"EHLO": EIGHT}) as quick:
        agent = start_agent({"smtp_body_checks": "regexp:{{/^no such line/ IGNORE}}"})
        long = agent.request(f"[127.0.0.1]:{busy.port}", ["a@b.test"], b"A: b\n\n" + b"x\n" * 150_000, large=True)
        agent.wait(agent.request(f"[127.0.0.1]:{quick.port}", ["b@b.test"]))
        assert long not in agent.results
        assert agent.wait(long).results[0].outcome == SENT
        assert content_of(busy).count(b"\r\n") == 150_001
