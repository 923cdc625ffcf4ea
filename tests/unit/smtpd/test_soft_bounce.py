"""soft_bounce = yes: nothing that a client hears makes it give its mail up."""

from tests.support.receiver import MakeReceiver, talk


def test_no_reply_is_permanent(receiver: MakeReceiver) -> None:
    """Neither what the protocol refuses, nor limits, nor restrictions."""
    system = receiver({"soft_bounce": "yes", "message_size_limit": "1000"})
    said = talk(
        system,
        "EHLO c.test",
        "RCPT TO:<alice@example.test>",
        "MAIL FROM:<a@b.test> SIZE=2000",
        "MAIL FROM:<a@b.test> WORD=x",
        "MAIL FROM:<a@b.test>",
        "RCPT TO:<alice@>",
        "RCPT TO:<x@1.2.3.4>",
        "RCPT TO:<nobody@example.test>",
        "DATA",
        "NONSENSE",
        "RCPT TO:<alice@example.test>",
        "DATA",
        "x" * 900 + "\r\n" + "y" * 900 + "\r\n.",
        "QUIT",
    )
    assert [reply[:5] for reply in said[2:]] == [
        *("403 4", "452 4", "455 4", "250 2", "401 4", "401 4", "450 4", "454 4", "400 4"),
        *("250 2", "354 E", "452 4", "221 2"),
    ]
