"""What cannot be delivered comes back to its sender: RFC 3464 reports, expiry, and no report about a report."""

import email
import email.policy
import smtplib
import time
from email.message import EmailMessage, Message, MIMEPart
from typing import Final

from tests.conftest import Start
from tests.support import maildir
from tests.support.instance import Instance
from tests.support.mailboxes import Boxes, box, give_away
from tests.support.net import LOOPBACK
from tests.support.recording_sink import RecordingSink

BOXES: Final = Boxes(["alice"])
CONTENT: Final = (
    b"From: alice@box.test\r\nTo: gone@far.test\r\nSubject: will it arrive\r\n"
    b"Date: Sun, 22 Nov 2026 20:00:00 +0000\r\nMessage-ID: <orig@client.test>\r\n\r\nthe body\r\n"
)


def refuse_gone(verb: str, address: str) -> str:
    """Answer as a server where "gone" is unknown and "full" has no room now."""
    if verb == "RCPT" and address.startswith("gone"):
        return "550 5.1.1 no such user here"
    return "452 4.2.2 mailbox full" if verb == "RCPT" and address.startswith("full") else ""


def start(posthouse: Start, sink: RecordingSink, **main: str) -> Instance:
    """Run Posthouse with the sender's mailbox, and a relay host that refuses some."""
    options = BOXES.options(relayhost=f"[127.0.0.1]:{sink.port}", mydestination="", **main)
    server = posthouse(**options, started=False)
    give_away(server)
    server.start_and_greet()
    return server


def send(server: Instance, recipients: list[str], sender: str = "alice@box.test") -> None:
    """Send with the standard library's client."""
    with smtplib.SMTP(LOOPBACK, server.port, local_hostname="client.test", timeout=30) as client:
        assert client.sendmail(sender, recipients, CONTENT) == {}


def report_of(server: Instance, name: str = "alice") -> EmailMessage:
    """Wait for the report in a mailbox and parse it with somebody else's parser."""
    [delivered] = maildir.wait_messages(box(server, name), 1, 30)
    report = email.message_from_bytes(delivered, policy=email.policy.default)
    assert isinstance(report, EmailMessage)
    return report


def blocks(status: MIMEPart) -> list[Message]:
    """Return the blocks of a message/delivery-status part: one about the message, one for each recipient."""
    payload = status.get_payload()
    assert isinstance(payload, list)
    return [block for block in payload if isinstance(block, Message)]


def test_refused_recipient_is_reported(posthouse: Start) -> None:
    """The sender gets a multipart/report with a note for people, one for programs, and the message itself."""
    with RecordingSink(refuse_gone) as sink:
        server = start(posthouse, sink)
        send(server, ["gone@far.test", "fine@far.test"])
        report = report_of(server)
        server.wait_queue_empty(20)
        assert [message.recipients for message in sink.received] == [("fine@far.test",)]
    assert report["Return-Path"] == "<>"
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    assert "MAILER-DAEMON@" in report["From"]
    assert report["To"] == "alice@box.test"
    assert report["Auto-Submitted"] == "auto-replied"
    note, status, original = list(report.iter_parts())
    assert note.get_content_type() == "text/plain"
    assert "gone@far.test" in note.get_content()
    assert "no such user here" in note.get_content()
    assert status.get_content_type() == "message/delivery-status"
    about_message, about_recipient = blocks(status)
    assert str(about_message["Reporting-MTA"]) == "dns; mail.example.test"
    assert "Arrival-Date" in about_message
    assert str(about_recipient["Final-Recipient"]) == "rfc822; gone@far.test"
    assert str(about_recipient["Action"]) == "failed"
    assert str(about_recipient["Status"]) == "5.1.1"
    assert "550 5.1.1 no such user here" in str(about_recipient["Diagnostic-Code"]).replace("\n", "")
    assert original.get_content_type() == "message/rfc822"
    [inner] = original.iter_parts()
    assert inner["Message-ID"] == "<orig@client.test>"
    server.wait_log(r"postfix/bounce\[\d+\]: [0-9A-Za-z]+: sender non-delivery notification: [0-9A-Za-z]+$")


def test_report_about_a_report_is_not_sent(posthouse: Start) -> None:
    """A message from the null sender that cannot be delivered ends here: no loop."""
    with RecordingSink(refuse_gone) as sink:
        server = start(posthouse, sink, notify_classes="")
        send(server, ["gone@far.test"], sender="")
        server.wait_log(r"to=<gone@far\.test>, .*status=bounced")
        server.wait_queue_empty(20)
        assert sink.received == []
    assert maildir.messages(server.mail_directory) == []


def test_expired_message_is_returned(posthouse: Start) -> None:
    """What cannot be delivered within maximal_queue_lifetime is returned with the last reason."""
    times = {"maximal_queue_lifetime": "3s", "bounce_queue_lifetime": "3s", "queue_run_delay": "1s"}
    with RecordingSink(refuse_gone) as sink:
        server = start(posthouse, sink, minimal_backoff_time="1s", maximal_backoff_time="1s", **times)
        send(server, ["full@far.test"])
        report = report_of(server)
    status = list(report.iter_parts())[1]
    assert str(blocks(status)[1]["Status"]) == "4.2.2"
    server.wait_log(r"from=<alice@box\.test>, status=expired, returned to sender$")
    server.wait_queue_empty(10)


def test_deferred_message_shows_in_the_queue_with_its_reason(posthouse: Start) -> None:
    """postqueue -j and -p tell what waits, for whom and why; postqueue -i tries it at once."""
    with RecordingSink(refuse_gone) as sink:
        server = start(posthouse, sink)
        send(server, ["full@far.test"])
        server.wait_log("status=deferred")
        deadline = time.monotonic() + 10
        while (entries := server.queue()) and entries[0]["queue_name"] != "deferred":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        [entry] = entries
        assert entry["sender"] == "alice@box.test"
        assert isinstance(entry["recipients"], list)
        [recipient] = entry["recipients"]
        assert recipient["address"] == "full@far.test"
        assert "452 4.2.2 mailbox full" in recipient["delay_reason"]
        listing = server.command("postqueue", "-p").stdout.decode()
        assert "full@far.test" in listing
        assert "-- " in listing.splitlines()[-1]
        assert listing.splitlines()[-1].endswith(" in 1 Request.")
        sink.answer = lambda verb, address: ""  # noqa: ARG005 - room again
        assert server.command("postqueue", "-i", str(entry["queue_id"])).returncode == 0
        server.wait_queue_empty(20)
        assert [message.recipients for message in sink.received] == [("full@far.test",)]
