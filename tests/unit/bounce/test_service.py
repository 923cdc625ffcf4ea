"""bounce: notices made and handed to a real cleanup, asked for as qmgr does."""

import email.policy
import time
from collections.abc import Callable, Iterator, Mapping
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

import pytest

from posthouse.daemons.bounce.daemon import DAEMON as BOUNCE
from posthouse.daemons.cleanup.daemon import DAEMON as CLEANUP
from posthouse.daemons.trivial_rewrite.daemon import DAEMON as REWRITE
from posthouse.ipc.bounce import CLIENT, DELAYED, DELIVERED, FAILED, About, Notified, Notify
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT, Envelope, RecipientResult
from posthouse.ipc.queue import CommitResult
from posthouse.ipc.record import replace
from posthouse.ipc.stream import Client
from tests.support.fake_queue import FakeQueue
from tests.support.inprocess import System

ARRIVAL = 1_700_000_000.0
ORIGINAL = b"Subject: the original\nFrom: s@b.test\n\nbody\n"
ENVELOPE = Envelope("3ORIGINAL", "s@b.test", ARRIVAL, dsn_envid="QQ314159", message_id="<1@b.test>")
REFUSED = RecipientResult(
    1, BOUNCED, "5.1.1", "host mx said: 550 5.1.1 No such user", "mx[192.0.2.1]:25", "mx.c.test",
    "smtp; 550 5.1.1 No such user",
)  # fmt: skip
LATE = RecipientResult(2, DEFERRED, "4.4.1", "connect to mx: Connection timed out", "none")
TAKEN = RecipientResult(3, SENT, "2.1.5", "delivered", "mx", action="relayed")


class Case:
    """bounce, a cleanup, and a queue that keeps the notices."""

    def __init__(self, directory: Path, main: Mapping[str, str]) -> None:
        self.system = System(directory, main)
        queue = self.system.start(FakeQueue, "public/qmgr")
        assert isinstance(queue, FakeQueue)
        self.queue = queue
        self.system.start(REWRITE, "private/rewrite")
        self.system.start(CLEANUP, "public/cleanup")
        self.system.start(BOUNCE, "private/bounce")
        path = str(directory / "private" / "bounce")
        self.client: Client[Notified] = Client(self.system.loop, path, CLIENT)

    def notify(
        self, kind: str, *results: RecipientResult, envelope: Envelope = ENVELOPE, original: bytes = ORIGINAL,
        headers_only: bool = False,
    ) -> Notified:  # fmt: skip
        """Ask for a notice."""
        about = [
            About(f"r{result.rcpt_id}@c.test", f"o{result.rcpt_id}@b.test", "rfc822;orc+pt@c.test", 0, result)
            for result in results
        ]
        request = Notify(self.client.next_id(), kind, envelope, about, original, headers_only, ARRIVAL + 432_000)

        async def ask() -> Notified:
            return await self.client.request(request)

        return self.system.run(ask())

    def report(self, number: int = 0) -> EmailMessage:
        """Read a notice."""
        parsed = BytesParser(policy=email.policy.default).parsebytes(self.queue.messages[number][2])
        assert isinstance(parsed, EmailMessage)
        return parsed

    def recipients(self) -> list[str]:
        """Who gets notices, in order."""
        return [rcpt.address for _, recipients, _ in self.queue.messages for rcpt in recipients]


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Callable[..., Case]]:
    """Give a function that makes a case with some settings."""
    made: list[Case] = []

    def make(main: Mapping[str, str] | None = None) -> Case:
        made.append(Case(tmp_path, main or {}))
        return made[-1]

    yield make
    for each in made:
        each.client.close()
        each.system.close()


def parts(report: EmailMessage) -> list[EmailMessage]:
    """Give the three parts."""
    found = list(report.iter_parts())
    assert all(isinstance(part, EmailMessage) for part in found)
    return found  # type: ignore[return-value]


def fields(report: EmailMessage) -> list[dict[str, str]]:
    """Give the groups of fields of the delivery status."""
    payload = parts(report)[1].get_payload()
    assert isinstance(payload, list)
    return [
        {name.lower(): str(value) for name, value in group.items()}
        for group in payload
        if isinstance(group, EmailMessage)
    ]


def test_a_failure_is_told_to_the_sender(case: Callable[..., Case]) -> None:
    """A report by the null sender that no program answers (RFC 3464, 3834); it is durable when that is answered."""
    made = case()
    answer = made.notify(FAILED, REFUSED)
    [(envelope, [recipient], _content)] = made.queue.messages
    assert (answer.error, answer.notice_id) == ("", envelope.queue_id)
    assert (envelope.sender, envelope.internal, recipient.address) == ("", True, "s@b.test")
    report = made.report()
    assert report.get_content_type() == "multipart/report"
    assert report["Auto-Submitted"] == "auto-replied"
    assert report["To"] == "s@b.test"
    assert [part.get_content_type() for part in parts(report)] == [
        "text/plain", "message/delivery-status", "message/rfc822",
    ]  # fmt: skip
    assert any(
        line == f"3ORIGINAL: sender non-delivery notification: {envelope.queue_id}" for line in made.system.log.lines
    )


def test_the_delivery_status(case: Callable[..., Case]) -> None:
    """Who, what, why, where; each recipient."""
    made = case()
    made.notify(FAILED, REFUSED, LATE)
    message, refused, late = fields(made.report())
    assert message["reporting-mta"] == "dns; mx.example.test"
    assert message["original-envelope-id"] == "QQ314159"
    assert message["x-postfix-queue-id"] == "3ORIGINAL"
    assert refused["final-recipient"] == "rfc822; r1@c.test"
    assert refused["original-recipient"] == "rfc822;orc+pt@c.test"
    assert (refused["action"], refused["status"]) == ("failed", "5.1.1")
    assert refused["remote-mta"] == "dns; mx.c.test"
    assert refused["diagnostic-code"] == "smtp; 550 5.1.1 No such user"
    assert (late["action"], late["status"]) == ("failed", "4.4.1")
    assert late["diagnostic-code"] == "X-Postfix; connect to mx: Connection timed out"
    assert "remote-mta" not in late


def test_a_delay_says_how_long_it_is_tried(case: Callable[..., Case]) -> None:
    """RFC 3464: Will-Retry-Until."""
    made = case()
    made.notify(DELAYED, LATE)
    [_message, late] = fields(made.report())
    assert (late["action"], late["status"]) == ("delayed", "4.4.1")
    assert "2023" in late["will-retry-until"]


def test_success_is_told_where_it_was_asked_for(case: Callable[..., Case]) -> None:
    """What kind of success."""
    made = case()
    made.notify(DELIVERED, TAKEN)
    [_message, taken] = fields(made.report())
    assert (taken["action"], taken["status"]) == ("relayed", "2.1.5")


@pytest.mark.parametrize("headers_only", [True, False])
def test_the_original_comes_back(case: Callable[..., Case], headers_only: bool) -> None:
    """Whole, or its header section."""
    made = case()
    made.notify(FAILED, REFUSED, original=ORIGINAL[:41] if headers_only else ORIGINAL, headers_only=headers_only)
    last = parts(made.report())[2]
    assert last.get_content_type() == ("text/rfc822-headers" if headers_only else "message/rfc822")
    assert b"Subject: the original\n" in made.queue.messages[0][2]
    assert (b"\nbody\n" in made.queue.messages[0][2]) is not headers_only


def test_threads_are_kept_where_that_is_wanted(case: Callable[..., Case]) -> None:
    """enable_threaded_bounces."""
    made = case({"enable_threaded_bounces": "yes"})
    made.notify(FAILED, REFUSED)
    assert made.report()["In-Reply-To"] == "<1@b.test>"


def test_mail_without_a_sender_has_nobody_to_tell(case: Callable[..., Case]) -> None:
    """No notice about a notice."""
    made = case()
    for kind in (FAILED, DELAYED, DELIVERED):
        assert made.notify(kind, REFUSED, envelope=Envelope("3N", "", ARRIVAL)) == Notified(
            made.client.next_id() - 1, "", ""
        )
    assert made.queue.messages == []


def test_the_postmaster_can_be_told_instead(case: Callable[..., Case]) -> None:
    """notify_classes 2bounce: of failures only."""
    made = case({"notify_classes": "2bounce", "2bounce_notice_recipient": "boss"})
    made.notify(DELAYED, LATE, envelope=Envelope("3N", "", ARRIVAL))
    made.notify(FAILED, REFUSED, envelope=Envelope("3N", "", ARRIVAL))
    assert made.recipients() == ["boss@example.test"]
    assert made.queue.messages[0][0].sender == "double-bounce@mx.example.test"


@pytest.mark.parametrize("sender", ["double-bounce@mx.example.test", "Double-Bounce@MX.Example.TEST"])
def test_mail_of_double_bounce_ends_here(case: Callable[..., Case], sender: str) -> None:
    """Otherwise two systems could write to each other for ever; it is said."""
    made = case({"notify_classes": "bounce, 2bounce"})
    assert made.notify(FAILED, REFUSED, envelope=Envelope("3N", sender, ARRIVAL)).notice_id == ""
    assert made.queue.messages == []
    assert any("undeliverable postmaster notification discarded" in line for line in made.system.log.lines)


@pytest.mark.parametrize(
    ("kind", "classes", "copied"),
    [(FAILED, "bounce", True), (DELAYED, "delay", True), (FAILED, "delay", False), (DELIVERED, "bounce, delay", False)],
)
def test_the_postmaster_can_have_copies(case: Callable[..., Case], kind: str, classes: str, copied: bool) -> None:
    """Of failures and of delays, each by its class."""
    made = case({"notify_classes": classes})
    made.notify(kind, TAKEN if kind == DELIVERED else LATE)
    assert made.recipients() == ["s@b.test", *(["postmaster@example.test"] if copied else [])]


def test_a_queue_that_does_not_take_it_is_told(case: Callable[..., Case]) -> None:
    """qmgr keeps the recipients and asks again."""
    made = case()
    made.queue.fail = lambda commit: CommitResult(commit.id, "disk full", full=True)
    answer = made.notify(FAILED, REFUSED)
    assert answer.notice_id == ""
    assert "452 4.3.1" in answer.error


@pytest.mark.parametrize("smtputf8", [False, True])
def test_a_notice_of_internationalized_mail_is_internationalized(case: Callable[..., Case], smtputf8: bool) -> None:
    """It goes to the same address and says the same names."""
    made = case()
    made.notify(FAILED, REFUSED, envelope=Envelope("3N", "\u00fc@b.test", ARRIVAL, smtputf8=smtputf8))
    assert [envelope.smtputf8 for envelope, _, _ in made.queue.messages] == [smtputf8]


@pytest.mark.parametrize(("classes", "held"), [("", ""), ("notify", ""), ("bounce", "seen")])
def test_notices_pass_checks_where_that_is_wanted(case: Callable[..., Case], classes: str, held: str) -> None:
    """internal_mail_filter_classes; copies are never made (facts B07.07, B12.12)."""
    checks = {"header_checks": "static:{HOLD seen}", "always_bcc": "all@b.test"}
    made = case({**checks, "internal_mail_filter_classes": classes})
    made.notify(FAILED, REFUSED)
    assert [envelope.hold for envelope, _, _ in made.queue.messages] == [held]
    assert "all@b.test" not in made.recipients()


def test_text_that_is_no_utf8(case: Callable[..., Case]) -> None:
    """In a sender, an address, a reply: nothing of it raises."""
    made = case()
    odd = RecipientResult(1, BOUNCED, "5.0.0", "said \udcff", "mx", "mx\udcff", "smtp; \udcff")
    answer = made.notify(FAILED, odd, envelope=Envelope("3N", "s\udcff@b.test", ARRIVAL, message_id="\udcff"))
    assert answer.error == ""
    assert len(made.queue.messages) == 1


def test_many_at_once(case: Callable[..., Case]) -> None:
    """Each has its answer; the process is not done before."""
    made = case()

    async def ask() -> list[Notified]:
        futures = [
            made.client.request(
                Notify(
                    made.client.next_id(), FAILED, ENVELOPE, [About("r@c.test", "", "", 0, REFUSED)], ORIGINAL, False
                )
            )
            for _ in range(20)
        ]
        return [await future for future in futures]

    answers = made.system.run(ask())
    assert len({answer.notice_id for answer in answers}) == 20


@pytest.mark.parametrize(("kind", "classes"), [(FAILED, "bounce"), (DELAYED, "delay")])
def test_a_copy_that_cannot_be_made_sends_no_second_notice(case: Callable[..., Case], kind: str, classes: str) -> None:
    """The sender was told; with an error qmgr would have him told again and again."""
    made = case({"notify_classes": classes})
    made.queue.fail = lambda commit: CommitResult(commit.id, "disk full", full=True) if made.queue.messages else None
    answer = made.notify(kind, LATE)
    assert (answer.error, made.recipients()) == ("", ["s@b.test"])
    assert any(f"no postmaster {kind} notification: cleanup: 452" in line for line in made.system.log.lines)


def test_a_copy_has_no_body(case: Callable[..., Case]) -> None:
    """The postmaster does not read other people's mail (facts B12.05)."""
    made = case({"notify_classes": "bounce"})
    made.notify(FAILED, REFUSED)
    assert b"body" in made.queue.messages[0][2]
    assert b"Subject: the original\n" in made.queue.messages[1][2]
    assert b"\nbody\n" not in made.queue.messages[1][2]
    assert parts(made.report(1))[2].get_content_type() == "text/rfc822-headers"


REJECTING = {"internal_mail_filter_classes": "bounce", "header_checks": "static:{REJECT not here}"}


@pytest.mark.parametrize("kind", [FAILED, DELAYED, DELIVERED])
def test_a_notice_that_is_refused_for_good_ends(case: Callable[..., Case], kind: str) -> None:
    """With an error qmgr would ask for it for ever; the log says what became of it."""
    made = case(REJECTING)
    assert made.notify(kind, REFUSED).error == ""
    assert made.queue.messages == []
    [line] = [line for line in made.system.log.lines if "3ORIGINAL" in line]
    assert "warning: 3ORIGINAL: sender " in line
    assert "refused for good: cleanup: 550 5.7.1 not here; nobody is told" in line


def test_mail_whose_end_nobody_would_hear_of_waits(case: Callable[..., Case]) -> None:
    """As long as mail and a notice may wait: who finds that his checks refuse notices can mend them."""
    made = case({**REJECTING, "maximal_queue_lifetime": "2d", "bounce_queue_lifetime": "1d"})
    for days, waits in ((0, True), (2.9, True), (3.1, False)):
        envelope = replace(ENVELOPE, arrival=time.time() - days * 86400)
        error = made.notify(FAILED, REFUSED, envelope=envelope).error
        assert ("it is tried again, nobody else would be told" in error) == waits
    assert made.queue.messages == []


def test_the_postmaster_is_told_of_a_notice_that_is_refused(case: Callable[..., Case]) -> None:
    """notify_classes 2bounce, as for any notice that cannot reach the sender; what refuses both ends both."""
    rejecting = {**REJECTING, "header_checks": "regexp:{ {/^To: s@/ REJECT not here} }"}
    made = case({**rejecting, "notify_classes": "2bounce"})
    assert made.notify(FAILED, REFUSED).error == ""
    assert made.recipients() == ["postmaster@example.test"]
    assert made.queue.messages[0][0].sender == "double-bounce@mx.example.test"
    assert any("notification refused for good: cleanup: 550" in line for line in made.system.log.lines)


def test_a_double_bounce_that_is_refused_ends(case: Callable[..., Case]) -> None:
    """And a copy is not made again either."""
    made = case({**REJECTING, "notify_classes": "2bounce, bounce"})
    for envelope in (ENVELOPE, Envelope("3N", "", ARRIVAL)):
        assert made.notify(FAILED, REFUSED, envelope=envelope).error == ""
    assert made.queue.messages == []
    discarded = [line for line in made.system.log.lines if "discarded" in line]
    assert [line.rpartition("warning: ")[2].partition(":")[0] for line in discarded] == ["3ORIGINAL", "3N"]


@pytest.mark.parametrize("limit", [3000, 100])
def test_a_notice_that_is_too_large_goes_without_the_original(case: Callable[..., Case], limit: int) -> None:
    """A notice without it is better than none; what does not even fit then is not tried for ever."""
    made = case({"message_size_limit": str(limit)})
    assert made.notify(FAILED, REFUSED, original=ORIGINAL + b"x\n" * 2000).error == ""
    if limit == 100:
        assert made.queue.messages == []
        assert any("refused for good: cleanup: 552 5.3.4" in line for line in made.system.log.lines)
    else:
        assert made.recipients() == ["s@b.test"]
        assert b"Subject: the original\n" in made.queue.messages[0][2]
        assert b"x\nx\n" not in made.queue.messages[0][2]
