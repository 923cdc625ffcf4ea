"""The whole system with a name server of the test's: MX, null MX, names that do not exist, and LMTP by transport."""

import smtplib

import pytest

from tests.conftest import Start
from tests.support import dovecot
from tests.support.fake_dns import FakeDns
from tests.support.instance import Instance
from tests.support.load import SmtpSink
from tests.support.net import LOOPBACK
from tests.support.peers import find_peer

ZONE = {
    ("good.test", "MX"): ["10 dead.good.test.", "20 mx.good.test."],
    ("dead.good.test", "A"): ["127.0.0.3"],
    ("mx.good.test", "A"): ["127.0.0.1"],
    ("null.test", "MX"): ["0 ."],
}
CONTENT = b"Subject: whole\r\n\r\nbody\r\n"


def send(server: Instance, recipients: list[str]) -> None:
    """Send one message."""
    with smtplib.SMTP(LOOPBACK, server.port, local_hostname="client.test", timeout=30) as client:
        assert client.sendmail("", recipients, CONTENT) == {}


def test_mail_goes_by_mx(posthouse: Start) -> None:
    """The message reaches the second-best MX host; no MX wanted and no such domain bounce with Postfix's words."""
    if not find_peer("smtp-sink"):
        pytest.skip("smtp-sink is not here: make peers")
    with FakeDns(ZONE) as dns, SmtpSink(keep=True) as sink:
        server = posthouse(
            main={
                "disable_dns_lookups": "no",
                "dns_nameservers": dns.address,
                "smtp_tcp_port": str(sink.port),
                "mydestination": "",
            }
        )
        send(server, ["a@good.test", "b@null.test", "c@nowhere.test"])
        server.wait_log(rf"to=<a@good\.test>, relay=mx\.good\.test\[127\.0\.0\.1\]:{sink.port}, .* status=sent")
        server.wait_log(
            r"to=<b@null\.test>, relay=none, .*dsn=5\.1\.10, status=bounced "
            r"\(Domain null\.test does not accept mail \(nullMX\)\)"
        )
        server.wait_log(
            r"to=<c@nowhere\.test>, relay=none, .*dsn=5\.4\.4, status=bounced \(Host or domain name not found\. "
            r"Name service error for name=nowhere\.test type=A: Host not found\)"
        )
        assert sink.recipients() == ["a@good.test"]


def test_mail_goes_to_dovecot_by_lmtp(posthouse: Start) -> None:
    """virtual_transport = lmtp:unix:…, as with every Dovecot."""
    if dovecot.why_not():
        pytest.skip(dovecot.why_not())
    with dovecot.Dovecot(["alice"]) as box:
        server = posthouse(
            main={
                "virtual_mailbox_domains": "box.test",
                "virtual_transport": f"lmtp:unix:{box.socket}",
            }
        )
        send(server, ["alice@box.test", "nobody@box.test"])
        server.wait_log(
            rf"to=<alice@box\.test>, relay=mail\.example\.test\[{box.socket}\], .* status=sent \(250 2\.0\.0"
        )
        server.wait_log(
            r"to=<nobody@box\.test>, .*dsn=5\.1\.1, status=bounced \(host mail\.example\.test\[.*\] said: 550"
        )
        (message,) = box.messages("alice", 1)
        assert b"\nSubject: whole\n" in message
        assert message.endswith(b"\n\nbody\n")
