"""The supervisor: start, reload and stop, with the test in the part of the orders process and of warm."""

import errno
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.ipc.orders_stream import format_failed, format_orders
from posthouse.ipc.orders_wire import Identity, LogKind, Orders, ServiceOrder
from posthouse.ipc.status_wire import STATUS, STOP, State, Status
from posthouse.ipc.warm_wire import ANSWER, REQUEST, Answer, Ask, Request, Said, close_all, receive_record
from posthouse.master import helpers, stop, supervisor
from posthouse.master.helpers import Launch
from posthouse.master.supervisor import Supervisor
from tests.unit.master.stage import NO_PID, WAIT_S, Stage, service, stage

__all__ = ["stage"]
OWNERS = (Identity(10, 10), Identity(20, 20), Identity(30, 30)) if os.geteuid() == 0 else ()


class Scene:
    """A supervisor whose helpers are the test."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stage = stage
        self.told: list[str] = []
        self.orders: list[int] = []  # pipes to write orders to
        self.warms: list[socket.socket] = []
        self.pids = NO_PID
        self.spawn_pid = NO_PID + 1000
        self.real_spawn = helpers.spawn
        monkeypatch.setattr(helpers, "spawn", self._spawn)
        launch = Launch(warm=("/usr/bin/python", "-I", "-m", "posthouse.warm"), early="early")
        self.one = Supervisor(stage.loop, stage.listeners, "/etc/postfix", launch, self.told.append)

    def _spawn(self, argv: tuple[str, ...], descriptor: int, _environment: object) -> int:
        if "posthouse.warm" in argv:
            self.warms.append(socket.socket(fileno=os.dup(descriptor)))
            self.warms[-1].settimeout(WAIT_S)
        else:
            self.orders.append(os.dup(descriptor))
        return self.spawn_pid

    def turn(self, duration_s: float = 0.0) -> None:
        """Let the supervisor work."""
        self.stage.turn(duration_s)

    def give(self, data: bytes) -> None:
        """Be the orders process: write, and end."""
        os.write(self.orders[-1], data)
        os.close(self.orders.pop())
        self.turn()

    def make(self, *services: ServiceOrder, **settings: object) -> Orders:
        """Make orders."""
        return self.stage.orders(*services, **{"log": LogKind.POSTLOG, "owners": OWNERS, **settings})

    def ready(self) -> None:
        """Be warm: import everything."""
        while self.ask().ask is not Ask.SEAL:
            pass
        self.say(Answer(Said.READY))

    def ask(self) -> Request:
        """Give what the last warm is asked."""
        record, descriptors = receive_record(self.warms[-1], REQUEST.size + 1)
        close_all(descriptors)
        return REQUEST.unpack(record)

    def say(self, answer: Answer) -> None:
        """Answer as the last warm."""
        self.warms[-1].send(ANSWER.pack(answer))
        self.turn()

    def start(self, *services: ServiceOrder) -> None:
        """Start with these services."""
        self.one.prepare()
        self.give(format_orders(self.make(*services)))
        self.ready()
        assert self.told == [""]

    def fork(self) -> socket.socket:
        """Be warm and a process: fork, and report that it is ready. Returns its status socket."""
        record, descriptors = receive_record(self.warms[-1], REQUEST.size + 1)
        status = socket.socket(fileno=descriptors.pop(1))
        close_all(descriptors)
        self.pids += 1
        self.say(Answer(Said.FORKED, REQUEST.unpack(record).number, self.pids))
        status.settimeout(WAIT_S)
        status.send(STATUS.pack(Status(State.READY, 0)))
        self.turn()
        return status

    def signal(self, number: signal.Signals) -> None:
        """Signal master, which is this process."""
        os.kill(os.getpid(), number)
        self.turn()

    def dies(self, pid: int) -> None:
        """Let a process be dead."""
        self.one._herd.died(pid, 0)
        if self.one._stop is not None:
            self.one._stop.review()

    @property
    def warm_is_gone(self) -> bool:
        """Whether the last warm has been dismissed."""
        while True:
            record, descriptors = receive_record(self.warms[-1], REQUEST.size + 1)
            close_all(descriptors)
            if not record:
                return True

    def close(self) -> None:
        """End it."""
        self.one._abandon()
        herd = self.one._herd
        if herd.warm is not None:
            herd.stopping = True
            for one in herd.services.values():
                one.stopping = True
            herd.warm.close()
        for process in herd.processes:
            process.status.close()
        for sock in self.warms:
            sock.close()
        for descriptor in self.orders:
            os.close(descriptor)


@pytest.fixture
def scene(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Set the scene."""
    made = Scene(stage, monkeypatch)
    yield made
    made.close()


def test_it_starts_when_orders_and_warm_are_there(scene: Scene) -> None:
    """Early imports at once, then those of the orders; the outcome is told when everything is imported."""
    scene.one.prepare()
    assert scene.ask().package == "early"
    scene.give(format_orders(scene.make(service())._replace(notes=("mind the gap",))))
    assert scene.told == []
    assert "daemon started -- version 3.11, configuration /etc/postfix" in scene.stage.log()
    assert "warning: mind the gap" in scene.stage.log()
    scene.ready()
    assert scene.told == [""]
    assert Path("pid/master.pid").read_text().split() == [str(os.getpid())]


@pytest.mark.parametrize("what", ["configuration", "warm", "address", "directory"])
def test_a_start_that_fails_says_why(scene: Scene, what: str) -> None:
    """One line for each line of the reason, exit status 1, and the helpers are dismissed."""
    scene.one.prepare()
    if what == "configuration":
        scene.give(format_failed("main.cf:1: no\nmain.cf:2: no"))
        assert scene.told == ["main.cf:1: no\nmain.cf:2: no"]
        assert "fatal: main.cf:2: no" in scene.stage.log()
    elif what == "warm":
        scene.say(Answer(Said.FAILED, reason="cannot import early"))
        assert scene.told == ["cannot import early"]
    elif what == "address":
        Path("private/local").write_text("a file")
        scene.give(format_orders(scene.make(service())))
        assert scene.told == ["bind private/local: Address already in use"]
    else:
        scene.give(format_orders(scene.make(service(), queue_directory="/nonexistent/queue")))
        assert "open lock file /nonexistent/queue" in scene.told[0]
    assert scene.one.exit_status == 1
    assert scene.warm_is_gone


def test_a_reload_replaces_warm_and_processes(scene: Scene) -> None:
    """Processes of the old orders are told to go, and the old warm too."""
    scene.start(service(prefork=True))
    status = scene.fork()
    first = scene.warms[-1]
    scene.signal(signal.SIGHUP)
    scene.signal(signal.SIGHUP)  # while one is under way: another follows it
    scene.give(format_orders(scene.make(service("new"), syslog_name="mail")))
    scene.ready()
    assert status.recv(10) == b"R"
    assert first.recv(1000) == b""
    assert "mail/master" in scene.stage.log()
    assert scene.one._herd.services.keys() == {("new", "unix")}
    assert len(scene.orders) == 1  # the next reload reads the configuration already
    status.close()


@pytest.mark.parametrize("what", ["configuration", "warm", "address", "place"])
def test_a_reload_that_fails_changes_nothing(scene: Scene, what: str) -> None:
    """The old configuration stays in force, and the log says why."""
    scene.start(service())
    scene.signal(signal.SIGHUP)
    if what == "configuration":
        scene.give(format_failed("main.cf:1: no"))
    elif what == "warm":
        scene.say(Answer(Said.FAILED, reason="cannot import local"))
    else:
        Path("private/taken").write_text("a file")
        place = {"data_directory": "/elsewhere"} if what == "place" else {}
        scene.give(format_orders(scene.make(service("taken"), **place)))
        scene.ready()
    assert "error: reload failed, the old configuration stays in force: " in scene.stage.log()
    assert scene.one._herd.services.keys() == {("local", "unix")}
    assert scene.warm_is_gone
    assert scene.one._herd.warm is not None
    assert not scene.one._herd.warm.closed


def test_a_dead_warm_is_replaced(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, then at growing intervals; while another is prepared already there is none besides."""
    monkeypatch.setattr(supervisor, "RETRY_S", 0.05)
    scene.start(service())
    scene.warms.pop().close()
    scene.turn()
    assert "warning: warm: it ended; starting another" in scene.stage.log()
    assert scene.ask().package == "local"
    scene.say(Answer(Said.FAILED, reason="no memory"))
    assert "stays in force: no memory" in scene.stage.log()
    scene.signal(signal.SIGHUP)
    count = len(scene.warms)
    scene.turn(0.2)  # the time of the next try comes, and a reload is under way
    assert len(scene.warms) == count
    scene.give(format_orders(scene.make(service())))
    scene.ready()
    assert scene.one._herd.warm is not None
    assert scene.one._herd.warm.is_ready


def test_no_room_for_another_warm_or_orders_process(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """fork answers EAGAIN while warm is to be replaced: master lives, says why, and tries again."""
    monkeypatch.setattr(supervisor, "RETRY_S", 0.05)
    scene.start(service())
    with monkeypatch.context() as full:
        full.setattr(helpers, "spawn", scene.real_spawn)
        full.setattr(os, "posix_spawn", _no_room)
        scene.warms.pop().close()
        scene.turn()
        assert "warning: starting /usr/bin/python -I -m posthouse.warm: no room for a process" in scene.stage.log()
        scene.signal(signal.SIGHUP)
        assert scene.stage.log().count("no room for a process") >= 3, "warm, then warm and orders"
        assert "stays in force: it ended" in scene.stage.log()
    scene.turn(0.2)
    scene.ready()
    assert scene.one._herd.warm is not None
    assert scene.one._herd.warm.is_ready


def _no_room(*_arguments: object, **_named: object) -> int:
    raise BlockingIOError(errno.EAGAIN, "no room for a process")


def test_a_stop_takes_one_phase_after_another(scene: Scene) -> None:
    """What takes mail goes first, qmgr after it; a phase begins when the one before is done."""
    scene.start(service("smtpd", prefork=True), service("qmgr", prefork=True, stop_phase=2))
    first, second = scene.fork(), scene.fork()
    scene.signal(signal.SIGTERM)
    assert "terminating on signal 15" in scene.stage.log()
    assert first.recv(10) == STOP
    second.setblocking(False)
    with pytest.raises(BlockingIOError):
        second.recv(10)
    scene.dies(scene.pids - 1)
    assert second.recv(10) == STOP
    scene.dies(scene.pids)
    assert not scene.stage.loop._running
    assert scene.one.exit_status == 0
    scene.one._stop.review()  # type: ignore[union-attr]
    for sock in (first, second):
        sock.close()


def test_a_stop_waits_for_nobody_for_ever(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each phase has its time; then everybody is terminated, then killed, and warm is killed at the end."""
    monkeypatch.setattr(stop, "PHASE_LIMITS_S", (0.0, 0.0))
    monkeypatch.setattr(stop, "TERMINATE_S", 0.0)
    scene.start(service(prefork=True))
    status = scene.fork()
    scene.signal(signal.SIGINT)
    scene.turn(0.1)
    assert status.recv(10) == STOP
    assert not scene.stage.loop._running
    scene.one.end()
    status.close()


def test_a_second_signal_ends_it_at_once(scene: Scene) -> None:
    """Stopping twice, or SIGQUIT: nobody is asked."""
    scene.start(service(prefork=True))
    status = scene.fork()
    scene.signal(signal.SIGTERM)
    scene.signal(signal.SIGHUP)  # no reload while it stops
    scene.one._prepare_warm()  # nor another warm
    assert len(scene.warms) == 1
    scene.signal(signal.SIGTERM)
    assert not scene.stage.loop._running
    scene.signal(signal.SIGQUIT)
    assert scene.one._herd.stopping
    status.close()


def test_a_stop_before_the_start_is_a_failure(scene: Scene) -> None:
    """Whoever waits for the outcome hears of it."""
    scene.one.prepare()
    scene.signal(signal.SIGHUP)  # nothing is there to reload
    scene.signal(signal.SIGTERM)
    assert scene.told == ["terminated by signal 15"]
    assert scene.one.exit_status == 1
    assert scene.warm_is_gone
    scene.one.end()


def test_the_dead_are_buried_and_the_end_waits_a_moment(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGCHLD: all of them; at the end what was killed has half a second to vanish, and no more."""
    monkeypatch.setattr(supervisor, "END_S", 0.1)
    scene.start(service())
    dead, living = os.fork(), 0
    if dead == 0:
        os._exit(0)
    os.waitid(os.P_PID, dead, os.WEXITED | os.WNOWAIT)
    scene.signal(signal.SIGTERM)
    scene.signal(signal.SIGCHLD)
    with pytest.raises(ChildProcessError):
        os.waitpid(dead, 0)
    reader, writer = os.pipe()
    living = os.fork()
    if living == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    scene.one.end()
    os.close(writer)
    os.waitpid(living, 0)
    os.close(reader)
