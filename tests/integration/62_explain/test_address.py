"""Where `posthouse explain address` says that a recipient ends, its mail ends: agent, status and text of the log."""

import asyncio
import re
import smtplib
from collections.abc import Iterator
from typing import Final

import pytest

from posthouse.commands.explain import main
from posthouse.commands.explain.command import explain
from posthouse.util import log
from tests.conftest import Start
from tests.support import net
from tests.support.instance import Instance
from tests.support.mailboxes import Boxes, give_away

BOXES: Final = Boxes(["alice", "bob"])
ETC: Final = "{directory}/etc"
MAIN: Final = {
    "smtpd_reject_unlisted_recipient": "no",
    "alias_maps": f"texthash:{ETC}/aliases",
    "append_dot_mydomain": "yes",
    "canonical_maps": "inline:{old@box.test=alice@box.test}",
    "virtual_alias_domains": "alias.test",
    "virtual_alias_maps": f"texthash:{ETC}/virtual",
    "transport_maps": f"texthash:{ETC}/transport",
    "recipient_delimiter": "+",
    "relocated_maps": "inline:{{left@box.test = elsewhere@x.test}}",
}
FILES: Final = {
    "aliases": "team alice@box.test, bob@box.test\n",
    "virtual": "both@alias.test alice@box.test, nobody@box.test\n",
    "transport": "slow.test retry:4.7.0 not today\ngone.test error:5.1.6 has moved away\nsink.test discard:\n",
}
ADDRESSES: Final = (
    "alice@box.test",
    "bob+x@box.test",
    "nobody@box.test",
    "old@box.test",
    "both@alias.test",
    "unknown@alias.test",
    "team",
    "team@localhost",
    "no-such-user@example.test",
    "alice%box.test@example.test",
    "left@box.test",
    "u@slow.test",
    "u@gone.test",
    "u@sink.test",
    "u@example.test@",
)
LINE: Final = re.compile(r" to=<([^>]*)>.*? relay=([^,]*),.* dsn=([^,]*), status=(\w+) \((.*)\)")


@pytest.fixture
def server(posthouse: Start) -> Iterator[Instance]:
    """Run Posthouse with two mailboxes and a bit of everything in front of them."""
    options = BOXES.options(**MAIN)
    instance = posthouse(main=options["main"], files={**options["files"], **FILES}, started=False)
    give_away(instance)
    instance.start_and_greet()
    yield instance
    log.LOG.open("test", log.NullSink())


def send(instance: Instance, recipient: str) -> str:
    """Send from the null sender, so that nothing is returned; give the queue ID, "" when the recipient is refused."""
    with smtplib.SMTP(net.LOOPBACK, instance.port, local_hostname="client.test", timeout=30) as client:
        client.ehlo()
        client.mail("")
        if client.docmd(f"RCPT TO:<{recipient}>")[0] != 250:
            return ""
        return client.data(b"Subject: x\r\n\r\n")[1].decode().rpartition(" ")[2]


def ends_in_log(instance: Instance, queue_id: str, count: int) -> set[tuple[str, str, str]]:
    """Give recipient, agent and what became of it, for each delivery of a message."""
    instance.wait_log(rf"(?s)(?:{queue_id}: to=.*?){{{count}}}")
    found = set()
    for line in instance.log().splitlines():
        if f" {queue_id}: to=" in line and (match := LINE.search(line)):
            address, relay, dsn, status, text = match.groups()
            found.add((address, relay, "sent" if status == "sent" else f"{status}: {dsn} {text}"))
    return found


def ends_explained(instance: Instance, address: str) -> set[tuple[str, str, str]]:
    """Give the same as it was explained; what a forwarded copy would do belongs to another message."""
    report = asyncio.run(explain("address", {"c": [str(instance.config_directory)]}, [address]))
    found = set()
    for section in report.sections:
        if section.name == "cleanup" and section.title.endswith("(forwarded)"):
            break
        if section.name == "recipient":
            last = section.steps[-1]
            status = last.result if last.result.startswith(("bounced: ", "deferred: ")) else "sent"
            resolved = next(step for step in section.steps if step.name == "trivial-rewrite")
            found.add((resolved.argument, last.name, status))
    return found


def test_mail_ends_where_it_was_said(server: Instance) -> None:
    """Every address, through aliases, tables and the local part; what smtpd refuses outright is left out."""
    compared = 0
    for address in ADDRESSES:
        queue_id = send(server, address)
        if queue_id:
            explained = ends_explained(server, address)
            assert ends_in_log(server, queue_id, len(explained)) == explained, address
            compared += 1
    assert compared >= len(ADDRESSES) - 2


def test_a_message_that_waits_is_explained(server: Instance) -> None:
    """Reason, attempts and next attempt from the queue; and its way as the tables are now."""
    queue_id = send(server, "u@slow.test")
    server.wait_log(f"{queue_id}: to=.* status=deferred")
    options = {"c": [str(server.config_directory)]}
    report = asyncio.run(explain("delivery", options, [queue_id]))
    facts = {step.name: step for step in report.sections[0].steps}
    assert facts["queue"].result == "deferred"
    assert facts["sender"].result == "<>"
    assert facts["returned"].text == "bounce_queue_lifetime = 5d"
    assert facts["recipient"].result == "4.7.0 not today"
    assert re.match(r"attempts: 1, next 20\d\d-", facts["recipient"].text)
    assert report.decision == "u@slow.test: not today; now: deferred: 4.7.0 not today"
    (server.config_directory / "transport").write_text("slow.test discard:\n")
    report = asyncio.run(explain("delivery", options, [queue_id]))
    assert report.decision == "u@slow.test: not today; now: slow.test"


def test_a_message_that_is_not_there(server: Instance, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 64, and what may have become of it."""
    assert main(["delivery", "-c", str(server.config_directory), "4jY4R85Vs6z1J"]) == 64
    assert "no such message in the queue" in capsys.readouterr().err
