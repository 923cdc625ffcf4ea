"""postsuper -r: what the envelope of a message says when it passes cleanup once more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.daemons.cleanup.daemon import DAEMON as CLEANUP
from posthouse.daemons.qmgr.requeue import Requeuer, again
from posthouse.daemons.trivial_rewrite.daemon import DAEMON as REWRITE
from posthouse.ipc.message import (
    BOUNCED,
    INTERNAL_MAIL,
    NO_ADDRESS_MAPPINGS,
    NO_MILTERS,
    SENT,
    Envelope,
    Recipient,
    RecipientResult,
    encode_envelope,
)
from posthouse.queue.store import open_store
from posthouse.queue.values import NewMessage
from tests.support.fake_queue import FakeQueue
from tests.support.inprocess import System

STORED = Envelope("3A", "s@x", 1.0, hold="why", filter="old:", overrides=NO_ADDRESS_MAPPINGS, redirect="r@x",
                  refusal="5.4.0 x", expanded=(Recipient("a@x"),))  # fmt: skip


def test_requeued_mail_asks_for_the_filter_again() -> None:
    """And for everything but milters; its redirect stays (facts B03.16)."""
    new = again(STORED, "3B", "scan:now")
    assert new == Envelope("3B", "s@x", 1.0, filter="scan:now", overrides=NO_MILTERS, redirect="r@x", returns=True)


def test_a_requeued_notice_stays_a_notice() -> None:
    """No filter, no checks."""
    notice = Envelope("3A", "", 1.0, internal=True, overrides=INTERNAL_MAIL)
    assert again(notice, "3B", "scan:") == Envelope("3B", "", 1.0, internal=True, overrides=INTERNAL_MAIL)


class Case:
    """A store with a message, a cleanup, and the queue that it hands mail to."""

    def __init__(self, directory: Path) -> None:
        self.system = System(directory)
        queue = self.system.start(FakeQueue, "public/qmgr")
        assert isinstance(queue, FakeQueue)
        self.queue = queue
        self.system.start(REWRITE, "private/rewrite")
        self.system.start(CLEANUP, "public/cleanup")
        (directory / "posthouse").mkdir()
        self.store = open_store(str(directory), self.system.loop, lambda _text: None)
        self.requeuer = Requeuer(self.system.loop, self.store, str(directory / "public" / "cleanup"), "")

    def put(self, addresses: list[str]) -> int:
        """Store it."""
        new = NewMessage(
            "3A", "s@x", 1.0, 1, encode_envelope(Envelope("3A", "s@x", 1.0)), b"Subject: x\n\nbody\n",
            [Recipient(address) for address in addresses],
        )  # fmt: skip
        return self.store.commit(new, lambda _answer: None)

    def requeue(self) -> int:
        """Do as postsuper -r does."""

        async def run() -> int:
            stored = await self.store.get("3A")
            assert stored is not None
            return await self.requeuer.requeue(stored)

        return self.system.run(run())

    def recipients(self) -> list[str]:
        """Who gets the new message."""
        [(_, recipients, _)] = self.queue.messages
        return [rcpt.address for rcpt in recipients]


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """Make one."""
    made = Case(tmp_path)
    yield made
    made.requeuer._cleanup.close()
    made.system.loop.run_until_complete(made.store.close())
    made.system.close()


def test_a_message_to_very_many_is_requeued_for_all_of_them(case: Case) -> None:
    """Not only for the thousand that come with it: the old message is deleted then."""
    addresses = [f"r{number}@there.test" for number in range(2500)]
    case.put(addresses)
    assert case.requeue() == 1
    assert case.recipients() == addresses


def test_who_failed_is_tried_again_while_his_sender_was_not_told(case: Case) -> None:
    """The notice could not be made yet; without the old message nobody would ever make it."""
    key = case.put(["a@there.test", "b@there.test", "c@there.test"])
    case.store.record(key, [RecipientResult(1, BOUNCED, "5.1.1", "no"), RecipientResult(2, SENT, "2.0.0", "ok")])
    assert case.requeue() == 1
    assert case.recipients() == ["a@there.test", "c@there.test"]
