"""What cleanup finds in content, and what becomes of it; the expectations were seen with Debian's Postfix 3.7.

A case: the settings, the message (its header is followed by an empty line), the reply, what the log says of it, and the
message that is queued. The dialog, our own Received: and the headers that would be added are the same for all.
"""

from dataclasses import dataclass, field
from typing import Final

import pytest

from tests.support.receiver import MakeReceiver, Receiver, talk

HEAD: Final = "From: a@b.c\nDate: x\nMessage-Id: <1@x>\n"
FROM: Final = "from unknown[127.0.0.1]; from=<s@b.test> to=<bob@example.test>"
HOW: Final = f"{FROM} proto=ESMTP helo=<c.test>"
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
    return content[content.index("\nFrom: ") + 1 :] if content.startswith("Received") else content


CASES: Final = {
    "header-reject": Case(
        HEAD + "Subject: bad\n\nb\n",
        {"header_checks": rules("/^Subject: bad/ REJECT go away")},
        "550 5.7.1 go away",
        (f"reject: header Subject: bad {HOW}: 5.7.1 go away",),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_content(receiver: MakeReceiver, case: Case) -> None:
    """Reply, log and message are as they should be."""
    system = receiver(case.main)
    assert send(system, case.message).startswith(case.reply)
    assert seen(system) == list(case.log)
    if case.reply.startswith("250"):
        assert queued(system) == (case.message if case.queued is None else case.queued)
        envelope = system.queue.messages[0][0]
        assert {name: getattr(envelope, name) for name in case.envelope} == case.envelope
    else:
        assert system.queue.messages == []
