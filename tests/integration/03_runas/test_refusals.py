"""What runas refuses: identities, records, descriptors. The answers come from the real process."""

import os
import socket
from collections.abc import Iterator

import pytest

from posthouse.ipc.orders_wire import RunasRule
from posthouse.ipc.runas_wire import JOB, RULE, Answer, Job, JobKind, Verdict
from posthouse.ipc.warm_wire import send_record
from posthouse.runas import server
from tests.support.runas import DENIED, GROUP, USER, Runas

pytestmark = [pytest.mark.integration, pytest.mark.root]
MINIMUM = 1000


@pytest.fixture
def runas() -> Iterator[Runas]:
    """Run a runas whose client may deliver and run commands for users from MINIMUM on."""
    one = Runas(RunasRule(JobKind.MAILBOX | JobKind.COMMAND, MINIMUM))
    yield one
    one.close()


@pytest.mark.parametrize(
    ("uid", "gid", "kind"),
    [
        (0, GROUP, JobKind.MAILBOX),
        (USER, 0, JobKind.MAILBOX),
        (0, 0, JobKind.COMMAND),
        (USER + 1, GROUP, JobKind.MAILBOX),
        (USER, GROUP + 1, JobKind.MAILBOX),
        (USER, DENIED, JobKind.MAILBOX),
        (MINIMUM - 1, GROUP, JobKind.MAILBOX),
        (1, GROUP, JobKind.COMMAND),
        (USER, GROUP, JobKind.PIPE),
        (USER, GROUP, JobKind.SPAWN),
    ],
    ids=["root", "root's group", "both", "our user", "our group", "denied group", "minimum", "low", "pipe", "spawn"],
)
def test_whom_it_never_becomes(runas: Runas, uid: int, gid: int, kind: JobKind) -> None:
    """The verdict is told, nothing is started, and the descriptor is closed."""
    answer, sock = runas.ask(Job(kind, 5, uid, gid))
    assert answer == Answer(Verdict.REFUSED, 5)
    assert sock.recv(1) == b""
    assert runas.ask(Job(JobKind.MAILBOX, 6, MINIMUM, GROUP))[0].verdict is Verdict.STARTED


def test_groups_that_are_as_good_as_root_are_taken_away(runas: Runas) -> None:
    """Of the supplementary groups root's, ours and the denied ones are left out, the others stay."""
    _, sock = runas.ask(Job(JobKind.MAILBOX, 1, USER, GROUP, (0, DENIED, GROUP + 1, 50, 60)))
    assert "[50, 60]" in sock.recv(1000).decode()


GOOD = JOB.pack(Job(JobKind.MAILBOX, 1, USER, GROUP))


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"x",
        GOOD[:-1],
        GOOD + b"\0",
        b"PRx1" + GOOD[4:],
        GOOD[:4] + b"\0" + GOOD[5:],
        GOOD[:4] + b"\3" + GOOD[5:],
        GOOD[:9] + b"\xff\xff\xff\xff" + GOOD[13:],
        GOOD[:17] + b"\x11" + GOOD[18:],
        GOOD[:-1] + b"\1",
        RULE.pack(RunasRule(15, 1)),
        b"y" * 5000,
    ],
    ids=["end", "one", "short", "long", "magic", "no kind", "two kinds", "uid -1", "count", "unused", "a rule", "big"],
)
def test_a_record_that_is_no_job_cuts_its_client_off(runas: Runas, record: bytes) -> None:
    """Garbage, a wrong size, a job of no or two kinds, -1, an impossible count; other clients are served on."""
    other = runas.connect(RunasRule(JobKind.MAILBOX, 1))
    send_record(other, record, [0])
    assert other.recv(100) == b""
    assert runas.ask(Job(JobKind.MAILBOX, 1, USER, GROUP))[0].verdict is Verdict.STARTED


@pytest.mark.parametrize("count", [0, 2])
def test_a_job_comes_with_one_descriptor(runas: Runas, count: int) -> None:
    """None is nothing to work on; two are a trick."""
    other = runas.connect(RunasRule(JobKind.MAILBOX, 1))
    send_record(other, GOOD, [0] * count)
    assert other.recv(100) == b""


def test_only_master_brings_clients(runas: Runas) -> None:
    """A broken record on the control socket ends it; the clients that are there are served on."""
    runas.control.send(b"garbage")
    assert runas.control.recv(10) == b""
    assert runas.ask(Job(JobKind.MAILBOX, 1, USER, GROUP))[0].verdict is Verdict.STARTED


def test_a_client_that_does_not_read_is_cut_off(runas: Runas) -> None:
    """Its answers fill its socket; runas waits for nobody."""
    other = runas.connect(RunasRule(JobKind.MAILBOX, 1))
    refused = JOB.pack(Job(JobKind.MAILBOX, 1, 0, 0))
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        _send_for_ever(other, refused)
    assert runas.ask(Job(JobKind.MAILBOX, 1, USER, GROUP))[0].verdict is Verdict.STARTED


def _send_for_ever(sock: socket.socket, record: bytes) -> None:
    while True:
        send_record(sock, record, [0])


def test_without_limits_it_does_not_begin() -> None:
    """master is gone before it said whom never to become: the process ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        server.serve_clients(theirs.detach(), lambda *_: None)
    ours.close()
    theirs.close()
    assert os.waitpid(pid, 0)[1] == 0


def test_when_nothing_can_be_forked_it_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job is asked for again later."""
    real, calls = os.fork, []

    def fork() -> int:
        calls.append(1)
        if len(calls) == 1:
            return real()
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    one = Runas(RunasRule(15, 1))
    assert one.ask(Job(JobKind.MAILBOX, 3, USER, GROUP))[0] == Answer(Verdict.BUSY, 3)
    one.close()


@pytest.mark.parametrize("call", ["setgroups", "setresgid", "setresuid", "getresuid", "getresgid"])
def test_a_child_that_cannot_become_the_user_does_nothing(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Whichever step fails or does not do what it says: nothing is served, the descriptor is closed."""

    def fail(*_: object) -> object:
        if call.startswith("get"):
            return (0, 0, 0)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, call, fail)
    one = Runas(RunasRule(15, 1))
    answer, sock = one.ask(Job(JobKind.MAILBOX, 3, USER, GROUP))
    assert answer.verdict is Verdict.STARTED
    assert sock.recv(100) == b""
    one.close()
