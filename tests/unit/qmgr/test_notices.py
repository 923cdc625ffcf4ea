"""Notices: what qmgr asks of bounce(8), by a bounce that keeps the questions."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.daemons.qmgr.ledger import Ledger
from posthouse.daemons.qmgr.message import ActiveMessage
from posthouse.daemons.qmgr.notices import RECIPIENTS, Notices
from posthouse.ipc.bounce import SERVER, Notified, Notify
from posthouse.ipc.message import BOUNCED, DEFERRED, NOTIFY_SUCCESS, SENT, RecipientResult
from posthouse.ipc.stream import Channel
from posthouse.skeleton.daemon import Context, Service
from tests.support.inprocess import System
from tests.unit.qmgr.make import message

CONTENT = b"Subject: x\n\nbody\n"
LONG = "host mx.example[192.0.2.1] said: 550 5.1.1 no such user " + "x" * 200


class Asked(Service):
    """bounce(8), defer(8), trace(8)."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.requests: list[Notify] = []
        self.errors: list[str] = []

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take qmgr."""
        Channel(self._context.loop, sock, SERVER, self._on_record, lambda _channel: None)

    def _on_record(self, channel: Channel[Notify], record: Notify) -> None:
        self.requests.append(record)
        channel.send(Notified(record.id, self.errors.pop(0) if self.errors else "", "3N"))


class Case:
    """Notices, and who is asked."""

    def __init__(self, directory: Path) -> None:
        self.system = System(directory)
        self.asked: dict[str, Asked] = {}
        for name in ("bounce", "defer", "trace"):
            service = self.system.start(Asked, f"private/{name}")
            assert isinstance(service, Asked)
            self.asked[name] = service
        context = self.system.context()
        self.notices = Notices(self.system.loop, self.system.settings, context.private, Ledger(None))  # type: ignore[arg-type]
        self.ended = self.system.loop.create_future()

    def wait(self) -> str:
        """Run until the notice is made; what went wrong."""

        async def end() -> str:
            error: str = await self.ended
            return error

        return self.system.run(end())


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """Make one."""
    made = Case(tmp_path)
    yield made
    made.notices.close()
    made.system.close()


def failed(number: int) -> ActiveMessage:
    """Make a message of which all recipients failed."""
    made = message(*(f"user{rcpt}@there.example" for rcpt in range(number)), content=CONTENT)
    for rcpt_id in list(made.pending):
        made.take(RecipientResult(rcpt_id, BOUNCED, "5.1.1", LONG, "mx", "mx", f"smtp; {LONG}"))
    return made


def test_a_long_list_that_failed_is_told_in_several_notices(case: Case) -> None:
    """In one they would not fit into a record: that ended the queue manager, again and again."""
    made = failed(33_000)
    case.notices.failed(made, made.with_outcome(BOUNCED), case.ended.set_result)
    assert case.wait() == ""
    told = [about.address for request in case.asked["bounce"].requests for about in request.about]
    assert told == [rcpt.address for rcpt in made.recipients.values()]
    assert max(len(request.about) for request in case.asked["bounce"].requests) == RECIPIENTS


def test_one_of_several_notices_that_cannot_be_made_is_an_error(case: Case) -> None:
    """The message is kept, and all is asked for again."""
    case.asked["bounce"].errors = ["", "cleanup is away"]
    made = failed(3 * RECIPIENTS)
    case.notices.failed(made, made.with_outcome(BOUNCED), case.ended.set_result)
    assert case.wait() == "cleanup is away"
    assert len(case.asked["bounce"].requests) == 2


def test_only_a_failure_returns_the_message(case: Case) -> None:
    """What is late, or was delivered, comes with its header alone (RFC 3461 4.3)."""
    made = failed(1)
    case.notices.failed(made, made.with_outcome(BOUNCED), case.ended.set_result)
    case.wait()
    late = message(content=CONTENT)
    late.take(RecipientResult(1, DEFERRED, "4.4.1", "later"))
    case.notices._notify("delayed", late, late.with_outcome(DEFERRED), 0.0, lambda _error: None)
    sent = message(content=CONTENT, notify=NOTIFY_SUCCESS)
    sent.take(RecipientResult(1, SENT, "2.0.0", "ok", action="relayed"))
    case.ended = case.system.loop.create_future()
    case.notices.delivered(sent, case.ended.set_result)
    case.wait()
    given = [(request.content, request.headers_only) for each in case.asked.values() for request in each.requests]
    assert given == [(CONTENT, False), (b"Subject: x\n", True), (b"Subject: x\n", True)]
