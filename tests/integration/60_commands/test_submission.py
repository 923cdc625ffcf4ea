"""The sendmail command: while the system runs, and while it is down."""

import pytest

from tests.conftest import Start
from tests.support import maildir
from tests.support.instance import Instance
from tests.support.mailboxes import Boxes, box, give_away

BOXES = Boxes(["alice", "bob"])
REFUSED = (64, 75)  # EX_USAGE of sysexits.h; Debian's Postfix ends with EX_TEMPFAIL
CONTENT = (
    b"From: sender@client.test\nTo: alice@box.test\nCc: bob@box.test\nSubject: submitted\n\n.\nnot the end with -i\n"
)


@pytest.fixture
def server(posthouse: Start) -> Instance:
    """Run Posthouse with two mailboxes."""
    instance = posthouse(**BOXES.options(), started=False)
    give_away(instance)
    instance.start_and_greet()
    return instance


def sendmail(server: Instance, *arguments: str, content: bytes = CONTENT) -> int:
    """Run the command; return its exit status."""
    return server.command("sendmail", *arguments, stdin=content).returncode


def test_recipients_from_the_command_line(server: Instance) -> None:
    """-i keeps a line with a lone dot, -f is the envelope sender."""
    assert sendmail(server, "-i", "-f", "me@client.test", "alice@box.test") == 0
    [delivered] = maildir.wait_messages(box(server, "alice"), 1)
    assert delivered.endswith(b"\n\n.\nnot the end with -i\n")
    assert maildir.field(delivered, "Return-Path") == b"<me@client.test>"
    server.wait_log(r"postfix/pickup\[\d+\]: [0-9A-Za-z]+: uid=\d+ from=<me@client\.test>")


def test_recipients_from_the_header(server: Instance) -> None:
    """-t reads To and Cc; each recipient gets one copy."""
    assert sendmail(server, "-t", "-i", "-f", "me@client.test") == 0
    for name in BOXES.names:
        assert len(maildir.wait_messages(box(server, name), 1)) == 1
    server.wait_queue_empty(10)


def test_bcc_is_a_recipient_and_is_not_shown(server: Instance) -> None:
    """A Bcc recipient gets the message, and nobody sees the field."""
    content = b"From: a@client.test\nTo: alice@box.test\nBcc: bob@box.test\nSubject: hidden\n\nbody\n"
    assert sendmail(server, "-t", "-f", "me@client.test", content=content) == 0
    for name in BOXES.names:
        [delivered] = maildir.wait_messages(box(server, name), 1)
        assert b"\nBcc:" not in delivered


def test_lone_dot_ends_the_message_without_i(server: Instance) -> None:
    """As with every sendmail: without -i a line with a lone dot is the end."""
    content = b"Subject: dot\n\nbefore\n.\nafter\n"
    assert sendmail(server, "-f", "me@client.test", "alice@box.test", content=content) == 0
    [delivered] = maildir.wait_messages(box(server, "alice"), 1)
    assert b"before" in delivered
    assert b"after" not in delivered


def test_no_recipient_is_a_usage_error(server: Instance) -> None:
    """-t with no recipient in the header: nothing is queued, and the exit status says so."""
    assert sendmail(server, "-t", content=b"Subject: nobody\n\nbody\n") in REFUSED
    assert server.queue() == []


def test_unknown_option_is_a_usage_error(server: Instance) -> None:
    """An option that nobody knows is refused, not ignored."""
    assert sendmail(server, "-Z", "alice@box.test") in REFUSED


def test_submitted_while_down_arrives_after_the_start(server: Instance) -> None:
    """sendmail succeeds while nothing runs; the message waits in maildrop and goes out after the start."""
    server.stop()
    assert sendmail(server, "-i", "-f", "me@client.test", "alice@box.test") == 0
    assert maildir.messages(box(server, "alice")) == []
    server.start_and_greet()
    [delivered] = maildir.wait_messages(box(server, "alice"), 1, 30)
    assert delivered.endswith(b"not the end with -i\n")
    server.wait_queue_empty(10)
    assert len(maildir.messages(box(server, "alice"))) == 1
