"""Messages for cleanup(8) in a receiving system: what is sent, and what must become of it.

The dialog, our own Received: and the two recipients are the same for all.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from tests.support.receiver import MakeReceiver, Receiver, talk

HEAD: Final = "From: a@b.c\nDate: x\nMessage-Id: <1@x>\n"
FROM: Final = "from unknown[127.0.0.1]; from=<s@b.test> to=<bob@example.test>"
HOW: Final = f"{FROM} proto=ESMTP helo=<c.test>"
MULTIPART: Final = "Mime-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n"
BINARY: Final = "latin1"  # of the messages of these tests, one octet for each character


@dataclass(frozen=True)
class Case:
    """One message."""

    message: str
    main: dict[str, str] = field(default_factory=dict)
    reply: str = "250 2.0.0 Ok: queued as"
    log: tuple[str, ...] = ()
    queued: str | None = None  # None: as it was sent
    envelope: dict[str, object] = field(default_factory=dict)
    recipients: tuple[str, ...] = ("alice@example.test", "bob@example.test")


def rules(*lines: str) -> str:
    """Write a table of patterns into main.cf."""
    return "regexp:{" + "".join(f" {{{line}}}" for line in lines) + " }"


def send(system: Receiver, message: str) -> str:
    """Send to two recipients; give the last reply."""
    content = message.encode(BINARY).decode("utf-8", "surrogateescape").replace("\n", "\r\n").replace("\r\n.", "\r\n..")
    start = (
        "EHLO c.test",
        "MAIL FROM:<s@b.test>",
        "RCPT TO:<alice@example.test>",
        "RCPT TO:<bob@example.test>",
        "DATA",
    )
    return talk(system, *start, content + ".")[-1]


def seen(system: Receiver) -> list[str]:
    """Give what the log says of content, without queue IDs."""
    texts = [line.partition(": ")[2] for line in system.system.log.lines]
    return [text for text in texts if " from unknown[" in text and not text.startswith("client=")]


def queued(system: Receiver) -> str:
    """Give the message that was queued, without our own Received:."""
    content = system.queue.messages[0][2].decode(BINARY)
    return re.sub(r"\AReceived: .*\n(?:\t.*\n)*", "", content)


def check(receiver: MakeReceiver, case: Case) -> None:
    """Send the message: reply, log and what is queued are as they should be."""
    system = receiver(case.main)
    assert send(system, case.message).startswith(case.reply)
    assert seen(system) == list(case.log)
    if case.reply.startswith("250"):
        if case.queued == "":
            assert system.queue.messages == []
            return
        assert queued(system) == (case.message if case.queued is None else case.queued)
        envelope = system.queue.messages[0][0]
        assert {name: getattr(envelope, name) for name in case.envelope} == case.envelope
        assert tuple(recipient.address for recipient in system.queue.messages[0][1]) == case.recipients
    else:
        assert system.queue.messages == []
