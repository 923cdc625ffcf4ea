"""Each place that enters a domain names the right one, and ends when that is refused; where it stands strace shows.

A file stands for the kernel's, by way of the default of enter_domain's second argument, which forks inherit.
"""

import fcntl
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from posthouse.commands.orders import main as orders
from posthouse.commands.orders.begin import Files
from posthouse.commands.orders.main import parse_configuration
from posthouse.commands.policies import roots
from posthouse.commands.policies.apparmor import apparmor
from posthouse.commands.policies.system import daemons, default_system, describe
from posthouse.config.settings import Identity, Settings
from posthouse.delivery import as_user
from posthouse.ipc.runas_wire import JobKind
from posthouse.ipc.warm_wire import Ask, Request
from posthouse.runas import server
from posthouse.skeleton import child
from posthouse.skeleton.confined import Handed, denial
from posthouse.skeleton.daemon import Daemon
from posthouse.util.process import enter_domain
from posthouse.warm import image
from posthouse.warm.image import Names

assert server  # imported, as warm has it
# metrics runs only where master.cf has a line for it.
METRICS = Files("/etc/postfix", None, b"127.0.0.1:9154 inet n - n - - metrics\n")
PROFILES = apparmor(default_system()) + apparmor(describe(parse_configuration(METRICS)))
PARENT = "posthouse-of-the-parent (enforce)\n"
FAILED = 77


@pytest.fixture
def current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put every process into a domain of ours that it may leave; give the file that says for which."""
    path = tmp_path / "current"
    path.write_text(PARENT)
    monkeypatch.setattr(enter_domain, "__defaults__", (str(path),))
    return path


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put every process into a domain of ours that it may not leave."""
    descriptor = os.memfd_create("current", os.MFD_ALLOW_SEALING)
    os.write(descriptor, PARENT.encode())
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    monkeypatch.setattr(enter_domain, "__defaults__", (f"/proc/{os.getpid()}/fd/{descriptor}",))


def in_child(work: Callable[[], object]) -> int:
    """Do it in a process of its own, which says nothing; its exit status, FAILED when something was raised."""
    pid = os.fork()
    if pid == 0:
        code = FAILED
        try:
            null = os.open(os.devnull, os.O_RDWR)
            for number in (1, 2, 3):
                os.dup2(null, number)
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def lonely() -> int:
    """Give a descriptor whose other end is closed already: who serves it ends in order."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    theirs.setblocking(True)
    return theirs.detach()


PARTS: dict[str, Callable[[], object]] = {
    "warm": lambda: image.run(lonely(), Names()),
    "runas": lambda: image._call(Request(Ask.RUNAS), [lonely()], Names()),
    "orders": lambda: orders.main(["-c", "/nonexistent"]),
    "mailbox": lambda: as_user.serve(lonely(), JobKind.MAILBOX),
    "command": lambda: as_user.serve(lonely(), JobKind.COMMAND),
}


def begin(daemon: Daemon) -> None:
    """Be a daemon, as far as one comes without the sockets of master."""
    child._serve(
        daemon,
        Settings({"confinement": "off"}, Identity("", "", "/"), {}, {}),
        Handed(-1, [], 0, -1, chroot=False, root_files=False),
    )


@pytest.mark.parametrize("name", PARTS)
def test_a_part_enters_its_domain(current: Path, name: str) -> None:
    """It goes on afterwards, and ends in order."""
    assert in_child(PARTS[name]) == 0
    assert current.read_text() == f"changeprofile posthouse-{name}"


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_is_refused_its_domain_ends(name: str) -> None:
    """It has its parent's rights, which are more."""
    assert in_child(PARTS[name]) == FAILED


@pytest.mark.parametrize("daemon", daemons(), ids=lambda daemon: daemon.name)
def test_a_daemon_enters_its_domain(current: Path, daemon: Daemon) -> None:
    """By the name that its profile has."""
    assert in_child(lambda: begin(daemon)) == FAILED  # for want of master
    assert current.read_text() == f"changeprofile posthouse-{daemon.name}"
    assert f"profile posthouse-{daemon.name} " in PROFILES


@pytest.mark.usefixtures("refused")
def test_a_daemon_that_is_refused_its_domain_ends() -> None:
    """What is refused is said by the skeleton, as every refusal."""

    def work() -> None:
        with pytest.raises(PermissionError) as caught:
            begin(daemons()[0])
        assert "enter_domain" in str(denial(caught.value))

    assert in_child(work) == 0


def test_every_part_has_a_profile() -> None:
    """Of the names above, and of no other."""
    assert {part.name for part in roots.PARTS} == {"master", *PARTS}
    assert [name for name in PARTS if f"profile posthouse-{name} " not in PROFILES] == []


def test_a_thread_of_an_agent_stays_where_it_is(current: Path) -> None:
    """Without root the agent does itself what runas's children would do."""
    thread = threading.Thread(target=as_user.serve, args=(lonely(), JobKind.MAILBOX))
    thread.start()
    thread.join()
    assert current.read_text() == PARENT
