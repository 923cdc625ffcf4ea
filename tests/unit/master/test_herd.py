"""The herd: what it asks of warm, and what it does when processes report, fail and die."""

import os
import signal
import socket
import subprocess

import pytest

from posthouse.ipc.orders_wire import Address, Family, Identity, RunasRule
from posthouse.ipc.runas_wire import LIMITS, RULE, Limits
from posthouse.ipc.status_wire import RETIRE, STRESS_OFF, STRESS_ON, State
from posthouse.ipc.warm_wire import Answer, Ask, Said, close_all, receive_record
from posthouse.master import herd
from posthouse.master.service import Process
from tests.unit.master.stage import NO_PID, Stage, service, stage

__all__ = ["stage"]
OWNERS = (Identity(10, 10, (11,)), Identity(20, 20), Identity(30, 30))
EXITED, FAILED = 0, 3 << 8  # wait statuses


def _only(stage: Stage) -> Process:
    (process,) = stage.herd.processes
    return process


def test_a_process_is_asked_for_with_its_settings_and_sockets(stage: Stage) -> None:
    """FORK carries the settings, the status socket and the listening sockets, and as root whose rights it gets."""
    stage.follow(service(prefork=True, settings=b"abc", chroot=True, root_files=True, clients=7), owners=OWNERS)
    stage.begin()
    request, descriptors = stage.far.asked()
    assert (request.ask, request.package, request.become, request.client_limit) == (Ask.FORK, "local", True, 7)
    assert (request.uid, request.gid, request.groups, request.chroot, request.root_files) == (10, 10, (11,), True, True)
    assert len(descriptors) == 3
    assert os.pread(descriptors[0], 10, 0) == b"abc"
    close_all(descriptors)


def test_a_fork_that_fails_is_logged_and_tried_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warm says why; the service waits for fork_delay, and then another process is asked for."""
    monkeypatch.setattr(herd, "FORK_DELAY_S", 0.0)
    stage.follow(service(prefork=True))
    stage.begin()
    request, descriptors = stage.far.asked()
    close_all(descriptors)
    stage.far.says(Answer(Said.FAILED, request.number, reason="fork: no memory"))
    assert "local: fork: no memory" in stage.log()
    assert stage.herd.services["local", "unix"].throttled
    assert os.path.isdir("pid/throttled.local"), "what governor(8) looks for"
    stage.turn()
    assert not os.path.exists("pid/throttled.local")
    again, descriptors = stage.far.asked()
    close_all(descriptors)
    assert again.number == request.number + 1


def test_a_death_before_the_answer_is_remembered(stage: Stage) -> None:
    """The news of a death can overtake warm's answer: the process is gone all the same, and its successor comes."""
    stage.follow(service(prefork=True))
    stage.begin()
    stage.herd.died(NO_PID, EXITED)
    request, status = stage.fork(NO_PID)
    assert "bad command startup" in stage.log()
    assert not stage.herd.processes
    status.close()
    stage.herd.died(NO_PID + 1, EXITED)
    assert request.number == 1


def test_a_process_that_breaks_its_rules_is_named_as_that(stage: Stage) -> None:
    """SIGSYS means a system call that is not allowed; a process that lived for long is replaced at once."""
    stage.follow(service(prefork=True))
    stage.begin()
    _, status = stage.fork(NO_PID)
    stage.report(status, State.READY)
    _only(stage).started -= 100
    status.close()
    stage.turn()  # the end of its socket comes before the news of its death
    stage.herd.died(NO_PID, signal.SIGSYS)
    assert f"local pid {NO_PID} killed by signal {int(signal.SIGSYS)} (a system call" in stage.log()
    assert stage.far.asked()[0].number == 2


def test_a_process_that_may_go_again_is_told_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """RETIRE once; when the only process of its kind stays, it is killed after a while."""
    monkeypatch.setattr(herd, "SOLITARY_LEAVE_S", 0.0)
    stage.follow(service(prefork=True, limit=1))
    stage.begin()
    child = subprocess.Popen(["sleep", "60"])
    _, status = stage.fork(child.pid)
    for _ in range(2):
        stage.herd.dismiss(_only(stage))
    assert status.recv(10) == RETIRE
    stage.turn()
    assert child.wait() == -signal.SIGKILL
    status.setblocking(False)
    with pytest.raises(BlockingIOError):
        status.recv(10)
    process = _only(stage)
    stage.herd.died(child.pid, signal.SIGKILL)
    stage.herd._kill(process, signal.SIGKILL)  # its number may be another's now
    status.close()


def test_one_that_listens_no_more_is_terminated(stage: Stage) -> None:
    """A process that has closed its socket gets SIGTERM; one that is gone altogether is nobody to signal."""
    stage.follow(service(prefork=True))
    stage.begin()
    child = subprocess.Popen(["sleep", "60"])
    _, status = stage.fork(child.pid)
    status.close()
    stage.herd.dismiss(_only(stage))
    assert child.wait() == -signal.SIGTERM
    stage.herd.kill_all(signal.SIGTERM)


def test_a_full_service_of_strangers_has_stress(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """All processes full: two warnings, the processes use other settings for a while, and a new one is told so too."""
    monkeypatch.setattr(herd, "STRESS_S", 2.0)
    stage.follow(service(prefork=True, exposed=True, limit=9))
    stage.begin()
    _, status = stage.fork(NO_PID)
    stage.report(status, State.FULL)
    assert status.recv(10) == STRESS_ON
    assert 'service "local" has reached its process limit "9": new clients may experience' in stage.log()
    stage.herd.died(NO_PID, EXITED)
    _, second = stage.fork(NO_PID + 1)
    stage.report(second, State.READY)
    assert second.recv(10) == STRESS_ON
    stage.turn(2.1)
    assert second.recv(10) == STRESS_OFF
    status.close()
    second.close()


def test_wakeup_knocks_at_unix_sockets_now_and_again(stage: Stage) -> None:
    """The trigger is one octet; with "?" only a service that was used gets it, and nobody after the end."""
    both = (Address(Family.UNIX_DATAGRAM, path="private/d"), Address(Family.UNIX, path="private/w"))
    stage.follow(service("w", wakeup_s=1000, addresses=both), service("unused", wakeup_s=1000, wakeup_if_used=True))
    stage.begin()
    listener = stage.herd.services["w", "unix"].sockets[1]
    with listener.accept()[0] as knock:
        assert knock.recv(10) == b"W"
    with pytest.raises(BlockingIOError):
        stage.herd.services["unused", "unix"].sockets[0].accept()
    one = stage.herd.services["w", "unix"]
    one.order = one.order._replace(wakeup_s=0)
    stage.herd._wake(one)
    with pytest.raises(BlockingIOError):
        listener.accept()
    one.order = one.order._replace(wakeup_s=1000)
    stage.listeners.keep_only(set())
    stage.herd._wake(one)  # nobody listens: nothing is waited for
    one.stopping = True
    stage.herd._wake(one)


RULES = RunasRule(3, 1)


def _runas(stage: Stage) -> socket.socket:
    """Start a service that may ask runas; returns runas's control socket."""
    stage.follow(service(prefork=True, runas=RULES), owners=OWNERS, denied_groups=(6,))
    stage.begin()
    request, (control,) = stage.far.asked()
    assert request.ask is Ask.RUNAS
    stage.far.says(Answer(Said.FORKED, request.number, NO_PID + 7))
    return socket.socket(fileno=control)


def test_runas_starts_with_the_first_that_may_ask(stage: Stage) -> None:
    """It is told whom it never becomes, then each client with its rule; the process gets a socket for it."""
    with _runas(stage) as control:
        record, _ = receive_record(control, LIMITS.size + 1)
        limits = LIMITS.unpack(record)
        assert [set(each) for each in limits] == [{10, 20, 30}, {10, 20, 30}, {6}]
        assert isinstance(limits, Limits)
        record, client = receive_record(control, RULE.size + 1)
        assert RULE.unpack(record) == RULES
        close_all(client)
        request, descriptors = stage.far.asked()
        assert request.runas_socket
        assert len(descriptors) == 4
        close_all(descriptors)


def test_when_runas_dies_those_that_asked_it_are_replaced(stage: Stage) -> None:
    """Their sockets lead nowhere; services that never ask it are left alone."""
    stage.follow(service(prefork=True, runas=RULES), service("other", prefork=True), owners=OWNERS)
    stage.begin()
    requests = []
    for number in range(3):
        request, descriptors = stage.far.asked()
        requests.append(request.ask)
        close_all(descriptors)
        stage.far.says(Answer(Said.FORKED, request.number, NO_PID + number))
    assert requests == [Ask.RUNAS, Ask.FORK, Ask.FORK]
    stage.herd.died(NO_PID, EXITED)
    assert "runas died" in stage.log()
    told = sorted((process.service.order.name, process.asked_to_go) for process in stage.herd.processes)
    assert told == [("local", False), ("local", True), ("other", False)]
    assert stage.far.asked()[0].ask is Ask.RUNAS
    stage.herd.stopping = True
    stage.herd.runas.pid = NO_PID + 9
    stage.herd.died(NO_PID + 9, EXITED)
    assert stage.log().count("runas died") == 1


def test_without_runas_a_process_is_started_all_the_same(stage: Stage) -> None:
    """runas cannot be forked, or has died unnoticed: the process gets a socket that is closed, and says so itself."""
    control = _runas(stage)
    close_all(stage.far.asked()[1])
    control.close()
    (leads_nowhere,) = stage.herd.runas.client(RULES)
    with socket.socket(fileno=leads_nowhere) as sock:
        assert sock.recv(10) == b""
    stage.far.socket.close()  # warm is gone as well: asking fails at once
    (leads_nowhere,) = stage.herd.runas.client(RULES)
    os.close(leads_nowhere)
    assert stage.herd.runas.pid == 0


def test_a_process_that_sends_garbage_is_not_heard_any_more(stage: Stage) -> None:
    """Its socket is closed: it takes that for the end of master, and goes."""
    stage.follow(service(prefork=True))
    stage.begin()
    _, status = stage.fork(NO_PID)
    status.send(b"garbage")
    stage.turn()
    assert status.recv(10) == b""
    status.close()
    stage.herd.died(NO_PID, FAILED)
    assert f"local pid {NO_PID} exit status 3" in stage.log()


def test_a_client_at_the_socket_starts_a_process(stage: Stage) -> None:
    """While nobody can take work, master watches; when somebody can, it does not."""
    stage.follow(service())
    stage.begin()
    stage.herd.tend(stage.herd.services["local", "unix"])  # it watches already
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("private/local")
        stage.turn()
    assert not stage.herd.services["local", "unix"].watching
    close_all(stage.far.asked()[1])
    stage.follow(service("local"), service("new"))
    assert stage.herd.services.keys() == {("local", "unix"), ("new", "unix")}
    stage.follow(service("new"))
    assert stage.herd.services.keys() == {("new", "unix")}
