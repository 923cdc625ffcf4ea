"""local_header_rewrite_clients: whose headers are completed."""

import pytest

from tests.support.receiver import MakeReceiver, talk

START = ("EHLO c.test", "MAIL FROM:<s@b.test>")
REST = ("RCPT TO:<alice@example.test>", "DATA", "To: joe\r\n\r\nx\r\n.")


@pytest.mark.parametrize(
    ("clients", "local"),
    [
        ("inline:{127.0.0.1=x}", True),
        ("regexp:{ {/^127/ x} }", True),
        ("cidr:{ {127.0.0.0/8 no} }", True),
        ("static:x", True),
        ("check_address_map inline:{127.0.0.1=x}", True),
        ("inline:{127.0.0=x}", False),
        ("inline:{localhost=x}", False),
        ("inline:{192.0.2.1=x}, permit_inet_interfaces", True),
        ("", False),
    ],
)
def test_tables_of_clients(receiver: MakeReceiver, clients: str, local: bool) -> None:
    """The address is looked up as a whole; what the table says does not matter."""
    system = receiver({"local_header_rewrite_clients": clients})
    assert talk(system, *START, *REST)[-1].startswith("250 ")
    assert (b"\nTo: joe@example.test\n" in system.queue.messages[0][2]) is local


def test_a_table_that_does_not_answer(receiver: MakeReceiver) -> None:
    """MAIL is put off, since nobody knows how the message is to be written."""
    system = receiver({"local_header_rewrite_clients": "fail:x permit_mynetworks"})
    assert talk(system, *START)[-1] == "451 4.3.0 Temporary lookup error"
    wanted = (
        "NOQUEUE: reject: MAIL from unknown[127.0.0.1]: 451 4.3.0 Temporary lookup error; proto=ESMTP helo=<c.test>"
    )
    assert any(wanted in line for line in system.system.log.lines)
    assert any('fail:x lookup error for "127.0.0.1"' in line for line in system.system.log.lines)
