"""The queue's disk fills up: mail is refused in time, what is queued still goes, and all comes back by itself."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import pytest

from tests.conftest import Start
from tests.support import maildir
from tests.support.instance import Instance
from tests.support.mailboxes import Boxes, box, give_away
from tests.support.recording_sink import RecordingSink
from tests.support.scarcity import flush_until, level, offer, send, status, wait
from tests.support.small_disk import SmallDisk, ext4

pytestmark = pytest.mark.root
SIZE: Final = 16 << 20
LIMIT: Final = 1_000_000  # message_size_limit
REFUSAL: Final = LIMIT * 3 // 2  # Postfix's threshold
NO_SPACE: Final = "452 4.3.1 Insufficient system storage"
BOXES: Final = Boxes(["alice", "postmaster"])


class Far:
    """A relay host that takes nothing until it is told to; one recipient it does not know."""

    def __init__(self) -> None:
        self.is_open = False

    def __call__(self, verb: str, address: str) -> str:
        """Answer."""
        if verb == "RCPT" and not self.is_open:
            return "450 4.2.0 later"
        return "550 5.1.1 no such user here" if verb == "RCPT" and address.startswith("gone") else ""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is to be undone at the end, after the servers have stopped."""
    with ExitStack() as undone:
        yield undone


def start(server_of: Start, stack: ExitStack, **main: str) -> tuple[Instance, SmallDisk]:
    """Run a server whose queue is on a disk of its own."""
    own = {"message_size_limit": str(LIMIT), "mydestination": "", "resource_notice_recipient": "postmaster@box.test"}
    parameters = {**own, **main}
    server = server_of(started=False, **BOXES.options(**parameters))
    give_away(server)
    disk = stack.enter_context(ext4(server.queue_directory, SIZE))
    stack.callback(server.stop)
    server.start_and_greet()
    return server, disk


@contextmanager
def frozen(server: Instance, name: str) -> Iterator[None]:
    """Stop a daemon for a moment."""
    pids = [process.pid for process in server.processes() if process.name == name]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_disk_filled_in_steps(stack: ExitStack, posthouse: Start) -> None:
    """452 at the threshold; deliveries and bounces from the reserve; intake comes back with the space."""
    far = Far()
    sink = stack.enter_context(RecordingSink(far))
    server, disk = start(posthouse, stack, relayhost=f"[127.0.0.1]:{sink.port}")
    taken = 0
    for number in range(20):
        to = f"gone{number}@far.test" if number % 2 else f"user{number}@far.test"
        assert send(server, to, 20_000, sender="alice@box.test").startswith("250")
        taken += 1
    wait("the reserve is there", lambda: status(server)["numbers"].get("reserve_bytes_held", 0) > 0)

    while disk.free > REFUSAL:
        assert offer(server).startswith("250") or disk.free < REFUSAL + 3 * 65536, "not too early"
        assert disk.step()
    wait("452 at the threshold", lambda: offer(server) == NO_SPACE)
    assert level(server, "queue_space") == "critical"
    assert "mail put off with 452 4.3.1" in status(server)["steps"]

    with frozen(server, "governor"):  # else it may give up the reserve to the last steps of filling
        disk.fill_up()
    print(f"filled up: {disk.free} bytes free")
    wait("the reserve is given up", lambda: status(server)["numbers"]["reserve_bytes_held"] == 0)
    assert offer(server) == NO_SPACE, "the room of the reserve is not for mail"
    far.is_open = True
    flush_until(server, "deliveries finished", lambda: len(sink.received) == taken // 2)
    maildir.wait_messages(box(server, "alice"), taken // 2, 60)
    server.wait_queue_empty(60)
    assert "bytes is given up" in server.log()

    disk.empty()
    wait("intake is back", lambda: offer(server).startswith("250"))
    wait("the reserve is back", lambda: status(server)["numbers"]["reserve_bytes_held"] > 0)
    assert send(server, "user@far.test").startswith("250")
    wait("that is delivered", lambda: len(sink.received) == taken // 2 + 1)
    wait("all is normal", lambda: level(server, "queue_space") in ("normal", "busy"))
    assert "resources: queue disk" in server.log()


def test_filled_by_mail_alone_nothing_that_was_taken_is_lost(stack: ExitStack, posthouse: Start) -> None:
    """Mail for a host that is down fills the queue; the last messages are put off, the others arrive."""
    far = Far()
    sink = stack.enter_context(RecordingSink(far))
    server, disk = start(posthouse, stack, relayhost=f"[127.0.0.1]:{sink.port}")
    taken, replies = 0, set()
    for number in range(200):
        reply = send(server, f"user{number}@far.test", 90_000, sender="alice@box.test")
        taken += reply.startswith("250")
        replies.add(reply[:9])
        if reply.startswith("452") and "size" not in reply:
            break
    print(f"{taken} taken, {disk.free} bytes free, {replies}")
    assert replies == {"250 2.0.0", "452 4.3.1"}
    far.is_open = True
    flush_until(server, "all that was taken arrives", lambda: len(sink.received) >= taken)
    wait("intake is back", lambda: offer(server).startswith("250"))


def test_large_messages_are_put_off_first(stack: ExitStack, posthouse: Start) -> None:
    """Between twice the threshold and the threshold, small mail is taken, with SIZE= and without."""
    server, disk = start(posthouse, stack)
    while disk.free > 2 * REFUSAL - 65536:
        assert disk.step()
    wait("strained", lambda: level(server, "queue_space") == "strained")
    wait("told to smtpd", lambda: "of this size" in offer(server, size=500_000))
    assert offer(server, size=90_000).startswith("250")
    assert offer(server).startswith("250")
    assert offer(server, size=LIMIT + 1).startswith("552 5.3.4")
    assert send(server, "alice@box.test", 50_000).startswith("250")
    late = send(server, "alice@box.test", 400_000)
    assert late.startswith("452 4.3.1 "), late


def test_sendmail_waits_in_maildrop(stack: ExitStack, posthouse: Start) -> None:
    """A program of this machine is not refused: its mail goes when there is room."""
    server, disk = start(posthouse, stack)
    while disk.free > REFUSAL - 65536:
        assert disk.step()
    wait("critical", lambda: offer(server) == NO_SPACE)
    done = server.command("sendmail", "-f", "a@box.test", "alice@box.test", stdin=b"Subject: later\n\nx\n")
    assert done.returncode == 0, done.stderr
    drop = server.queue_directory / "maildrop"
    assert len(list(drop.iterdir())) == 1
    disk.empty()
    wait("it is delivered", lambda: len(maildir.messages(box(server, "alice"))) == 1)
    assert not list(drop.iterdir())


def test_beside_postfix(stack: ExitStack, posthouse: Start, postfix_peer: Start) -> None:
    """The same disk, the same steps, the same replies: queue_minfree above 1.5 times message_size_limit, and SIZE=."""
    minfree = {"queue_minfree": str(4 << 20), "queue_reserve": "0", "resource_control": "warn"}
    ours, our_disk = start(posthouse, stack, **minfree)
    theirs, their_disk = start(postfix_peer, stack, queue_minfree=minfree["queue_minfree"])
    seen = set()
    for free in (9 << 20, 5 << 20, (4 << 20) + 300_000, (4 << 20) - 200_000, 2 << 20):
        for disk in (our_disk, their_disk):
            while disk.free - 65536 >= free:
                assert disk.step()
        time.sleep(1.5)
        for size in (0, 1000, 900_000, LIMIT + 1):
            replies = offer(ours, size=size), offer(theirs, size=size)
            print(f"{free} free, SIZE={size}: {replies}")
            assert replies[0] == replies[1], (free, size)
            seen.add(replies[0][:9])
    assert seen == {"250 2.1.0", "452 4.3.1", "552 5.3.4"}
    for disk in (our_disk, their_disk):
        disk.empty()
    wait("intake is back", lambda: offer(ours) == offer(theirs) and offer(ours).startswith("250"))
