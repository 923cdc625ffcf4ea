"""warm with real forks: what it imports, what it answers, and what its children are."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from posthouse.ipc.warm_wire import ANSWER, REQUEST, Answer, Ask, Request, Said, send_record
from posthouse.master.helpers import spawn
from posthouse.warm import image
from posthouse.warm.image import Names, run

USER, GROUP = 4321, 4322
# A daemon, the child's entry point, runas and what it serves, as four modules of next to nothing.
MODULES = {
    "warm_daemons/__init__.py": "",
    "warm_daemons/good/__init__.py": "",
    "warm_daemons/good/daemon.py": "import types\nDAEMON = types.SimpleNamespace(load=lambda: None)\n",
    "warm_daemons/bad/__init__.py": "",
    "warm_daemons/bad/daemon.py": "raise RuntimeError('no\\tgood')\n",
    "warm_child.py": """
import os, socket
from typing import NamedTuple
class Handed(NamedTuple):
    status_fd: int
    listen_fds: list
    client_limit: int
    runas_fd: int
    chroot: bool
    root_files: bool
def run_child(module, settings, handed):
    status = {line.split(':')[0]: line.split(':')[1].strip() for line in open('/proc/self/status') if ':' in line}
    open_files = [int(name) for name in os.listdir('/proc/self/fd')]
    said = [module, os.getresuid(), os.getresgid(), sorted(os.getgroups()), status['Name'], status['CapEff'],
            status['CapPrm'], status['CapBnd'], handed.client_limit, handed.chroot, handed.root_files,
            len(handed.listen_fds), handed.runas_fd >= 0, len(open_files)]
    with socket.socket(fileno=handed.status_fd) as sock:
        sock.send(repr(said).encode())
    if handed.client_limit == 666:
        raise RuntimeError('a bug')
    os._exit(0)
""",
    "warm_runas.py": """
import os
def serve_clients(descriptor, serve):
    os.write(descriptor, serve().encode())
    os._exit(0)
""",
    "warm_as_user.py": "def serve():\n    return 'at your service'\n",
}
NAMES = Names("warm_daemons", "warm_child", "warm_runas", "warm_as_user")


class Warm:
    """A warm process, forked from this one."""

    def __init__(self) -> None:
        self.ended = False
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(20)
        self.errors, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.dup2(writer, 2)
            sys.stderr = open(2, "w", buffering=1)  # noqa: SIM115 - the tests' runner has put something else there
            self.control.close()
            run(theirs.detach(), NAMES)
        os.close(writer)
        theirs.close()

    def ask(self, request: Request, descriptors: list[int]) -> Answer:
        """Ask, and wait for the answer."""
        send_record(self.control, REQUEST.pack(request), descriptors)
        return self.answer()

    def answer(self) -> Answer:
        """Wait for an answer."""
        return ANSWER.unpack(self.control.recv(ANSWER.size + 1))

    def load(self, *packages: str) -> Answer:
        """Let it import these."""
        for package in packages:
            self.control.send(REQUEST.pack(Request(Ask.IMPORT, package=package)))
        self.control.send(REQUEST.pack(Request(Ask.SEAL)))
        return self.answer()

    def end(self) -> int:
        """Close the socket; returns the exit status."""
        self.ended = True
        self.control.close()
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.errors)
        return status


@pytest.fixture
def warm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Warm]]:
    """Return a function that starts a warm process."""
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[Warm] = []

    def make() -> Warm:
        made.append(Warm())
        return made[-1]

    yield make
    for one in made:
        if not one.ended:
            os.kill(one.pid, signal.SIGKILL)
            one.end()


def _fork(warm: Warm, request: Request, listeners: int = 1, runas: int = 0) -> tuple[list[object], int]:
    """Ask for a daemon; give what it says of itself, and its number."""
    settings = os.memfd_create("settings")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, socket.socket() as listener:
        descriptors = [settings, theirs.fileno(), *[listener.fileno()] * (runas + listeners)]
        answer = warm.ask(request, descriptors)
        assert (answer.said, answer.number) == (Said.FORKED, request.number)
        theirs.close()
        ours.settimeout(20)
        said = ours.recv(10_000).decode()
    os.close(settings)
    return eval(said), answer.pid


GOOD = Request(Ask.FORK, 7, "good", client_limit=3)


def test_a_child_has_only_what_it_was_given(warm: Callable[[], Warm]) -> None:
    """Without a change of user it stays who warm is; its descriptors are those of the request."""
    one = warm()
    assert one.load("good") == Answer(Said.READY)
    said, _ = _fork(one, GOOD._replace(runas_socket=True), listeners=2, runas=1)
    assert said[:2] == ["warm_daemons.good.daemon", os.getresuid()]
    assert (said[4], said[8:13]) == ("good", [3, False, False, 2, True])
    # Standard input, output and error, settings, status, runas, two listeners, and the listing itself.
    assert said[13] == 9
    assert one.end() == 0


@pytest.mark.root
@pytest.mark.parametrize("chroot", [False, True])
@pytest.mark.parametrize("root_files", [False, True])
def test_a_child_is_its_user_for_good(warm: Callable[[], Warm], *, chroot: bool, root_files: bool) -> None:
    """Ids, groups and capabilities are the user's; a right stays where the request says so, and no way to gain any."""
    one = warm()
    one.load("good")
    request = GOOD._replace(become=True, uid=USER, gid=GROUP, groups=(GROUP + 5,), chroot=chroot, root_files=root_files)
    said, _ = _fork(one, request)
    assert said[1:4] == [(USER,) * 3, (GROUP,) * 3, [GROUP + 5]]
    kept = (1 << 18) * chroot | (1 << 2) * root_files
    assert [int(str(mask), 16) for mask in said[5:8]] == [kept, kept, 0]
    assert one.end() == 0


def test_runas_is_forked_like_a_daemon(warm: Callable[[], Warm]) -> None:
    """It gets its control socket, and serves with what was imported for it."""
    one = warm()
    one.load()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert one.ask(Request(Ask.RUNAS, 9), [theirs.fileno()]).number == 9
        assert ours.recv(100) == b"at your service"
    assert one.end() == 0


@pytest.mark.parametrize("package", ["bad", "absent"])
def test_what_cannot_be_imported_is_named(warm: Callable[[], Warm], package: str) -> None:
    """The module, the error and its place come back in harmless characters, and warm ends."""
    one = warm()
    answer = one.load("good", package)
    assert answer.said is Said.FAILED
    assert answer.reason.startswith(f"cannot import warm_daemons.{package}.daemon: ")
    assert one.end() == 1


def test_the_reason_is_not_lost_with_what_is_still_unread(warm: Callable[[], Warm]) -> None:
    """Many more names wait in its socket when an import fails: it ends only when master has had time to listen."""
    one = warm()
    for package in ("bad", *["good"] * 20):
        one.control.send(REQUEST.pack(Request(Ask.IMPORT, package=package)))
    time.sleep(0.3)
    assert one.answer().reason.startswith("cannot import warm_daemons.bad.daemon: RuntimeError: no?good")
    assert one.end() == 1


def test_it_ends_with_master(warm: Callable[[], Warm]) -> None:
    """Before it is sealed or after."""
    one = warm()
    assert one.end() == 0
    two = warm()
    two.load("good")
    assert two.end() == 0


def test_nonsense_ends_it(warm: Callable[[], Warm]) -> None:
    """A record that is none of master's, or comes with too much: there is no use in staying."""
    one = warm()
    one.load("good")
    one.control.send(b"garbage")
    assert one.control.recv(10) == b""
    assert b"warm: record of another size" in os.read(one.errors, 1000)
    assert one.end() == 0
    two = warm()
    two.load("good")
    two.control.send(b"x" * 10_000)
    assert two.control.recv(10) == b""
    assert b"warm: record or descriptors truncated" in os.read(two.errors, 1000)
    assert two.end() == 0


def test_a_bug_in_a_child_leaves_a_traceback_and_ends_nobody_else(warm: Callable[[], Warm]) -> None:
    """Nothing gets out of a child but its exit status."""
    one = warm()
    one.load("good")
    _, pid = _fork(one, GOOD._replace(client_limit=666))
    assert pid
    text = b""
    while b"RuntimeError: a bug" not in text:
        text += os.read(one.errors, 1000)
    assert _fork(one, GOOD)[0][8] == 3
    assert one.end() == 0


@pytest.mark.parametrize("which", [1, 2])
@pytest.mark.usefixtures("warm")
def test_a_fork_that_fails_is_answered(monkeypatch: pytest.MonkeyPatch, which: int) -> None:
    """The first or the second: master hears of it, and warm serves on."""
    real, calls = os.fork, []

    def fork() -> int:
        calls.append(1)
        if len(calls) == which:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return real()

    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.settimeout(20)
    pid = os.fork()
    if pid == 0:
        os.close(control.fileno())
        monkeypatch.setattr(os, "fork", fork)
        run(theirs.fileno(), NAMES)
    theirs.close()
    with control:
        control.send(REQUEST.pack(Request(Ask.SEAL)))
        assert ANSWER.unpack(control.recv(1000)).said is Said.READY
        send_record(control, REQUEST.pack(GOOD), [0, 1])
        answer = ANSWER.unpack(control.recv(1000))
        assert (answer.said, answer.number) == (Said.FAILED, 7)
        assert answer.reason.startswith("fork: ")
    assert os.waitpid(pid, 0)[1] == 0


def _dies_in(request: Request) -> int:
    pid = os.fork()
    if pid == 0:
        image._become(request)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.root
def test_a_child_that_cannot_give_root_up_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of user that did not happen, or a right that cannot be put down, is the end."""
    request = Request(Ask.FORK, become=True, uid=USER, gid=GROUP, chroot=True)
    assert _dies_in(request) == 0

    class Libc:
        """A C library whose capset refuses."""

        prctl = staticmethod(lambda *_: -1)
        capset = staticmethod(lambda *_: -1)

    monkeypatch.setattr(image, "_LIBC", Libc)
    assert _dies_in(request) == 71
    assert _dies_in(request._replace(chroot=False)) == 0


def test_signals_meant_for_master_do_not_end_it(warm: Callable[[], Warm]) -> None:
    """Ctrl-C on a terminal reaches all processes: warm leaves when master does."""
    one = warm()
    one.load("good")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(one.pid, number)
    assert _fork(one, GOOD)[0][8] == 3
    assert one.end() == 0
    assert "warm_daemons" not in sys.modules


def test_it_starts_as_master_starts_it() -> None:
    """By its module's name, with the control socket as descriptor 3; it ends when that is closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    kept = {name: text for name, text in os.environ.items() if name.startswith("COVERAGE_")}
    pid = spawn((sys.executable, "-I", "-m", "posthouse.warm"), theirs.fileno(), kept)
    theirs.close()
    ours.close()
    assert os.waitpid(pid, 0)[1] == 0
