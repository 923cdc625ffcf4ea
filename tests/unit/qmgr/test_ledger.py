"""Ledger: the store in the queue manager's words, with a real store."""

import os
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from posthouse.daemons.qmgr.ledger import Ledger, header_section, revive
from posthouse.daemons.qmgr.message import ActiveMessage
from posthouse.ipc.message import BOUNCED, NOTIFY_SUCCESS, SENT, Envelope, Recipient
from posthouse.queue.spool import SpoolFile
from posthouse.queue.values import FOREVER, NotStoredError, StoreError
from tests.contract.queue.harness import Harness
from tests.unit.qmgr.make import ARRIVAL, bounced, deferred, outcomes, sent

T = TypeVar("T")
ID = "3zTestIDz1"


class Case:
    """A ledger over a store in a directory."""

    def __init__(self, directory: Path) -> None:
        self.store = Harness(str(directory))
        self.ledger = Ledger(self.store.store)

    def wait(self, coroutine: Coroutine[object, object, T]) -> T:
        """Run until it is done."""
        return self.store.wait(self.store.loop.create_task(coroutine))

    def commit(
        self,
        *addresses: str,
        content: bytes | SpoolFile = b"Subject: x\n\nbody\n",
        hold: str = "",
        queue_id: str = ID,
        notify: int = 4,
    ) -> tuple[str, bool, ActiveMessage | None]:
        """Commit a message; what was answered."""
        answer = self.store.loop.create_future()
        envelope = Envelope(queue_id, "s@\udcff", ARRIVAL, 5, hold=hold, dsn_envid="envid")
        recipients = [Recipient(address, f"o-{address}", "rfc822;x", notify) for address in addresses]
        self.ledger.commit(envelope, recipients, content, lambda *said: answer.set_result(said))
        said: tuple[str, bool, ActiveMessage | None] = self.store.wait(answer)
        return said

    def fresh(self, *addresses: str, content: bytes | SpoolFile = b"Subject: x\n\nbody\n") -> ActiveMessage:
        """Commit a message; it as it is given to the manager."""
        error, full, message = self.commit(*(addresses or ("a@x",)), content=content)
        assert (error, full) == ("", False)
        assert message is not None
        return message

    def durable(self) -> None:
        """Wait until everything asked for is stored."""
        self.wait(self.ledger.is_committed(ID))
        self.store.store.defer(10**9, 0.0)
        self.store.defer(10**9, 0.0)

    def revived(self) -> ActiveMessage:
        """Read the message as the due reader does."""
        self.durable()
        page = self.store.wait(self.store.store.due(FOREVER))
        return self.wait(revive(self.store.store, page.messages[0], 5.0))


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """Open a ledger."""
    made = Case(tmp_path)
    yield made
    made.store.close()


def test_a_new_message_is_handed_over_when_it_is_durable(case: Case) -> None:
    """With its recipients numbered from 1, and its content from memory."""
    message = case.fresh("a@x", "b@x")
    assert message.queue_id == ID
    assert message.content == b"Subject: x\n\nbody\n"
    assert [(rcpt.rcpt_id, rcpt.address, rcpt.original) for rcpt in message.to_do()] == [
        (1, "a@x", "o-a@x"),
        (2, "b@x", "o-b@x"),
    ]
    assert case.wait(case.ledger.is_committed(ID))


def test_a_message_that_comes_again_is_not_handed_over_again(case: Case) -> None:
    """cleanup sent it a second time after a lost connection."""
    case.fresh()
    assert case.commit("a@x") == ("", False, None)


def test_a_held_message_is_not_handed_over(case: Case) -> None:
    """It is durable, and waits for an operator."""
    assert case.commit("a@x", hold="looks odd") == ("", False, None)
    assert case.store.get(ID).queue_name == "hold"


def test_a_message_without_recipients_is_refused(case: Case) -> None:
    """Nobody would ever remove it."""
    assert case.commit() == ("a message without recipients", False, None)


def test_an_error_of_the_store_is_told(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that cleanup answers 451."""

    def refuse(_new: object, done: object) -> int:
        assert callable(done)
        done(NotStoredError("disk trouble"))
        return 1

    monkeypatch.setattr(case.store.store, "commit", refuse)
    assert case.commit("a@x") == ("disk trouble", False, None)


def test_a_deferred_message_comes_back_as_it_was(case: Case) -> None:
    """Who was delivered to is not in it; who bounced keeps that result; its content stays in the store."""
    message = case.fresh("a@x", "b@x", "c@x")
    case.ledger.record(message, [sent(1), bounced(3)], lambda: None)
    case.ledger.defer(message, [deferred(2)], ARRIVAL + 100)
    again = case.revived()
    assert again.envelope == message.envelope
    assert [rcpt.address for rcpt in again.to_do()] == ["b@x"]
    assert outcomes(list(again.results.values())) == {3: BOUNCED}
    assert again.results[3].text == "no such user"
    assert (again.content, again.active) == (None, 5.0)
    assert again.recipients[2].dsn_orcpt == "rfc822;x"


def test_settled_bounces_do_not_come_back(case: Case) -> None:
    """Their sender was told."""
    message = case.fresh("a@x", "b@x")
    case.ledger.record(message, [bounced(1)], lambda: None)
    case.ledger.settle(message)
    case.ledger.defer(message, [deferred(2)], 0.0)
    again = case.revived()
    assert list(again.recipients) == [2]


def test_more_recipients_than_one_page_come_back_all(case: Case) -> None:
    """Those in later pages too, and only those that are not done."""
    message = case.fresh(*(f"u{number}@x" for number in range(2500)))
    case.ledger.record(message, [sent(number) for number in range(1, 2400)], lambda: None)
    case.ledger.defer(message, [], 0.0)
    again = case.revived()
    assert list(again.recipients) == list(range(2400, 2501))


def test_flags_come_back(case: Case) -> None:
    """postsuper -e, and that the sender knows of the delay and of aliases."""
    message = case.fresh()
    case.ledger.delay_warned(message)
    case.ledger.expansion_told(message)
    case.store.wait(case.store.store.change("expire", [ID]))
    again = case.revived()
    assert (again.delay_warned, again.forced_expire, again.expansion_told) == (True, True, True)


def test_results_are_acknowledged_when_they_are_durable(case: Case) -> None:
    """Never when they could not be stored."""
    message = case.fresh()
    answers = [case.store.loop.create_future() for _ in range(2)]
    case.ledger.record(message, [sent(1)], lambda: answers[0].set_result(None))
    case.ledger.remove(message, lambda: answers[1].set_result(None))
    for answer in answers:
        case.store.wait(answer)
    assert case.store.wait(case.store.store.get(ID)) is None
    assert case.wait(case.ledger.is_committed(ID))


def test_late_results_are_stored(case: Case) -> None:
    """Of a message that waits; one that is gone is nothing to be sorry for."""
    message = case.fresh("a@x", "b@x")
    case.ledger.defer(message, [], 0.0)
    case.wait(case.ledger.sent_late(ID, [sent(1)]))
    case.wait(case.ledger.sent_late("3Gone", [sent(1)]))
    case.wait(case.ledger.sent_late(ID, []))
    assert list(case.revived().recipients) == [2]


def test_late_results_that_cannot_be_stored_are_an_error(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent must not forget them."""
    case.fresh()

    def refuse(_key: int, _results: object, _due: float, done: object) -> None:
        assert callable(done)
        done(NotStoredError("disk trouble"))

    monkeypatch.setattr(case.store.store, "record", refuse)
    with pytest.raises(StoreError):
        case.wait(case.ledger.sent_late(ID, [sent(1)]))


def test_a_message_that_an_agent_still_has_is_kept_back(case: Case) -> None:
    """Its result will come."""
    message = case.fresh()
    case.ledger.defer(message, [], 0.0)
    case.wait(case.ledger.keep_back(ID, ARRIVAL * 2))
    case.wait(case.ledger.keep_back("3Gone", ARRIVAL * 2))
    case.durable()
    assert case.store.due_ids(ARRIVAL) == []


# Content.


@pytest.mark.parametrize("is_spooled", [False, True])
def test_content_is_read(case: Case, is_spooled: bool) -> None:
    """From memory's stead, or as a descriptor."""
    data = b"Subject: x\n\n" + b"y" * 10
    message = case.fresh(content=case.store.spool(data) if is_spooled else data)
    assert (message.content is None) is is_spooled
    answer = case.store.loop.create_future()
    case.ledger.fetch_content(message, lambda *said: answer.set_result(said))
    content, descriptor, error = case.store.wait(answer)
    assert error == ""
    if is_spooled:
        content = os.pread(descriptor, 100, 0)
        os.close(descriptor)
    assert content == data


def test_content_that_is_not_there_is_an_error(case: Case) -> None:
    """The message was deleted meanwhile."""
    message = case.fresh()
    answers = [case.store.loop.create_future() for _ in range(2)]
    case.ledger.remove(message, lambda: answers[0].set_result(None))
    case.store.wait(answers[0])
    case.ledger.fetch_content(message, lambda *said: answers[1].set_result(said))
    assert case.store.wait(answers[1]) == (b"", -1, "the content is not there")


@pytest.mark.parametrize(
    ("spooled", "limit", "ret", "expected"),
    [
        (False, 100, "", (b"Subject: x\n\nbody\n", False)),
        (False, 100, "HDRS", (b"Subject: x\n", True)),
        (False, 5, "", (b"Subject: x\n", True)),
        (True, 100, "", (b"Subject: x\n", True)),
    ],
)
def test_a_notice_returns_small_messages_whole(
    case: Case, spooled: bool, limit: int, ret: str, expected: tuple[bytes, bool]
) -> None:
    """Large ones, and where the sender wants it, the header section alone."""
    data = b"Subject: x\n\nbody\n"
    message = case.fresh(content=case.store.spool(data) if spooled else data)
    message.envelope = Envelope(ID, "s@x", ARRIVAL, dsn_ret=ret)
    assert case.wait(case.ledger.content_for_notice(message, limit)) == expected
    message.content = None
    assert case.wait(case.ledger.content_for_notice(message, limit)) == expected


def test_a_notice_about_a_message_without_content(case: Case) -> None:
    """It was deleted; the notice goes without the original."""
    message = case.fresh()
    message.content, message.key = None, 10**6
    assert case.wait(case.ledger.content_for_notice(message, 100)) == (b"", True)


@pytest.mark.parametrize(
    ("content", "section"),
    [
        (b"a: b\n\nc", b"a: b\n"),
        (b"a: b\n", b"a: b\n"),
        (b"\nbody", b""),
        (b"a: b\n c\n\n\n", b"a: b\n c\n"),
        (b"", b""),
    ],
)
def test_header_section(content: bytes, section: bytes) -> None:
    """Up to the empty line, which is not part of it."""
    assert header_section(content) == section


@pytest.mark.parametrize("late", [False, True])
def test_a_success_that_the_sender_was_not_told_of_is_kept(case: Case, late: bool) -> None:
    """After a crash, or a reload, before the other recipients have a result: he asked, and waits for it."""
    active = case.commit("a@x", "b@x", notify=NOTIFY_SUCCESS)[2]
    assert active is not None
    if late:
        case.wait(case.ledger.sent_late(ID, [sent(1)]))
    else:
        case.ledger.record(active, [sent(1)], lambda: None)
    revived = case.revived()
    assert (revived.results[1].outcome, revived.results[1].action, revived.pending) == (SENT, "relayed", {2})
    [listed] = case.store.wait(case.store.store.page()).messages
    assert [rcpt.address for rcpt in listed.recipients] == ["b@x"]
    case.ledger.settle(revived)
    assert list(case.revived().recipients) == [2]


def test_a_success_that_nobody_asked_about_is_done(case: Case) -> None:
    """As before."""
    active = case.fresh("a@x", "b@x")
    case.ledger.record(active, [sent(1)], lambda: None)
    assert list(case.revived().recipients) == [2]
