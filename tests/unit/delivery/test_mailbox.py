"""Delivering to a mailbox: the job that is asked for, and what its ending means."""

import asyncio
import re

import pytest

from posthouse.delivery.agent import Delivery
from posthouse.delivery.mailbox import MailboxRules, deliver_to_mailbox, result_of, trace_headers
from posthouse.delivery.users import Identity, RefusedIdentityError
from posthouse.ipc.as_user import (
    NO_SPACE,
    NOT_FOUND,
    OK,
    OVER_QUOTA,
    REFUSED,
    TRY_LATER,
    Finished,
    ToChild,
    WriteMailbox,
    WriteMaildir,
)
from posthouse.ipc.delivery import Deliver, DeliverTo
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT, Envelope, RecipientResult
from posthouse.ipc.runas_wire import JobKind
from posthouse.util import eager
from posthouse.util.errors import TemporaryError
from tests.support.fake_loop import FakeLoop

RULES = MailboxRules("virtual", "mail.x", 1000, ["fcntl"])
RCPT = DeliverTo(1, "a@x", "o@x")
WHO = Identity(1000, 1000)


class FakeChild:
    """Keeps jobs; answers when the test says so."""

    def __init__(self, loop: FakeLoop) -> None:
        self.jobs: list[tuple[ToChild, int]] = []
        self.answer: asyncio.Future[Finished] = loop.create_future()

    def next_id(self) -> int:
        """Count."""
        return len(self.jobs) + 1

    def ask(self, job: ToChild, descriptor: int = -1) -> "asyncio.Future[Finished]":
        """Keep it."""
        self.jobs.append((job, descriptor))
        return self.answer


class FakeUsers:
    """Gives the one child, or an error."""

    def __init__(self, child: FakeChild, error: Exception | None = None) -> None:
        self._child, self._error = child, error
        self.asked: list[tuple[JobKind, Identity]] = []

    def child(self, kind: JobKind, identity: Identity) -> FakeChild:
        """Give it."""
        self.asked.append((kind, identity))
        if self._error is not None:
            raise self._error
        return self._child


def delivery(sender: str = "s@x", descriptor: int = -1) -> Delivery:
    """Make a delivery."""
    request = Deliver(1, Envelope("3TEST", sender, 0.0), "x", [RCPT], 0.0, b"content")
    return Delivery(request, descriptor, lambda _delivery, _results: None)


def attempt(users: FakeUsers, path: str, made: Delivery | None = None) -> list[eager.Outcome[RecipientResult]]:
    """Start a delivery to a path."""
    outcomes: list[eager.Outcome[RecipientResult]] = []
    coroutine = deliver_to_mailbox(users, made or delivery(), RCPT, path, WHO, RULES)  # type: ignore[arg-type]
    eager.start(coroutine, outcomes.append)
    return outcomes


def test_a_path_with_a_slash_is_a_maildir(loop: FakeLoop) -> None:
    """Written with the recipient's rights."""
    child = FakeChild(loop)
    users = FakeUsers(child)
    outcomes = attempt(users, "/home/a/Maildir//")
    child.answer.set_result(Finished(1, OK, "delivered to maildir", b"", 0))
    loop.run_ready()
    head = b"Return-Path: <s@x>\nX-Original-To: o@x\nDelivered-To: a@x\n"
    assert child.jobs == [(WriteMaildir(1, "/home/a/Maildir", "mail.x", head, b"content", False), -1)]
    assert users.asked == [(JobKind.MAILBOX, WHO)]
    result = outcomes[0].result()
    assert (result.outcome, result.dsn, result.text, result.action) == (
        SENT, "2.0.0", "delivered to maildir", "delivered",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sender", "shown"), [("s@x", b"s@x"), ("", b"MAILER-DAEMON"), ('"a b"@x', b'"a-b"@x'), ("\udcff@x", b"\xff@x")]
)
def test_any_other_path_is_an_mbox(loop: FakeLoop, sender: str, shown: bytes) -> None:
    """Its From_ line has the sender, without blanks, and the time."""
    child = FakeChild(loop)
    attempt(FakeUsers(child), "/var/mail/a", delivery(sender))
    [(job, _descriptor)] = child.jobs
    assert isinstance(job, WriteMailbox)
    assert re.fullmatch(rb"From (\S+)  [A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} [0-9]{4}\n", job.from_line)
    assert job.from_line.split()[1] == shown
    assert (job.size_limit, job.locks, job.strict_owner) == (1000, ["fcntl"], True)


def test_large_content_is_lent(loop: FakeLoop) -> None:
    """Not copied."""
    child = FakeChild(loop)
    attempt(FakeUsers(child), "/var/mail/a", delivery(descriptor=0))
    job, descriptor = child.jobs[0]
    assert isinstance(job, WriteMailbox)
    assert (job.content, job.with_descriptor, descriptor) == (b"", True, 0)


@pytest.mark.parametrize(
    ("ending", "outcome", "dsn"),
    [
        (OK, SENT, "2.0.0"),
        (OVER_QUOTA, BOUNCED, "5.2.2"),
        (REFUSED, BOUNCED, "5.2.0"),
        (NO_SPACE, DEFERRED, "4.3.0"),
        (NOT_FOUND, DEFERRED, "4.2.0"),
        (TRY_LATER, DEFERRED, "4.2.0"),
    ],
)
def test_what_an_ending_means(ending: int, outcome: int, dsn: str) -> None:
    """A full mailbox and a file that may not be written to are returned; the rest may go away."""
    result = result_of(RCPT, Finished(1, ending, "text", b"", 0), "local")
    assert (result.outcome, result.dsn, result.text, result.relay) == (outcome, dsn, "text", "local")


@pytest.mark.parametrize(
    ("error", "dsn"), [(TemporaryError("runas is away"), "4.3.0"), (RefusedIdentityError("never"), "4.2.0")]
)
def test_without_the_recipient_s_rights_mail_waits(loop: FakeLoop, error: Exception, dsn: str) -> None:
    """Until somebody mends it; it never raises."""
    result = attempt(FakeUsers(FakeChild(loop), error), "/var/mail/a")[0].result()
    assert (result.outcome, result.dsn) == (DEFERRED, dsn)


def test_a_child_that_dies_defers(loop: FakeLoop) -> None:
    """It may have written the mail; twice is better than never."""
    child = FakeChild(loop)
    outcomes = attempt(FakeUsers(child), "/var/mail/a")
    child.answer.set_exception(TemporaryError("gone"))
    loop.run_ready()
    assert outcomes[0].result().outcome == DEFERRED


def test_trace_headers() -> None:
    """Without an original recipient it is the recipient himself; enable_original_recipient = no says nothing of it."""
    assert trace_headers("", DeliverTo(1, "a@x"), "A@x", says_original=True) == (
        b"Return-Path: <>\nX-Original-To: a@x\nDelivered-To: A@x\n"
    )
    original = DeliverTo(1, "a@x", "o@x")
    assert b"\nX-Original-To: o@x\n" in trace_headers("", original, "A@x", says_original=True)
    assert trace_headers("", original, "A@x", says_original=False) == b"Return-Path: <>\nDelivered-To: A@x\n"
