"""Many messages from Postfix's smtp-source: each one at its destination, exactly once."""

import re
import time
from collections import Counter, defaultdict
from typing import Final

from tests.conftest import Start
from tests.support import maildir
from tests.support.load import Load, SmtpSink, smtp_source
from tests.support.mailboxes import Boxes, box, give_away

RELAYED: Final = 20_000
DELIVERED: Final = 5_000
BOXES: Final = Boxes([f"box{number}" for number in range(10)])

STAGES: Final = ["client", "message-id", "from", "to", "removed"]


def in_order(log: str) -> int:
    """Count the messages whose lines follow one another as they should: programs that read the log pair them.

    A daemon that got no processor for a tenth of a second may be late; without order it was one message in seven.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for queue_id, stage in re.findall(r": ([0-9A-Za-z]{12,}): (client|message-id|from|to|removed)\b", log):
        found[queue_id].append(stage)
    return list(found.values()).count(STAGES)


def test_relayed_messages_arrive_once_each(posthouse: Start, smtp_sink: SmtpSink) -> None:
    """20,000 messages of 4 KB over 50 connections, relayed to smtp-sink: none lost, none doubled, the queue empty."""
    server = posthouse(main={"relayhost": f"[127.0.0.1]:{smtp_sink.port}", "mydestination": ""})
    begin = time.monotonic()
    smtp_source(Load(RELAYED, sessions=50, recipients=("user@far.test",), numbered=True), server.port)
    server.wait_queue_empty(120)
    print(f"{RELAYED / (time.monotonic() - begin):.0f} messages/s relayed")
    counted = Counter(smtp_sink.recipients())
    assert counted == Counter(f"{number}user@far.test" for number in range(1, RELAYED + 1))
    server.stop()
    assert in_order(server.log()) >= 0.99 * RELAYED


def test_delivered_messages_arrive_once_each(posthouse: Start) -> None:
    """5,000 messages of 4 KB to ten Maildirs: each mailbox has its 500, all different."""
    server = posthouse(**BOXES.options(), started=False)
    give_away(server)
    server.start_and_greet()
    begin = time.monotonic()
    smtp_source(Load(DELIVERED, sessions=50, recipients=tuple(BOXES.addresses)), server.port)
    server.wait_queue_empty(120)
    print(f"{DELIVERED / (time.monotonic() - begin):.0f} messages/s delivered")
    identities: set[bytes] = set()
    for name in BOXES.names:
        delivered = maildir.messages(box(server, name))
        assert len(delivered) == DELIVERED // len(BOXES.names)
        identities.update(maildir.field(message, "Message-Id") for message in delivered)
    assert len(identities) == DELIVERED
    server.stop()
    assert in_order(server.log()) >= 0.99 * DELIVERED
