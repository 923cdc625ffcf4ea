"""Relaying both ways with a Debian Postfix, and what a far server's replies lead to."""

import smtplib
from collections import Counter
from typing import Final

from tests.conftest import Start
from tests.support import maildir
from tests.support.instance import Instance
from tests.support.mailboxes import Boxes, box, give_away
from tests.support.net import LOOPBACK
from tests.support.recording_sink import RecordingSink

BOXES: Final = Boxes(["alice", "bob"])
FAST_RETRY: Final = {"minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s"}
CONTENT: Final = (
    b"From: sender@client.test\r\nTo: alice@box.test\r\nSubject: relayed\r\nDate: Sun, 22 Nov 2026 20:00:00 +0000\r\n"
    b"Message-ID: <relayed@client.test>\r\n\r\n.dot\r\n\xc3\xa4 8 bit\r\nlast line\r\n"
)


def relay_from_to(first: Start, last: Start) -> tuple[Instance, Instance]:
    """Start two servers; the first sends everything to the last, which has the mailboxes."""
    end = last(**BOXES.options(), started=False)
    give_away(end)
    end.start_and_greet()
    begin = first(
        main={"relayhost": f"[127.0.0.1]:{end.port}", "myhostname": "first.example.test", "mydestination": ""}
    )
    return begin, end


def send(server: Instance, recipients: list[str], sender: str = "sender@client.test") -> None:
    """Send with the standard library's client."""
    with smtplib.SMTP(LOOPBACK, server.port, local_hostname="client.test", timeout=30) as client:
        assert client.sendmail(sender, recipients, CONTENT, mail_options=["BODY=8BITMIME"]) == {}


def check_both_boxes(begin: Instance, end: Instance) -> None:
    """Both recipients have the message, once, with one trace field for each server, and no queue holds anything."""
    for name in BOXES.names:
        [delivered] = maildir.wait_messages(box(end, name), 1)
        maildir.assert_same_content(delivered, CONTENT)
        fields, _ = maildir.split_fields(delivered)
        assert Counter(one.split(b":")[0] for one in fields)[b"Received"] == 2
    begin.wait_queue_empty(10)
    end.wait_queue_empty(10)
    assert [len(maildir.messages(box(end, name))) for name in BOXES.names] == [1, 1]


def test_posthouse_relays_to_postfix(posthouse: Start, postfix_peer: Start) -> None:
    """A real Postfix takes what we relay, whole and once."""
    begin, end = relay_from_to(posthouse, postfix_peer)
    send(begin, BOXES.addresses)
    check_both_boxes(begin, end)
    begin.wait_log(
        rf"relay=127\.0\.0\.1\[127\.0\.0\.1\]:{end.port}, .*dsn=2\.0\.0, status=sent \(250 2\.0\.0 Ok: queued as"
    )


def test_postfix_relays_to_posthouse(posthouse: Start, postfix_peer: Start) -> None:
    """What a real Postfix relays to us arrives whole and once."""
    begin, end = relay_from_to(postfix_peer, posthouse)
    send(begin, BOXES.addresses)
    check_both_boxes(begin, end)


def test_recipient_deferred_by_the_far_server_is_tried_again(posthouse: Start) -> None:
    """451 for one recipient of two: the other gets his copy at once, the first later, both once."""
    tries: Counter[str] = Counter()

    def answer(verb: str, address: str) -> str:
        if verb == "RCPT":
            tries[address] += 1
        return "451 4.7.1 come back" if verb == "RCPT" and address == "slow@far.test" and tries[address] <= 2 else ""

    with RecordingSink(answer) as sink:
        server = posthouse(main={"relayhost": f"[127.0.0.1]:{sink.port}", **FAST_RETRY})
        send(server, ["quick@far.test", "slow@far.test"])
        server.wait_queue_empty(30)
        assert Counter(one for message in sink.received for one in message.recipients) == {
            "quick@far.test": 1,
            "slow@far.test": 1,
        }
    server.wait_log(
        r"to=<slow@far\.test>, .*dsn=4\.7\.1, status=deferred \(host 127\.0\.0\.1\[127\.0\.0\.1\] said: 451"
    )


def test_far_server_that_is_away_is_waited_for(posthouse: Start) -> None:
    """Nobody listens; once somebody does, the message arrives."""
    sink = RecordingSink()
    server = posthouse(main={"relayhost": f"[127.0.0.1]:{sink.port}", **FAST_RETRY})
    send(server, ["later@far.test"])
    server.wait_log(
        r"to=<later@far\.test>, .*status=deferred \(connect to 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: Connection refused\)"
    )
    [waiting] = server.queue()
    assert waiting["queue_name"] == "deferred"
    with sink:
        server.wait_queue_empty(30)
        [message] = sink.received
        maildir.assert_same_content(message.content, CONTENT)


def test_one_transaction_for_recipients_of_one_destination(posthouse: Start) -> None:
    """Ten recipients behind the same relay host: one message on the wire."""
    recipients = [f"r{number}@far.test" for number in range(10)]
    with RecordingSink() as sink:
        server = posthouse(main={"relayhost": f"[127.0.0.1]:{sink.port}"})
        send(server, recipients)
        [message] = sink.wait(1)
        assert sorted(message.recipients) == sorted(recipients)
        server.wait_queue_empty(10)
