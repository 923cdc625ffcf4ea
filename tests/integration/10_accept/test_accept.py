"""From a client nobody here wrote into a mailbox: nothing lost, nothing changed, and the operator's log lines."""

import re
import smtplib
from typing import Final

import pytest

from tests.conftest import Start
from tests.support import maildir
from tests.support.instance import Instance
from tests.support.load import swaks
from tests.support.mailboxes import Boxes, box, give_away
from tests.support.net import LOOPBACK

SENT: Final = r"dsn=2\.0\.0, status=sent \(delivered to maildir\)"
DELAYS: Final = r"delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+"
BOXES: Final = Boxes(["alice", "bob"])
# Dots at the start of lines, trailing blanks, an empty last line, octets above 127, a long line: what gets mangled.
CONTENT: Final = (
    b"From: sender@client.test\r\nTo: alice@box.test\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n"
    b"Date: Sun, 22 Nov 2026 20:00:00 +0000\r\nMessage-ID: <one@client.test>\r\nX-Folded: a\r\n\tb\r\n\r\n"
    b".\r\n..\r\n.leading\r\nblanks at the end   \t\r\n\xc3\xa4\xff\x80\r\n" + b"x" * 900 + b"\r\n\r\n"
)


@pytest.fixture
def server(posthouse: Start) -> Instance:
    """Run Posthouse with two mailboxes."""
    instance = posthouse(**BOXES.options(), started=False)
    give_away(instance)
    instance.start_and_greet()
    return instance


def send(server: Instance, recipients: list[str], content: bytes = CONTENT) -> None:
    """Send with the standard library's client."""
    with smtplib.SMTP(LOOPBACK, server.port, local_hostname="client.test", timeout=30) as client:
        refused = client.sendmail("sender@client.test", recipients, content, mail_options=["BODY=8BITMIME"])
    assert refused == {}


def test_content_arrives_byte_for_byte(server: Instance) -> None:
    """smtplib sends awkward content; the mailbox has the same octets below the trace fields."""
    send(server, ["alice@box.test"])
    [delivered] = maildir.wait_messages(box(server, "alice"), 1)
    maildir.assert_same_content(delivered, CONTENT)
    assert maildir.field(delivered, "Return-Path") == b"<sender@client.test>"
    assert maildir.field(delivered, "Delivered-To") == b"alice@box.test"
    received = maildir.field(delivered, "Received")
    assert re.match(rb"from client\.test \((localhost|unknown) \[127\.0\.0\.1\]\) by mail\.example\.test", received)
    server.wait_queue_empty(10)


def test_each_recipient_gets_one_copy(server: Instance) -> None:
    """Two recipients in one transaction, one message in each mailbox."""
    send(server, ["alice@box.test", "bob@box.test"])
    server.wait_queue_empty(20)
    assert [len(maildir.messages(box(server, name))) for name in BOXES.names] == [1, 1]


def test_swaks_reaches_the_mailbox(server: Instance) -> None:
    """Another client, other habits: swaks with an attachment and its own header fields."""
    done = swaks(server.port, "--to", "bob@box.test", "--from", "s@client.test", "--attach", "plain text of a file")
    assert done.returncode == 0, done.stdout
    [delivered] = maildir.wait_messages(box(server, "bob"), 1)
    assert b"X-Mailer: swaks" in delivered


def test_missing_fields_are_added(server: Instance) -> None:
    """A client of our own network that sends no Date, Message-ID and From gets them, as from Postfix."""
    send(server, ["alice@box.test"], b"Subject: bare\r\n\r\nbody\r\n")
    [delivered] = maildir.wait_messages(box(server, "alice"), 1)
    assert re.fullmatch(rb"<[^@<>]+@mail\.example\.test>", maildir.field(delivered, "Message-Id"))
    assert re.match(rb"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), +[0-9]+ [A-Z]", maildir.field(delivered, "Date"))
    assert b"sender@client.test" in maildir.field(delivered, "From")


def test_unknown_recipient_is_refused_at_rcpt(server: Instance) -> None:
    """The client learns at once that there is no such mailbox, and relaying is not for strangers."""
    with smtplib.SMTP(LOOPBACK, server.port, local_hostname="client.test", timeout=30) as client:
        client.ehlo()
        client.mail("sender@client.test")
        code, text = client.rcpt("stranger@box.test")
        assert (code, text.split()[0]) == (550, b"5.1.1")
        assert client.rcpt("stranger@example.test")[0] == 550
        assert client.rcpt("alice@box.test")[0] == 250
    server.wait_log("NOQUEUE: reject: RCPT from .*550 5.1.1 <stranger@box.test>")


def test_strangers_cannot_relay(posthouse: Start) -> None:
    """With no trusted network a recipient elsewhere is refused, whatever the rest of the configuration says."""
    server = posthouse(main={"mynetworks": "192.0.2.0/24"})
    with smtplib.SMTP(LOOPBACK, server.port, local_hostname="client.test", timeout=30) as client:
        client.ehlo()
        client.mail("sender@client.test")
        code, text = client.rcpt("somebody@elsewhere.test")
    assert code in (454, 554)
    assert b"Relay access denied" in text


def test_log_tells_the_message_s_story(server: Instance) -> None:
    """Postfix's lines, in Postfix's form: log readers that know Postfix understand ours."""
    send(server, ["alice@box.test"])
    server.wait_log(": removed$")
    queue_id = server.wait_log(r"postfix/smtpd\[\d+\]: ([0-9A-Za-z]+): client=\S+\[127\.0\.0\.1\]").group(1)
    log = server.log()
    for pattern in (
        r"postfix/smtpd\[\d+\]: connect from \S+\[127\.0\.0\.1\]$",
        rf"postfix/cleanup\[\d+\]: {queue_id}: message-id=<one@client\.test>$",
        rf"postfix/qmgr\[\d+\]: {queue_id}: from=<sender@client\.test>, size=\d+, nrcpt=1 \(queue active\)$",
        rf"postfix/virtual\[\d+\]: {queue_id}: to=<alice@box\.test>, relay=virtual, {DELAYS}, {SENT}$",
        rf"postfix/qmgr\[\d+\]: {queue_id}: removed$",
        r"postfix/smtpd\[\d+\]: disconnect from \S+\[127\.0\.0\.1\] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5$",
    ):
        assert re.search(pattern, log, re.MULTILINE), f"{pattern}\nin\n{log}"


def test_local_alias_to_a_maildir_and_to_another_address(posthouse: Start) -> None:
    """Aliases of the local domain: one into a Maildir, one to a mailbox elsewhere on this server."""
    options = BOXES.options(alias_maps="texthash:{directory}/etc/aliases", local_recipient_maps="$alias_maps")
    options["files"]["aliases"] = "archive {mail}/archive/\nboss alice@box.test, archive\n"
    server = posthouse(**options, started=False)
    give_away(server)
    server.start_and_greet()
    send(server, ["boss@example.test"])
    [alice] = maildir.wait_messages(box(server, "alice"), 1)
    [archive] = maildir.wait_messages(box(server, "archive"), 1)
    maildir.assert_same_content(alice, CONTENT)
    maildir.assert_same_content(archive, CONTENT)
    server.wait_queue_empty(10)
