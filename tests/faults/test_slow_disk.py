"""RE-07: the disk of the queue takes a megabyte a second. Mail is slow then, and that is all."""

import time
from contextlib import ExitStack
from typing import Final

import pytest

from tests.conftest import Start
from tests.faults.figures import Figures
from tests.support import maildir
from tests.support.amount import Amount
from tests.support.control_group import DiskGroup
from tests.support.mailboxes import Boxes, give_away
from tests.support.processes import cpu_seconds
from tests.support.scarcity import send
from tests.support.sender import Clients, Ledger, find_tokens
from tests.support.small_disk import ext4

pytestmark = pytest.mark.root
RATE: Final = 1_000_000  # bytes a second
SIZE: Final = 256 << 20
MESSAGE: Final = 100_000
BOXES: Final = Boxes(["alice", "bob"])


def test_a_disk_of_a_megabyte_a_second(posthouse: Start, amount: Amount, figures: Figures) -> None:
    """More comes than the disk takes: everybody waits, nothing is lost, and no processor time is burnt."""
    ledger = Ledger()
    seconds = amount(1.0, 60.0)
    with ExitStack() as stack:
        group = stack.enter_context(DiskGroup.make())
        server = posthouse(**BOXES.options(mydestination=""), started=False)
        give_away(server)
        disk = stack.enter_context(ext4(server.queue_directory, SIZE))
        stack.callback(server.stop)
        with group.inside():
            server.start_and_greet()
        assert send(server, BOXES.addresses[0], MESSAGE).startswith("250")
        (first,) = maildir.wait_messages(server.mail_directory, 1)
        device = disk.mount.stat().st_dev
        group.limit(device, RATE)
        begin, used = time.monotonic(), cpu_seconds(server.master_pid())
        clients = Clients(server.port, ledger, BOXES.addresses, connections=8, size_bytes=MESSAGE)
        clients.start()
        time.sleep(seconds)
        clients.finish()
        took, used = time.monotonic() - begin, cpu_seconds(server.master_pid()) - used
        group.limit(device, 0)
        server.wait_queue_empty(60)
        arrived = [each for each in maildir.messages(server.mail_directory) if each != first]
        ledger.check(find_tokens(arrived))
        assert all(len(each) > MESSAGE * 0.9 for each in arrived), "a short message"
    written = len(ledger.acknowledged) * MESSAGE / took
    figures(
        f"the queue's disk takes {RATE / 1e6:.0f} MB a second (blkio), 8 clients send messages of {MESSAGE // 1000} kB "
        f"for {seconds} s",
        f"{len(ledger.acknowledged)} taken ({written / 1e6:.2f} MB a second), {sum(ledger.refused.values())} put off, "
        f"{ledger.broken} connections lost, all delivered, {used / took:.0%} of a CPU for the whole system",
    )
    assert ledger.acknowledged
    assert not ledger.broken
