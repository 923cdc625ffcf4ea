"""What the end of a command means, as Debian's local(8) has it."""

import pytest

from posthouse.delivery.exits import SYSEXITS, result_of_command
from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT

DIED = 'Command died with status 3: "cmd"'


@pytest.mark.parametrize(
    ("status", "output", "outcome", "dsn", "text"),
    [
        (0, b"ignored", SENT, "2.0.0", "delivered to command: cmd"),
        (3, b"", BOUNCED, "5.3.0", DIED),
        (3, b"a\nb\n", BOUNCED, "5.3.0", f"{DIED}. Command output: a b"),
        (3, b"\xff", BOUNCED, "5.3.0", f"{DIED}. Command output: \ufffd"),
        (75, b"", DEFERRED, "4.3.0", "temporary failure"),
        (71, b"oops", DEFERRED, "4.3.0", "system resource problem. Command output: oops"),
        (67, b"who?", BOUNCED, "5.1.1", "user unknown. Command output: who?"),
        (1, b"5.7.1 go away\n", BOUNCED, "5.7.1", "go away"),
        (67, b"4.2.1 go away", DEFERRED, "4.2.1", "go away"),
        (1, b"4.2.1\n", DEFERRED, "4.2.1", "4.2.1"),
        (1, b"2.0.0 fine", BOUNCED, "5.3.0", 'Command died with status 1: "cmd". Command output: 2.0.0 fine'),
        (1, b"5.7.1x", BOUNCED, "5.3.0", 'Command died with status 1: "cmd". Command output: 5.7.1x'),
        (-9, b"", DEFERRED, "4.3.0", 'Command died with signal 9: "cmd"'),
        (-9, b"5.7.1 x", DEFERRED, "4.3.0", 'Command died with signal 9: "cmd". Command output: 5.7.1 x'),
    ],
)
def test_the_end_of_a_command(status: int, output: bytes, outcome: int, dsn: str, text: str) -> None:
    """Its own status in the output wins, then sysexits.h; a signal waits."""
    result = result_of_command(DeliverTo(1, "a@x"), "cmd", status, output, "local")
    assert (result.outcome, result.dsn, result.text, result.relay) == (outcome, dsn, text, "local")


@pytest.mark.parametrize("status", sorted(SYSEXITS))
def test_every_status_of_sysexits_has_a_meaning(status: int) -> None:
    """Two of them mean: later."""
    result = result_of_command(DeliverTo(1, "a@x"), "cmd", status, b"", "local")
    assert (result.outcome == DEFERRED) is (status in (71, 75))
