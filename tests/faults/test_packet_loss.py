"""RE-11: three of ten packets get lost, between clients and us and between us and servers. Nothing else does."""

import time
from typing import Final

import pytest

from tests.conftest import Start
from tests.faults.figures import Figures
from tests.support.amount import Amount
from tests.support.mailboxes import Boxes, give_away
from tests.support.maildir import messages
from tests.support.network import own_network
from tests.support.recording_sink import RecordingSink
from tests.support.scarcity import flush_until
from tests.support.sender import Clients, Ledger, find_tokens

pytestmark = pytest.mark.root
LOSS: Final = 30  # percent
EMPTY_S: Final = 600  # the kernel waits up to two minutes before it sends a lost packet once more
BOXES: Final = Boxes(["alice"])
# A connection that was lost after the dot may have delivered: the next attempt doubles it (RFC 1047).
DOUBLES: Final = 40


def test_three_of_ten_packets_get_lost(posthouse: Start, amount: Amount, figures: Figures) -> None:
    """Every message that was answered 250 arrives whole, in a mailbox or at the next server."""
    ledger = Ledger()
    seconds = amount(1.0, 120.0)
    with own_network() as network, RecordingSink() as sink:
        retry = {"minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s"}
        server = posthouse(
            **BOXES.options(mydestination="", relayhost=f"[127.0.0.1]:{sink.port}", **retry), started=False
        )
        give_away(server)
        server.start_and_greet()
        network.lose(LOSS)
        recipients = [*BOXES.addresses, "far@relay.test"]
        clients = Clients(server.port, ledger, recipients, connections=amount(10, 40), size_bytes=20_000)
        clients.start()
        time.sleep(seconds)
        lost = network.lost
        network.lose(0)
        clients.finish(EMPTY_S)
        flush_until(server, "the queue is empty", lambda: not server.queue(), EMPTY_S)
        arrived = [*messages(server.mail_directory), *(each.content for each in sink.received)]
        counted = ledger.check(find_tokens(arrived), doubles_allowed=DOUBLES)
        server.stop()
    assert all(len(each) > 19_000 for each in arrived), "a short message"
    figures(
        f"{LOSS} % of all TCP packets dropped for {seconds:.0f} s ({lost} packets), {amount(10, 40)} clients",
        f"{len(ledger.acknowledged)} messages of 20 kB acknowledged, {ledger.broken} connections broken, all arrived "
        f"whole, {sum(counted.values()) - len(counted)} twice",
    )
    assert lost
    assert ledger.acknowledged
