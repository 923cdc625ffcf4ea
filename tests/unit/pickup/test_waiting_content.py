"""Content of a submission whose queue ID is still to come: pickup does not keep all of it in memory."""

import os
import socket
import time
from pathlib import Path

from posthouse.daemons.pickup.submission import LocalSubmission, Site, Submitter
from posthouse.ipc.cleanup import SERVER, CleanupClient, Done, Lease, Leased, ToCleanup
from posthouse.ipc.origin import Origin
from posthouse.ipc.stream import Channel
from posthouse.ipc.submit import CONTENT, FORMAT, RECIPIENT, VERSION, format_record
from tests.support.fake_loop import FakeLoop

SITE = Site("mail.example.test", "Posthouse", 0, Origin("", 0, False))
HEAD = format_record(VERSION, FORMAT) + format_record(RECIPIENT, b"alice@example.test")
PIECE = format_record(CONTENT, b"x" * 60_000)


def is_congested(submission: LocalSubmission) -> bool:
    """Ask anew: a type checker takes what was true a moment ago for true still."""
    return submission.congested


def test_who_submits_waits_while_the_queue_manager_is_away(loop: FakeLoop, tmp_path: Path) -> None:
    """Without a limit of size one user's message could take all memory; it is read on when there is a queue ID."""
    asked: list[tuple[Channel[ToCleanup], Lease]] = []

    def on_record(channel: Channel[ToCleanup], record: ToCleanup) -> None:
        if isinstance(record, Lease):
            asked.append((channel, record))

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "cleanup"))
        listener.listen()
        client = CleanupClient(loop, str(tmp_path / "cleanup"))
        answers: list[Done] = []
        submission = LocalSubmission(client, SITE, Submitter(os.getuid(), "me"), time.time(), answers.append)
        submission.feed(HEAD)
        assert not is_congested(submission)
        submission.feed(PIECE)
        assert is_congested(submission)
        channel = Channel(loop, listener.accept()[0], SERVER, on_record, lambda _channel: None)
        loop.run_ready()
        channel.send(Leased(asked[0][1].id, 1, 10))
        loop.run_ready()
        assert not is_congested(submission)
        channel.abort()
        loop.run_ready()
        assert answers[0].code == 451
        assert not is_congested(submission)
        client.close()
