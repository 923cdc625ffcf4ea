"""What `posthouse explain session` says a client would hear is what a running smtpd says, reply by reply."""

import asyncio
import re
import socket
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest

from posthouse.commands.explain.command import explain
from posthouse.commands.explain.model import Report
from posthouse.util import log
from tests.conftest import Start
from tests.support import net
from tests.support.fake_dns import FakeDns
from tests.support.instance import Instance

ETC: Final = "{directory}/etc"
MAIN: Final = {
    "mynetworks": "127.0.0.9/32",
    "mydestination": "$mydomain",
    "local_recipient_maps": "inline:{alice=x, bob=x}",
    "local_transport": "discard:",
    "relay_domains": "relay.test",
    "relay_recipient_maps": f"hash:{ETC}/relayed",
    "virtual_alias_domains": "alias.test",
    "virtual_alias_maps": "inline:{known@alias.test=alice@example.test}",
    "transport_maps": "inline:{gone.test=error:5.1.6 has moved away}",
    "smtpd_peername_lookup": "yes",
    "smtpd_helo_required": "yes",
    "message_size_limit": "50000",
    "smtpd_recipient_limit": "3",
    "smtpd_restriction_classes": "careful",
    "careful": "reject_unknown_sender_domain, permit",
    "smtpd_client_restrictions": f"check_client_access cidr:{ETC}/clients, check_client_access hash:{ETC}/names",
    "smtpd_helo_restrictions": "permit_mynetworks, reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname",
    "smtpd_sender_restrictions": "permit_mynetworks, reject_non_fqdn_sender, "
    f"check_sender_access hash:{ETC}/senders, reject_unknown_sender_domain",
    "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
    "smtpd_recipient_restrictions": f"check_recipient_access pcre:{ETC}/recipients, "
    "reject_unknown_reverse_client_hostname, warn_if_reject reject_unknown_client_hostname",
    "smtpd_data_restrictions": "reject_multi_recipient_bounce",
    "smtpd_end_of_data_restrictions": "check_sender_access inline:{late@nice.test=REJECT}",
}
FILES: Final = {
    "clients": "if 127.0.0.16/28\n127.0.0.17 REJECT 5.7.1 not from here\n127.0.0.18 450 4.7.1 come back\nendif\n",
    "names": "good.client.test OK\n.forged.test REJECT\n127.0.0.20 unknown_word\n",
    "senders": "spam@nice.test REJECT go away\ncareful.test careful\nwait.test DEFER_IF_PERMIT not yet\n"
    "later.test DEFER_IF_REJECT try later\nnice.test DUNNO\n<> DUNNO\n",
    "recipients": "/^alice\\+/ REJECT no extensions\n/^bob@/ DUNNO\n/^prepend@/ PREPEND X-A: b\n",
    "relayed": "user@relay.test x\n",
}
ZONE: Final = {
    ("5.0.0.127.in-addr.arpa", "PTR"): ["good.client.test."],
    ("good.client.test", "A"): ["127.0.0.5"],
    ("6.0.0.127.in-addr.arpa", "PTR"): ["a.forged.test."],
    ("a.forged.test", "A"): ["192.0.2.1"],
    ("9.0.0.127.in-addr.arpa", "PTR"): ["inside.test."],
    ("17.0.0.127.in-addr.arpa", "PTR"): ["c.test."],
    ("18.0.0.127.in-addr.arpa", "PTR"): ["c.test."],
    ("20.0.0.127.in-addr.arpa", "PTR"): ["c.test."],
    ("nice.test", "MX"): ["10 mx.nice.test."],
    ("null.test", "MX"): ["0 ."],
    ("a.test", "A"): ["192.0.2.7"],
}
GOOD: Final = "127.0.0.5"
ALICE: Final = "alice@example.test"
CONTENT: Final = "end of content"


class Scenario(NamedTuple):
    """One session."""

    client: str = GOOD
    helo: str = "good.client.test"
    sender: str = "a@nice.test"
    recipients: tuple[str, ...] = (ALICE,)
    size: str = ""
    second: bool = False  # of the two services


SCENARIOS: Final = (
    Scenario(),
    Scenario(sender=""),
    Scenario(sender="", recipients=(ALICE, "bob@example.test")),
    Scenario(recipients=("x@elsewhere.test",)),
    Scenario(recipients=("nobody@example.test", ALICE)),
    Scenario(recipients=("user@relay.test", "other@relay.test")),
    Scenario(recipients=("known@alias.test", "unknown@alias.test")),
    Scenario(recipients=("anybody@gone.test",)),
    Scenario(recipients=("alice%elsewhere.test@example.test",)),
    Scenario(recipients=("alice+x@example.test", "postmaster")),
    Scenario(recipients=(ALICE, "bob@example.test", ALICE, ALICE)),
    Scenario(client="127.0.0.6"),
    Scenario(client="127.0.0.7"),
    Scenario(client="127.0.0.9", recipients=("x@elsewhere.test",)),
    Scenario(client="127.0.0.17"),
    Scenario(client="127.0.0.18"),
    Scenario(client="127.0.0.20"),
    Scenario(helo="good"),
    Scenario(helo="bad_name.test"),
    Scenario(helo="[127.0.0.5]"),
    Scenario(sender="a@short"),
    Scenario(sender="spam@nice.test"),
    Scenario(sender="a@careful.test"),
    Scenario(sender="a@wait.test"),
    Scenario(sender="a@later.test"),
    Scenario(sender="a@later.test", recipients=("x@elsewhere.test",)),
    Scenario(sender="a@null.test"),
    Scenario(sender="a@nowhere.test"),
    Scenario(sender="late@nice.test"),
    Scenario(sender="bad address@nice.test"),
    Scenario(size="60000"),
    Scenario(size="1000"),
    Scenario(second=True),
    Scenario(second=True, client="127.0.0.7"),
    Scenario(second=True, sender="spam@nice.test"),
    Scenario(second=True, helo="good"),
)


@pytest.fixture
def server(posthouse: Start) -> Iterator[tuple[Instance, int]]:
    """Run Posthouse with two smtpd services and name servers of our own; give it with the second one's port."""
    port = net.free_port()
    second = (
        f"127.0.0.1:{port} inet n - n - - smtpd -o smtpd_delay_reject=no -o smtpd_recipient_restrictions=permit "
        "-o smtpd_client_restrictions=reject_unknown_client_hostname"
    )
    with FakeDns(ZONE) as names:
        main = {**MAIN, "dns_nameservers": names.address, "smtpd_client_connection_rate_limit": "0"}
        instance = posthouse(main=main, master=[second], files=FILES, started=False)
        for table in ("names", "senders", "relayed"):
            done = instance.command("postmap", f"hash:{instance.config_directory}/{table}")
            assert done.returncode == 0, done.stderr
        instance.start_and_greet()
        yield instance, port
    log.LOG.open("test", log.NullSink())


class Client:
    """Speaks SMTP from an address of its own."""

    def __init__(self, port: int, source: str) -> None:
        self._socket = socket.create_connection((net.LOOPBACK, port), timeout=60, source_address=(source, 0))
        self._file = self._socket.makefile("rb")

    def reply(self) -> str:
        """Read one reply, its lines joined by LF."""
        lines = [self._file.readline()]
        while lines[-1][3:4] == b"-":
            lines.append(self._file.readline())
        return b"".join(lines).decode().replace("\r\n", "\n").rstrip("\n")

    def say(self, text: str) -> str:
        """Send a line."""
        self._socket.sendall(text.encode() + b"\r\n")
        return self.reply()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()


def hold(port: int, scenario: Scenario) -> list[tuple[str, str]]:
    """Hold the session with the running server, until a client would give up."""
    client = Client(port, scenario.client)
    replies = [("connect", client.reply())]

    def say(line: str, shown: str = "") -> bool:
        replies.append((shown or line, client.say(line)))
        return replies[-1][1] < "400"

    size = f" SIZE={scenario.size}" if scenario.size else ""
    opened = replies[0][1] < "400" and say(f"EHLO {scenario.helo}") and say(f"MAIL FROM:<{scenario.sender}>{size}")
    accepted = [say(f"RCPT TO:<{recipient}>") for recipient in scenario.recipients] if opened else []
    if any(accepted) and say("DATA"):
        say("\r\n.", CONTENT)
    client.close()
    return replies


def explained(instance: Instance, scenario: Scenario, service: str) -> Report:
    """Ask for the explanation of the same."""
    options = {
        "c": [str(instance.config_directory)],
        "client": [scenario.client],
        "helo": [scenario.helo],
        "from": [scenario.sender],
        "to": list(scenario.recipients),
        "size": [scenario.size],
        "service": [service],
        "dns": [""],
    }
    return asyncio.run(explain("session", options))


def without_id(replies: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Take the queue ID out."""
    return [(line, re.sub("queued as .*", "queued as ID", reply)) for line, reply in replies]


def test_explanations_agree_with_the_server(server: tuple[Instance, int]) -> None:
    """Every reply of every scenario, whichever list, table or DNS answer made it; on both services."""
    instance, second = server
    seen = set()
    for scenario in SCENARIOS:
        port = second if scenario.second else instance.port
        report = explained(instance, scenario, f"127.0.0.1:{port}")
        said = [
            (f"{step.name} {step.argument}".strip(), step.text)
            for step in report.sections[0].steps
            if step.kind == "command"
        ]
        real = hold(port, scenario)
        assert without_id(said) == without_id(real), scenario
        assert report.decision in said[-1][1]
        seen.add(without_id(real)[-1][1])
    assert len(seen) > 15, "scenarios that all end alike show nothing"
