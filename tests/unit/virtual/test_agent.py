"""VirtualAgent: mailboxes, users and groups from tables, none of which is believed blindly."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from posthouse.config.settings import Settings
from posthouse.daemons.virtual.agent import Tables, VirtualAgent
from posthouse.delivery.agent import Delivery
from posthouse.delivery.users import Identity
from posthouse.ipc.as_user import OK, Finished, ToChild, WriteMailbox, WriteMaildir
from posthouse.ipc.delivery import Deliver, DeliverTo, Results
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT, Envelope, RecipientResult
from posthouse.ipc.runas_wire import JobKind
from posthouse.tables.maps import Maps
from posthouse.tables.open import open_maps
from tests.support.fake_loop import FakeLoop
from tests.support.lookups import logged, opener

BOXES = {
    "a@x": "x/a/",
    "b@x": "x/b",
    "@all.x": "all/",
    "up@x": "../../etc/passwd",
    "mid@x": "x/../../y/",
    "dots@x": "x/..a/",
    "base@x": "/",
}
IDS = {"@x": "5000", "@all.x": "5001", "low@x": "99", "zero@x": "0", "junk@x": "5000 # vmail", "octal@x": "05000"}


class FakeUsers:
    """Notes jobs and answers that they went well."""

    can_change_user = True

    def __init__(self, loop: FakeLoop) -> None:
        self._loop = loop
        self.jobs: list[tuple[JobKind, Identity, ToChild]] = []

    def child(self, kind: JobKind, identity: Identity) -> "FakeUsers":
        """Be the child as well."""
        self._who = kind, identity
        return self

    def next_id(self) -> int:
        """Count."""
        return len(self.jobs) + 1

    def ask(self, job: ToChild, descriptor: int = -1) -> "asyncio.Future[Finished]":
        """Note it."""
        self.jobs.append((*self._who, job))
        future: asyncio.Future[Finished] = self._loop.create_future()
        future.set_result(Finished(job.id, OK, "delivered to maildir", b"", 0))
        return future


class Case:
    """An agent and its tables."""

    def __init__(self, loop: FakeLoop) -> None:
        self.loop = loop
        self.users = FakeUsers(loop)
        self.main = {"virtual_mailbox_base": "/var/vmail", "myhostname": "mail.x", "recipient_delimiter": "+"}
        self.boxes, self.uids, self.gids = dict(BOXES), dict(IDS), {"@x": "5100", "@all.x": "5101"}
        self.lines: list[str] = []

    def deliver(self, *addresses: str, boxes: Maps | None = None) -> list[RecipientResult]:
        """Deliver; the results in the order of the recipients."""
        tables = Tables(_maps(self.boxes) if boxes is None else boxes, _maps(self.uids), _maps(self.gids))
        agent = VirtualAgent(Settings.from_mapping(self.main), tables, self.users, os.geteuid())  # type: ignore[arg-type]
        recipients = [DeliverTo(number, address) for number, address in enumerate(addresses, 1)]
        request = Deliver(1, Envelope("3TEST", "s@x", 0.0), "x", recipients, 0.0, b"x\n")
        reported: list[Results] = []
        agent.deliver(Delivery(request, -1, lambda _delivery, results: reported.append(results)))
        self.loop.run_ready()
        return sorted(reported[0].results, key=lambda result: result.rcpt_id)

    @property
    def places(self) -> list[str]:
        """Where mail was written."""
        return [
            f"{job.directory}/" if isinstance(job, WriteMaildir) else job.path
            for _, _, job in self.users.jobs
            if isinstance(job, (WriteMaildir, WriteMailbox))
        ]


def _maps(entries: dict[str, str]) -> Maps:
    listed = ", ".join(f"{{{key} = {value}}}" for key, value in entries.items())
    return open_maps([f"inline:{{{listed}}}"], opener())


@pytest.fixture
def case(loop: FakeLoop) -> Iterator[Case]:
    """Make a case, with a log to read."""
    made = Case(loop)
    with logged() as lines:
        made.lines = lines
        yield made


def test_mail_is_written_where_the_tables_say(case: Case) -> None:
    """As the user and group that they say."""
    results = case.deliver("a@x", "B@X", "a+ext@x", "any@all.x")
    assert [result.outcome for result in results] == [SENT] * 4
    assert case.places == ["/var/vmail/x/a/", "/var/vmail/x/b", "/var/vmail/x/a/", "/var/vmail/all/"]
    assert {(kind, identity) for kind, identity, _ in case.users.jobs} == {
        (JobKind.MAILBOX, Identity(5000, 5100, (5100,))),
        (JobKind.MAILBOX, Identity(5001, 5101, (5101,))),
    }


def test_nobody_of_that_name(case: Case) -> None:
    """Postfix's text."""
    [result] = case.deliver("Stranger@x")
    assert (result.outcome, result.dsn, result.text) == (BOUNCED, "5.1.1", 'unknown user: "stranger@x"')


@pytest.mark.parametrize("address", ["up@x", "mid@x", "base@x"])
def test_a_path_that_leaves_the_base_is_refused(case: Case, address: str) -> None:
    """Whoever fills the table may not be whom we trust with /etc."""
    [result] = case.deliver(address)
    assert (result.outcome, result.dsn, result.text) == (DEFERRED, "4.3.5", "mail system configuration error")
    assert not case.users.jobs
    assert any("is not below virtual_mailbox_base" in line for line in case.lines)


def test_a_name_that_only_looks_like_it_is_good(case: Case) -> None:
    """Two dots with something behind them are a name."""
    case.deliver("dots@x")
    assert case.places == ["/var/vmail/x/..a/"]


def test_without_a_base_a_path_must_be_absolute(case: Case) -> None:
    """virtual(8): the base is put before it, whatever it is."""
    case.main["virtual_mailbox_base"] = "var"
    assert case.deliver("a@x")[0].outcome == DEFERRED
    assert any("is no absolute path" in line for line in case.lines)


@pytest.mark.parametrize(
    ("uid", "why"),
    [
        ("99", "99 in virtual_uid_maps is below the minimum 100"),
        ("0", "0 in virtual_uid_maps is below the minimum 100"),
        ("-1", "bad number '-1' in virtual_uid_maps"),
        ("5000 x", "bad number '5000 x' in virtual_uid_maps"),
        ("\u0665\u0660", "bad number '\u0665\u0660' in virtual_uid_maps"),
        ("99999999999", "bad number '99999999999' in virtual_uid_maps"),
    ],
)
def test_a_user_that_may_not_be_is_refused(case: Case, uid: str, why: str) -> None:
    """The mail waits until the table is mended."""
    case.uids = {"a@x": uid}
    assert case.deliver("a@x")[0].outcome == DEFERRED
    assert case.lines[0] == f"warning: recipient a@x: {why}"
    assert not case.users.jobs


def test_root_s_group_is_refused(case: Case) -> None:
    """There is no smallest group but that."""
    case.gids = {"a@x": "0"}
    assert case.deliver("a@x")[0].outcome == DEFERRED
    case.gids = {"a@x": "1"}
    assert case.deliver("a@x")[0].outcome == SENT


@pytest.mark.parametrize("which", ["uids", "gids"])
def test_a_user_without_a_number_waits(case: Case, which: str) -> None:
    """A mailbox without an owner is a mistake of the administrator."""
    setattr(case, which, {"other@x": "5000"})
    assert case.deliver("a@x")[0].outcome == DEFERRED
    assert any(f"not found in virtual_{which[:3]}_maps" in line for line in case.lines)


def test_a_table_that_does_not_answer_defers(case: Case) -> None:
    """It is not "unknown user"."""
    [result] = case.deliver("a@x", boxes=open_maps(["fail:not now"], opener()))
    assert any("not now" in line for line in case.lines)
    assert result.outcome == DEFERRED


def test_without_runas_everything_is_done_as_ourselves(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one user only."""
    monkeypatch.setattr(FakeUsers, "can_change_user", False)
    case.deliver("a@x")
    assert case.users.jobs[0][1] == Identity(os.geteuid(), os.getegid())


def test_mbox_files_have_a_limit_and_locks(case: Case) -> None:
    """virtual_mailbox_limit, virtual_mailbox_lock."""
    case.main |= {"virtual_mailbox_limit": "1000", "virtual_mailbox_lock": "flock"}
    case.deliver("b@x")
    job = case.users.jobs[0][2]
    assert isinstance(job, WriteMailbox)
    assert (job.size_limit, job.locks) == (1000, ["flock"])
