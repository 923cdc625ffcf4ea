"""What daemons do with the governor's word: smtpd's refusals, the reserve, early syncs, the subscription."""

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.daemons.cleanup.transaction import Transaction
from posthouse.daemons.cleanup.write_out import WriteOut
from posthouse.daemons.governor.daemon import DAEMON
from posthouse.daemons.governor.notifier import EVERY_S, _read
from posthouse.daemons.governor.reports import FLOW_LEAST, Flow, Reports, Subscriber
from posthouse.daemons.smtpd.client import client_of
from posthouse.daemons.smtpd.scarcity import NO_SPACE, TOO_LARGE_NOW, Scarcity
from posthouse.ipc.governor import CLIENT, Ask, Picture, Report, State
from posthouse.ipc.message import Envelope
from posthouse.ipc.queue import SPOOL_FROM
from posthouse.ipc.record import replace
from posthouse.ipc.stream import Client
from posthouse.queue.reserve import Reserve
from posthouse.skeleton.daemon import Context
from posthouse.skeleton.resources import UNKNOWN, OwnMemory, Resources, Subscription, open_descriptors
from tests.support.inprocess import System

ROOMY = replace(UNKNOWN, queue_known=True, queue_free=100_000_000)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """A directory, a loop, and limits that are easy to count with."""
    data = tmp_path / "data"
    (data / "governor").mkdir(parents=True)
    (tmp_path / "posthouse").mkdir()
    found = System(tmp_path, {"message_size_limit": "1000000", "data_directory": str(data)})
    yield found
    found.close()


def scarcity(system: System) -> tuple[Context, Scarcity]:
    """Make smtpd's part, in a process that has heard nothing yet."""
    context = system.context()
    context.resources.take(UNKNOWN)
    return context, Scarcity(context, system.settings)


def test_nothing_is_refused_before_the_governor_has_spoken(system: System) -> None:
    """And nothing is looked at for each MAIL."""
    context, found = scarcity(system)
    assert found.refusal(0) is None
    context.resources.take(ROOMY)
    assert (found.at_mail, found.stress, found.large) == (False, False, 0)


def test_postfix_rule_with_the_newest_number(system: System) -> None:
    """At 1.5 times message_size_limit, not above; and back."""
    context, found = scarcity(system)
    context.resources.take(replace(ROOMY, queue_free=1_500_000))
    assert (found.at_mail, found.refusal(0)) == (True, NO_SPACE)
    context.resources.take(replace(ROOMY, queue_free=1_500_001))
    assert (found.at_mail, found.refusal(1_000_000)) == (False, None)
    context.resources.take(replace(ROOMY, refuse_mail=True))
    assert found.refusal(1) == NO_SPACE


def test_large_messages_first(system: System) -> None:
    """A tenth of message_size_limit."""
    context, found = scarcity(system)
    context.resources.take(replace(ROOMY, small_messages=True))
    assert found.at_mail
    assert (found.refusal(0), found.refusal(100_000)) == (None, None)
    assert found.refusal(100_001) == TOO_LARGE_NOW


def test_without_a_limit_a_message_must_still_fit(tmp_path: Path) -> None:
    """message_size_limit = 0: what SIZE= promises is held against what is free."""
    for name in ("data/governor", "posthouse"):
        (tmp_path / name).mkdir(parents=True)
    system = System(tmp_path, {"message_size_limit": "0"})
    context, found = scarcity(system)
    context.resources.take(ROOMY)
    assert found.at_mail
    assert (found.refusal(100_000_000), found.refusal(100_000_001)) == (None, NO_SPACE)
    system.close()


def test_sessions_are_turned_away_with_a_reason(system: System) -> None:
    """421 4.3.2, and the connection is closed; half of them when it is only strained."""
    context, found = scarcity(system)
    context.resources.take(replace(ROOMY, fewer_sessions=True, stress=True))
    assert found.sessions == context.client_limit // 2
    assert found.stress
    context.resources.take(replace(ROOMY, refuse_sessions="out of memory"))
    assert found.sessions == 0
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, socket.create_connection(listener.getsockname()) as theirs:
        ours, _ = listener.accept()
        client = client_of(ours)
        assert client is not None
        found.turn_away(ours, client)
        said = theirs.recv(1000)
        assert said.startswith(b"421 4.3.2 ")
        assert b"out of memory" in said
        assert theirs.recv(1000) == b""
    system.run(asyncio.sleep(0.05))
    assert any("NOQUEUE: reject: CONNECT from" in line for line in system.log.lines)


def test_master_and_governor_may_both_ask_for_stress() -> None:
    """A full service, or a short machine."""
    resources, seen = Resources(), []
    resources.watch(lambda: seen.append(resources.stress))
    resources.set_master_stress(on=True)
    resources.set_master_stress(on=True)
    resources.take(replace(UNKNOWN, stress=True))
    resources.set_master_stress(on=False)
    resources.take(UNKNOWN)
    resources.take(UNKNOWN)
    assert seen == [True, True, True, False]


def test_a_reserve_is_made_and_given_up(tmp_path: Path) -> None:
    """What a process before left counts; what is about to be done is told before it is."""
    reserve = Reserve(str(tmp_path), 1 << 20, pytest.fail)
    assert not reserve.is_there
    reserve.hold()
    assert reserve.is_whole
    assert (tmp_path / "reserve/bytes").stat().st_size == 1 << 20
    again = Reserve(str(tmp_path), 1 << 20, pytest.fail)
    assert again.is_whole
    assert again.numbers()["reserve_bytes_held"] == 1 << 20
    again.intended = False
    assert again.numbers()["reserve_bytes_held"] == 0
    again.intended = None
    again.give_up()
    assert not again.is_there
    assert list((tmp_path / "reserve").iterdir()) == []


def test_a_reserve_that_cannot_be_made_is_told_once(tmp_path: Path) -> None:
    """And takes nothing."""
    told: list[str] = []
    reserve = Reserve(str(tmp_path), 1 << 20, told.append)
    (tmp_path / "reserve").write_text("in the way", encoding="ascii")
    reserve.hold()
    reserve.hold()
    assert len(told) == 1
    assert "cannot be made" in told[0]
    assert not reserve.is_there
    assert Reserve(str(tmp_path / "gone"), 0, pytest.fail).is_whole, "none is wanted"


class SpoolStandIn:
    """A spool file as cleanup has it: its descriptor is all that is looked at."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT)


def transaction(path: Path) -> Transaction:
    """Make one with a file."""
    found = Transaction(Envelope("id", "", 0.0), [], size_limit=0, replace_cr=False)
    found.spool = SpoolStandIn(path)  # type: ignore[assignment]
    return found


def test_what_is_not_on_the_disk_stays_within_a_budget(tmp_path: Path, system: System) -> None:
    """The largest first; nobody reads meanwhile; a file is qmgr's only when the thread has closed it."""
    paused: list[bool] = []
    write_out = WriteOut(system.loop, paused.append)
    write_out.budget = 100_000
    small, large = transaction(tmp_path / "small"), transaction(tmp_path / "large")
    write_out.wrote(small, SPOOL_FROM // 2)
    assert paused == []
    write_out.wrote(large, SPOOL_FROM * 2)
    assert paused == [True]
    system.run(write_out.settled(small))
    assert paused[0], "that the large one is on its way has nothing to do with it"
    system.run(write_out.settled(large))
    assert paused == [True, False]
    write_out.forget(small)
    write_out.forget(large)
    assert write_out._total == 0
    for each in (small, large):
        assert each.spool is not None
        os.close(each.spool.descriptor)


def test_an_error_of_an_early_sync_is_the_messages_end(
    tmp_path: Path, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says it once; the sync at the end would call it written."""

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    write_out = WriteOut(system.loop, lambda _stop: None)
    write_out.budget = 1000
    found = transaction(tmp_path / "x")
    write_out.wrote(found, 2000)
    system.run(write_out.settled(found))
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.dsn) == (451, "4.3.0")
    assert found.spool is not None
    os.close(found.spool.descriptor)


def test_mail_that_comes_faster_than_it_goes() -> None:
    """Within ten seconds, and clearly; another qmgr counts anew."""
    flow = Flow()
    for second in range(10):
        flow.add(second, 100 * second, 100 * second)
    assert not flow.grows(9.5)
    flow.add(10, 900 + FLOW_LEAST + 1, 900)
    assert flow.grows(10.5)
    assert not flow.grows(30.0), "nothing was heard since"
    flow.add(31, 5, 0)
    assert not flow.grows(31.5)


def test_reports_are_put_together() -> None:
    """Sums, and the worst of each; one hiccup of a loop is none."""
    reports = Reports()
    one, two = Subscriber("smtp"), Subscriber("qmgr")
    reports.subscribers |= {one, two}
    for delay in (0.0, 5.0, 0.0):
        reports.take(one, Report(delay, 10, 3, 90, 100, {}), 0.0)
    reports.take(two, Report(0.0, 20, 1, 10, 100, {"queue_arrived": 5.0}), 0.0)
    assert reports.memory == 30
    assert reports.sessions == 3
    assert reports.descriptors() == (0.9, "smtp", 90, 100)
    assert reports.delay()[0] == 0.0
    assert reports.queue == {"queue_arrived": 5.0}


def test_the_socket_of_the_governor(system: System) -> None:
    """A daemon subscribes and hears; `posthouse status` asks; what a daemon tells is in the picture."""
    system.start(DAEMON, "private/governor")
    path, resources = str(system.directory / "private/governor"), Resources()
    subscription = Subscription(system.loop, path, "qmgr", resources, OwnMemory())
    subscription.numbers = lambda: {"queue_arrived": 7.0}
    subscription.start()

    heard = asyncio.Event()
    resources.watch(heard.set)

    async def told() -> Picture:
        await heard.wait()
        resources.report()
        client: Client[State | Picture] = Client(system.loop, path, CLIENT, timeout_s=5.0)
        await asyncio.sleep(0.05)
        answer = await client.request(Ask(client.next_id()))
        client.close()
        assert isinstance(answer, Picture)
        return answer

    picture = system.run(told())
    subscription.close()
    assert picture.numbers["queue_arrived"] == 7.0
    assert picture.numbers["memory_of_posthouse"] > 0
    assert {"memory", "queue_space"} <= {each.key for each in picture.conditions}
    assert resources.state.queue_free > 0


def test_descriptors_are_counted() -> None:
    """As many as there are, or a few less where there are gaps."""
    before = open_descriptors()
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
    assert open_descriptors() >= before + 10
    for file in files:
        os.close(file)


def test_counting_descriptors_cannot_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon does not end because a number for the governor is missing."""

    def fail(descriptor: int) -> None:
        close(descriptor)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    close = os.close
    monkeypatch.setattr(os, "close", fail)
    assert open_descriptors() > 0


def test_what_was_told_is_remembered(tmp_path: Path) -> None:
    """Lines that are none of ours are left out."""
    path = tmp_path / "told"
    path.write_text("100 memory\nnonsense\n200 mailbox_space:/var/mail\n\n", encoding="ascii")
    assert _read(str(path)) == {"memory": 100.0, "mailbox_space:/var/mail": 200.0}
    assert _read(str(tmp_path / "none")) == {}
    assert EVERY_S == 3600
