"""What a Debian Postfix makes of a server's faults, we make of them too: relay, status and words of the log line.

Where the two differ on purpose (a reply without a code, 354 where it does not belong) is in test_hostile_servers.py.
"""

import re
import smtplib
from contextlib import ExitStack
from typing import Final

from posthouse.daemons.smtp.agent import start
from tests.conftest import Start
from tests.support.agent import AgentHarness
from tests.support.net import LOOPBACK, free_port
from tests.support.scripted_server import ScriptedServer

FAULTS: Final[dict[str, dict[str, str]]] = {
    "ok": {},
    "several-lines": {".": "250-2.0.0 a|250 2.0.0 b"},
    "greeting-4": {"GREETING": "450 4.7.0 later"},
    "greeting-5": {"GREETING": "554 5.7.1 no"},
    "greeting-421": {"GREETING": "421 bye"},
    "greeting-close": {"GREETING": ""},
    "ehlo-4": {"EHLO": "450 no"},
    "ehlo-421": {"EHLO": "421 4.3.2 no"},
    "ehlo-helo-5": {"EHLO": "502 x", "HELO": "550 no"},
    "ehlo-close": {"EHLO": ""},
    "mail-4": {"MAIL": "450 4.1.8 x"},
    "mail-5": {"MAIL": "550 x"},
    "mail-421": {"MAIL": "421 x"},
    "mail-close": {"MAIL": ""},
    "rcpt-5": {"RCPT": "550-5.1.1 one|550 5.1.1 two"},
    "rcpt-552": {"RCPT": "552 5.5.3 many"},
    "rcpt-421": {"RCPT": "421 4.3.2 x"},
    "rcpt-close": {"RCPT": ""},
    "data-4": {"DATA": "450 x"},
    "data-5": {"DATA": "550 x"},
    "data-421": {"DATA": "421 x"},
    "data-close": {"DATA": ""},
    "dot-4": {".": "450 4.3.0 x"},
    "dot-5": {".": "550 x"},
    "dot-421": {".": "421 x"},
    "dot-close": {".": ""},
}


def said(log: str, name: str) -> list[tuple[str, ...]]:
    """Find relay, dsn and status of a recipient's log lines."""
    return re.findall(rf"to=<a@{name}\.test>.*? relay=([^ ]+), .*dsn=([^ ]+), status=(.*)", log)


def test_the_same_words_as_postfix(postfix_peer: Start) -> None:
    """The same servers, the same mail, the same lines."""
    with ExitStack() as stack:
        ports = {"refused": free_port()}
        for name, replies in FAULTS.items():
            server = ScriptedServer(lambda talk, replies=replies: talk.converse(replies))  # type: ignore[misc]
            ports[name] = stack.enter_context(server).port
        routes = "".join(f"{name}.test smtp:[127.0.0.1]:{port}\n" for name, port in ports.items())
        peer = postfix_peer(main={"transport_maps": "texthash:{directory}/etc/routes"}, files={"routes": routes})
        with smtplib.SMTP(LOOPBACK, peer.port, timeout=30) as client:
            for name in ports:
                client.sendmail("", [f"a@{name}.test"], b"Subject: x\r\n\r\nbody\r\n")
        agent = stack.enter_context(AgentHarness(start))
        for name, port in ports.items():
            agent.deliver(f"[127.0.0.1]:{port}", [f"a@{name}.test"])
        agent.run_for(0.05)
        for name in ports:
            peer.wait_log(rf"to=<a@{name}\.test>")
            assert said("\n".join(agent.log.lines), name) == said(peer.log(), name), name
