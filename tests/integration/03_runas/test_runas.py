"""runas with real processes: its children are somebody else for good, before anything else happens."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.ipc.orders_wire import RunasRule
from posthouse.ipc.runas_wire import Answer, Job, JobKind, Verdict
from tests.support.runas import GROUP, USER, Runas

pytestmark = [pytest.mark.integration, pytest.mark.root]


@pytest.fixture
def runas() -> Iterator[Runas]:
    """Run a runas whose client may do everything for everybody."""
    one = Runas(RunasRule(15, 1))
    yield one
    one.close()


def test_the_child_is_the_user_for_good(runas: Runas) -> None:
    """All ids are the user's; denied and own groups are taken away; nothing but the job's socket is open."""
    answer, sock = runas.ask(Job(JobKind.MAILBOX, 9, USER, GROUP, (GROUP + 5, 77, GROUP + 1)))
    assert (answer.verdict, answer.number) == (Verdict.STARTED, 9)
    ids, gids = (USER,) * 3, (GROUP,) * 3
    # Standard input, output and error, the socket, and the directory that is being listed.
    assert sock.recv(1000).decode() == f"{ids} {gids} {[GROUP + 5]} 1 5"
    status = Path(f"/proc/{answer.pid}/status").read_text()
    assert "CapEff:\t0000000000000000" in status


def test_refusals_start_nothing(runas: Runas) -> None:
    """Root and our own users: the verdict, and the socket is closed."""
    for uid in (0, USER + 1):
        answer, sock = runas.ask(Job(JobKind.MAILBOX, 1, uid, GROUP))
        assert answer == Answer(Verdict.REFUSED, 1)
        assert sock.recv(1) == b""


def test_a_client_that_breaks_the_protocol_is_cut_off(runas: Runas) -> None:
    """A wrong record ends that client, and no other."""
    other = runas.connect(RunasRule(15, 1))
    other.send(b"hello")
    assert other.recv(1) == b""
    assert runas.ask(Job(JobKind.COMMAND, 2, USER, GROUP))[0].verdict is Verdict.STARTED


def test_a_second_client_takes_over_nothing(runas: Runas) -> None:
    """Each client is bound by its own rule."""
    runas.client.close()
    runas.client = runas.connect(RunasRule(JobKind.PIPE, 1, 900, 900))
    assert runas.ask(Job(JobKind.MAILBOX, 1, USER, GROUP))[0].verdict is Verdict.REFUSED
    assert runas.ask(Job(JobKind.PIPE, 1, 900, 900))[0].verdict is Verdict.STARTED


def test_it_outlives_master_while_it_has_clients(runas: Runas) -> None:
    """After a reload old daemons still finish their deliveries."""
    runas.control.close()
    time.sleep(0.1)
    assert runas.ask(Job(JobKind.MAILBOX, 1, USER, GROUP))[0].verdict is Verdict.STARTED


def test_there_is_a_limit(runas: Runas) -> None:
    """Children are bounded; a child that ends makes room."""
    kept = [runas.ask(Job(JobKind.MAILBOX, 1, USER, GROUP)) for _ in range(200)]
    assert {answer.verdict for answer, _ in kept} == {Verdict.STARTED}
    assert runas.ask(Job(JobKind.MAILBOX, 1, USER, GROUP))[0].verdict is Verdict.BUSY
    kept.pop()[1].close()
    deadline = time.monotonic() + 10
    while runas.ask(Job(JobKind.MAILBOX, 1, USER, GROUP))[0].verdict is not Verdict.STARTED:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for _, sock in kept:
        sock.close()
