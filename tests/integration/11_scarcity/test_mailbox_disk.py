"""The mailboxes' disk is full, the queue's is not: deliveries wait, intake goes on, the postmaster is told."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import Start
from tests.support import maildir
from tests.support.mailboxes import Boxes, box, give_away
from tests.support.recording_sink import RecordingSink
from tests.support.scarcity import flush_until, level, offer, send, status, wait
from tests.support.small_disk import ext4

pytestmark = pytest.mark.root


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is to be undone at the end, after the servers have stopped."""
    with ExitStack() as undone:
        yield undone


def test_deliveries_wait_and_intake_goes_on(stack: ExitStack, posthouse: Start) -> None:
    """Mail for others passes; the warning names the directory; with room again the mail arrives."""
    sink = stack.enter_context(RecordingSink())
    main = {"relayhost": f"[127.0.0.1]:{sink.port}", "mydestination": "", "message_size_limit": "1000000"}
    server = posthouse(
        started=False, **Boxes(["alice"]).options(**main, resource_notice_recipient="postmaster@far.test")
    )
    disk = stack.enter_context(ext4(server.mail_directory, 16 << 20))
    give_away(server)
    stack.callback(server.stop)
    server.start_and_greet()
    assert send(server, "alice@box.test").startswith("250")
    maildir.wait_messages(box(server, "alice"), 1)
    disk.fill_up()
    key = f"mailbox_space:{server.mail_directory}"
    wait("it is noticed", lambda: level(server, key) == "critical")
    assert level(server, "queue_space") == "normal"
    assert status(server)["steps"] == ["the postmaster is told"]
    assert offer(server).startswith("250")
    assert send(server, "alice@box.test", 200_000).startswith("250")
    assert send(server, "bob@far.test").startswith("250")
    wait("mail for others passes", lambda: any(each.recipients == ("bob@far.test",) for each in sink.received))
    server.wait_log(r"to=<alice@box.test>.*status=deferred")
    wait("the warning", lambda: any(each.recipients == ("postmaster@far.test",) for each in sink.received))
    [warning] = [each for each in sink.received if each.recipients == ("postmaster@far.test",)]
    assert f"mailbox disk ({server.mail_directory})".encode() in warning.content
    assert b"Mail for these mailboxes waits in the queue" in warning.content
    disk.empty()
    flush_until(server, "the mail arrives", lambda: len(maildir.messages(box(server, "alice"))) == 2)
    wait("it is well again", lambda: level(server, key) in ("normal", "busy"))
