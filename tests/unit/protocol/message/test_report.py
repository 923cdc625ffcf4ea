"""Delivery reports: the structure of RFC 3464 with Postfix's header, and nothing that breaks out of it."""

import email
import email.policy
from dataclasses import replace
from email.message import EmailMessage

from posthouse.protocol.message.report import (
    RecipientStatus,
    Report,
    delay_texts,
    failure_texts,
    format_boundary,
    format_report,
    success_texts,
)

RECIPIENT = RecipientStatus(
    "rcpt@there.example",
    "failed",
    "5.1.1",
    "host mx.there.example[192.0.2.9] said: 550 5.1.1 no such user here (in reply to RCPT TO command)",
    original="alias@here.example",
    remote_mta="dns; mx.there.example",
    diagnostic="smtp; 550 5.1.1 no such user here",
)
REPORT = Report(
    texts=failure_texts("mail.example"),
    recipients=(RECIPIENT,),
    to="sender@here.example",
    sender="sender@here.example",
    hostname="mail.example",
    queue_id="4X3vqF3bwhz5Yqq",
    arrival_date="Wed, 11 Sep 2024 18:05:54 -0400 (EDT)",
    boundary=format_boundary("4X3vqF3bwhz5Yqq", 1726092354, "mail.example"),
    original=b"Subject: x\n\nbody\n",
    envelope_id="E=1",
)

EXPECTED = """\
From: Mail Delivery System <MAILER-DAEMON>
Subject: Undelivered Mail Returned to Sender
To: sender@here.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="4X3vqF3bwhz5Yqq.1726092354/mail.example"
Content-Transfer-Encoding: 7bit

This is a MIME-encapsulated message.

--4X3vqF3bwhz5Yqq.1726092354/mail.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

TEXT

<rcpt@there.example> (expanded from <alias@here.example>): host
    mx.there.example[192.0.2.9] said: 550 5.1.1 no such user here (in reply to
    RCPT TO command)

--4X3vqF3bwhz5Yqq.1726092354/mail.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example
Original-Envelope-Id: E=1
X-Postfix-Queue-ID: 4X3vqF3bwhz5Yqq
X-Postfix-Sender: rfc822; sender@here.example
Arrival-Date: Wed, 11 Sep 2024 18:05:54 -0400 (EDT)

Final-Recipient: rfc822; rcpt@there.example
Original-Recipient: rfc822; alias@here.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.there.example
Diagnostic-Code: smtp; 550 5.1.1 no such user here

--4X3vqF3bwhz5Yqq.1726092354/mail.example
Content-Description: Undelivered Message
Content-Type: message/rfc822

Return-Path: <sender@here.example>
Subject: x

body

--4X3vqF3bwhz5Yqq.1726092354/mail.example--
"""


def parse(report: Report) -> EmailMessage:
    """Read a report with a parser nobody here wrote."""
    message = email.message_from_bytes(format_report(report), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_failure_report_is_laid_out_as_postfix_does() -> None:
    """Header, order of parts, fields, folding."""
    text = "\n".join(REPORT.texts.lines)
    assert format_report(REPORT).decode() == EXPECTED.replace("TEXT", text)


def test_report_is_valid_mime() -> None:
    """Python's own parser finds the three parts and the status fields."""
    message = parse(REPORT)
    assert message.get_content_type() == "multipart/report"
    text, status, original = message.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert status.get_content_type() == "message/delivery-status"
    assert original.get_content_type() == "message/rfc822"
    assert not message.defects


def test_headers_only() -> None:
    """RET=HDRS: the header comes back without the body."""
    data = format_report(replace(REPORT, headers_only=True))
    assert b"Content-Description: Undelivered Message Headers\nContent-Type: text/rfc822-headers\n" in data
    assert b"\nbody\n" not in data
    for original in (b"", b"\nbody\n", b"Subject: x\n", b"Subject: x"):
        assert b"\nbody\n" not in format_report(replace(REPORT, headers_only=True, original=original))


def test_what_the_server_said_cannot_break_out() -> None:
    """Line ends in a reply, an address or an ENVID stay inside of their field."""
    evil = "x\r\nX-Evil: 1\n\n--4X3vqF3bwhz5Yqq.1726092354/mail.example--"
    recipient = replace(
        RECIPIENT, address=evil, original=evil, reason=evil, diagnostic=evil, remote_mta=evil, orcpt=f"rfc822;{evil}"
    )
    data = format_report(replace(REPORT, recipients=(recipient,), envelope_id=evil, sender=evil, to=evil))
    assert b"\nX-Evil" not in data
    assert data.count(b"\n--4X3vqF3bwhz5Yqq.1726092354/mail.example--") == 1


def test_long_words_and_texts_are_folded_or_left_whole() -> None:
    """No line is longer than 79 columns unless a word is."""
    recipient = replace(RECIPIENT, reason="word " * 100, diagnostic="smtp; 550 " + "x" * 200 + " y" * 100)
    data = format_report(replace(REPORT, recipients=(recipient,)))
    assert sorted(len(line) for line in data.split(b"\n"))[-2] <= 79


def test_least_report() -> None:
    """Fields that have nothing to say are left out; a word longer than the line stays whole."""
    recipient = RecipientStatus("a@b", "failed", "5.0.0", "x" * 100)
    data = format_report(replace(REPORT, recipients=(recipient,), envelope_id="", sender=""))
    for name in (
        b"Original-Recipient",
        b"Remote-MTA",
        b"Diagnostic-Code",
        b"Original-Envelope-Id",
        b"X-Postfix-Sender",
    ):
        assert name not in data
    assert b"<a@b>:\n    " + b"x" * 100 + b"\n" in data


def test_original_recipient_of_dsn_wins_and_is_decoded() -> None:
    """xtext is SMTP's: the sender looks for what he had before he encoded it, here and in Original-Envelope-Id."""
    data = format_report(replace(REPORT, recipients=(replace(RECIPIENT, orcpt="rfc822;a+b@c"),)))
    assert b"Original-Recipient: rfc822;a+b@c\n" in data


def test_what_cannot_stand_in_a_field_keeps_its_encoding() -> None:
    """Octets beyond ASCII, and what would end the field."""
    data = format_report(replace(REPORT, envelope_id="a\nb", recipients=(replace(RECIPIENT, orcpt="rfc822;\u00fc@c"),)))
    assert b"Original-Envelope-Id: a+0Ab\n" in data
    assert b"Original-Recipient: rfc822;+C3+BC@c\n" in data


def test_utf8_report() -> None:
    """RFC 6533: global types, addresses as they are, text in UTF-8."""
    recipient = replace(RECIPIENT, address="jürgen@there.example", original="")
    data = format_report(replace(REPORT, smtputf8=True, recipients=(recipient,), original="Subject: ü\n\nx\n".encode()))
    assert "Final-Recipient: utf-8; jürgen@there.example\n".encode() in data
    assert b"Content-Type: message/global-delivery-status\n" in data
    assert b"Content-Type: message/global\nContent-Transfer-Encoding: 8bit\n" in data
    data = format_report(replace(REPORT, recipients=(recipient,)))
    assert b"Final-Recipient: rfc822; j?rgen@there.example\n" in data


def test_delay_and_success() -> None:
    """Delayed recipients say until when; the texts name what happens next."""
    delayed = replace(RECIPIENT, action="delayed", status="4.4.1", retry_until="D", original="")
    data = format_report(replace(REPORT, texts=delay_texts("mail.example", 4, 5), recipients=(delayed,), sender=""))
    assert b"Subject: Delayed Mail (still being retried)\n" in data
    assert b"Will-Retry-Until: D\n" in data
    assert b"X-Postfix-Sender" not in data
    relayed = replace(RECIPIENT, action="relayed", status="2.0.0")
    report = replace(REPORT, texts=success_texts("mail.example"), recipients=(relayed,), message_id="<m@x>")
    assert parse(report)["Subject"] == "Successful Mail Delivery Report"
    assert parse(report)["In-Reply-To"] == parse(report)["References"] == "<m@x>"
