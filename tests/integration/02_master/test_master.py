"""master, warm and the skeleton together, with daemons that do next to nothing: processes come, serve and go."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.net import free_port
from tests.unit.master.rig import FAKES, LIMIT_S, OWNERS, Client, Rig, wait_until

pytestmark = pytest.mark.integration
ECHO: dict[str, object] = {"name": "echo", "package": "echo"}
SINGLE: dict[str, object] = {"name": "single", "package": "single", "limit": 1, "prefork": True}
Start = Callable[..., Rig]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a rig with these services, and expects that to succeed."""
    rigs: list[Rig] = []

    def make(*services: dict[str, object], as_root: bool = False) -> Rig:
        rig = Rig(*services, as_root=as_root)
        rigs.append(rig)
        assert rig.start() == "ok"
        return rig

    yield make
    for rig in rigs:
        rig.close()


def test_a_process_starts_when_a_client_comes(start: Start) -> None:
    """No process without work; the first client gets one, the second the same."""
    rig = start(ECHO)
    assert rig.named("echo") == []
    first, second = rig.connect("echo"), rig.connect("echo")
    wait_until(lambda: rig.named("echo") == [first.pid], "not the process that serves")
    assert second.pid == first.pid
    assert first.echoes()


@pytest.mark.root
def test_as_root_each_daemon_is_its_owner_and_has_no_way_back(start: Start) -> None:
    """Inner, network and queue daemons run as three users, with no root id left and only their groups."""
    services = [{**ECHO, "name": owner.lower(), "owner": owner} for owner in ("INNER", "NETWORK", "QUEUE")]
    rig = start(*services, as_root=True)
    for service, (uid, gid) in zip(services, OWNERS, strict=True):
        client = rig.connect(str(service["name"]))
        assert client.uid == uid
        status = Path(f"/proc/{client.pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == [str(uid)] * 4
        assert fields["Gid"].split() == [str(gid)] * 4
        assert fields["Groups"].split() == []
        assert int(fields["CapEff"], 16) == 0


def test_a_daemon_has_no_descriptor_of_warm_or_master(start: Start) -> None:
    """Besides standard ones: its loop, status, listening socket and client, and nothing that leads to warm."""
    rig = start(ECHO)
    client = rig.connect("echo")
    links = []
    for entry in Path(f"/proc/{client.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(os.readlink(entry))
    sockets = [link for link in links if link.startswith("socket:")]
    control = [os.readlink(f"/proc/{rig.named('warm')[0]}/fd/3")]
    assert not set(sockets) & set(control)
    assert not [link for link in links if "memfd" in link]


def test_a_killed_process_is_replaced_within_two_seconds(start: Start) -> None:
    """kill -9 of a process that served: the next client is served at once, and the log says what happened."""
    rig = start(ECHO)
    pid = rig.connect("echo").pid
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    assert rig.connect("echo").pid != pid
    assert time.monotonic() - began < 2
    rig.wait_log(f"warning: process echo pid {pid} killed by signal 9")


def test_a_resident_process_is_always_there(start: Start) -> None:
    """A prefork service has its process before any client, and another one as soon as it is killed."""
    rig = start(SINGLE)
    wait_until(lambda: rig.named("single"), "no process at start")
    pid = rig.named("single")[0]
    client = rig.connect("single")
    assert client.pid == pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: rig.named("single") not in ([], [pid]), "no successor", 3)


def test_a_process_that_cannot_start_is_throttled(start: Start) -> None:
    """The second try comes after a second, the third after two more; others are not touched."""
    rig = start({"name": "bad", "package": "broken", "prefork": True}, ECHO)
    rig.wait_log("broken: bad command startup -- throttling")
    time.sleep(2.0)
    assert 1 <= rig.log().count("pid") <= 3
    assert rig.log().count("bad command startup") == 2
    assert rig.connect("echo").echoes()


def test_a_crash_under_a_client_is_no_reason_to_stay_away_long(start: Start) -> None:
    """A young process that fails is followed by another after a second."""
    rig = start(ECHO)
    client = rig.connect("echo")
    client.crash()
    began = time.monotonic()
    assert rig.connect("echo").pid != client.pid
    assert time.monotonic() - began < 4
    rig.wait_log(f"process echo pid {client.pid} exit status 3")


def test_clients_beyond_the_limit_wait_for_room(start: Start) -> None:
    """Two processes of one client each: the third client is served when one of the first two goes."""
    rig = start({**ECHO, "processes": 2, "clients": 1, "limit": 2})
    first, second = rig.connect("echo"), rig.connect("echo")
    assert first.pid != second.pid
    waiting = socket.socket(socket.AF_UNIX)
    waiting.connect(str(rig.queue / "private" / "echo"))
    waiting.settimeout(0.3)
    with pytest.raises(TimeoutError):
        waiting.recv(1)
    first.close()
    third = Client(waiting)
    rig.clients.append(third)
    assert third.pid == first.pid


def test_a_full_process_gets_help(start: Start) -> None:
    """When one process has no room left, the next client gets a second one, and there is never a third."""
    rig = start({**ECHO, "processes": 2, "clients": 8})
    for _ in range(8):
        rig.connect("echo")
    wait_until(lambda: len(rig.named("echo")) == 1, "another number of processes")
    for _ in range(8):
        rig.connect("echo")
    wait_until(lambda: len(rig.named("echo")) == 2, "another number of processes")


def test_wakeup_starts_the_service(start: Start) -> None:
    """The wakeup timer is a client like any other."""
    rig = start({**ECHO, "wakeup": 60})
    wait_until(lambda: rig.named("echo"), "not woken up")


def test_reload_replaces_processes_and_keeps_sessions(start: Start) -> None:
    """A session goes on through a reload; the next client meets the new configuration; the old process ends."""
    rig = start(ECHO)
    old = rig.connect("echo")
    rig.write({**ECHO, "greeting": "new"})
    rig.signal(signal.SIGHUP)
    rig.wait_log("reload -- version 3.11.0")
    new = rig.connect("echo")
    assert (new.greeting, old.greeting) == ("new", "hello")
    assert new.pid != old.pid
    assert old.echoes()
    wait_until(lambda: len(rig.named("warm")) == 1, "the other warm process stays")
    old.close()
    wait_until(lambda: rig.named("echo") == [new.pid], "the old process stays")


def test_no_connection_is_lost_in_reloads(start: Start) -> None:
    """Every client that connects while master reloads again and again is greeted."""
    port = free_port()
    rig = start({**ECHO, "name": str(port), "port": port, "processes": 2})
    until = time.monotonic() + 3
    at_last = until + 27  # a loaded machine
    pids: set[int] = set()
    next_reload = 0.0
    while time.monotonic() < until or (len(pids) < 3 and time.monotonic() < at_last):
        if time.monotonic() > next_reload:
            rig.signal(signal.SIGHUP)
            next_reload = time.monotonic() + 0.4
        client = rig.connect(str(port))
        assert client.echoes()
        pids.add(client.pid)
        client.close()
    assert len(pids) > 2


def test_the_only_process_is_followed_when_it_has_ended(start: Start) -> None:
    """Of a limit-1 service the successor never runs beside its predecessor."""
    rig = start(SINGLE)
    old = rig.connect("single")
    rig.signal(signal.SIGHUP)
    rig.wait_log("reload -- version")
    waiting = socket.socket(socket.AF_UNIX)
    waiting.connect(str(rig.queue / "private" / "single"))
    waiting.settimeout(0.3)
    with pytest.raises(TimeoutError):
        waiting.recv(1)
    assert rig.named("single") == [old.pid]
    old.close()
    new = Client(waiting)
    rig.clients.append(new)
    assert new.pid not in (0, old.pid)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"error": "/etc/postfix/main.cf:7: myhostname: wrong"}, "main.cf:7: myhostname: wrong"),
        ({"package": "not_there"}, "cannot import fake_daemons.not_there.daemon"),
        ({"port": 0, "taken": True}, "Address already in use"),
    ],
    ids=["configuration", "module", "port"],
)
def test_a_broken_reload_changes_nothing(start: Start, change: dict[str, object], says: str) -> None:
    """A wrong line, a module that cannot be imported, a port in use: logged, and the old system goes on."""
    rig = start(ECHO)
    before = rig.connect("echo")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        if "error" in change:
            rig.write(error=str(change["error"]))
        elif "taken" in change:
            rig.write(ECHO, {**ECHO, "name": "more", "port": other.getsockname()[1]})
        else:
            rig.write(ECHO, {**ECHO, "name": "more", **change})
        rig.signal(signal.SIGHUP)
        rig.wait_log(says)
    assert "reload failed, the old configuration stays in force" in rig.log()
    assert before.echoes()
    assert rig.connect("echo").pid == before.pid
    wait_until(lambda: len(rig.named("warm")) == 1, "the other warm process stays")


def test_reload_moves_a_port(start: Start) -> None:
    """A removed address is closed, a new one opened."""
    old, new = free_port(), free_port()
    rig = start({**ECHO, "name": str(old), "port": old})
    rig.connect(str(old))
    rig.write({**ECHO, "name": str(new), "port": new})
    rig.signal(signal.SIGHUP)
    rig.wait_log("reload -- version")
    assert rig.connect(str(new)).echoes()
    wait_until(lambda: _refused(old), "the old port still answers")


def _refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_second_instance_is_refused(start: Start) -> None:
    """The same directories cannot be served twice; the first one is not disturbed."""
    rig = start(ECHO)
    first, rig.process = rig.process, None
    outcome = rig.start()
    assert "already running" in outcome
    assert rig.wait_end() == 1
    assert first is not None
    assert f"process {first.pid}" in outcome
    rig.process = first
    assert rig.connect("echo").echoes()


def test_a_failed_start_says_why_and_leaves_nothing() -> None:
    """A broken configuration at start: the text comes back, exit status 1, no process stays."""
    rig = Rig(ECHO)
    try:
        rig.write(error="/etc/postfix/master.cf:3: bad field count")
        assert rig.start() == "/etc/postfix/master.cf:3: bad field count"
        assert rig.wait_end() == 1
    finally:
        rig.close()


def test_stop_ends_everything(start: Start) -> None:
    """SIGTERM: exit status 0 within the time postfix stop waits, also with an idle client; nothing is left."""
    rig = start(ECHO, SINGLE)
    client = rig.connect("echo")
    wait_until(lambda: rig.named("single"), "not there")
    pids = [client.pid, *rig.named("single"), *rig.named("warm")]
    rig.signal(signal.SIGTERM)
    began = time.monotonic()
    assert rig.wait_end() == 0
    assert time.monotonic() - began < 5
    assert "terminating on signal 15" in rig.log()
    wait_until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()], "processes are left")


def test_abort_waits_for_nobody(start: Start) -> None:
    """SIGQUIT: everything is killed at once."""
    rig = start(ECHO)
    client = rig.connect("echo")
    began = time.monotonic()
    rig.signal(signal.SIGQUIT)
    rig.wait_end()
    assert time.monotonic() - began < 1
    wait_until(lambda: not Path(f"/proc/{client.pid}").exists(), "the daemon survived")


def test_a_killed_warm_is_replaced(start: Start) -> None:
    """Running processes do not notice; the next fork comes from the new one."""
    rig = start(ECHO)
    client = rig.connect("echo")
    warm = rig.named("warm")[0]
    os.kill(warm, signal.SIGKILL)
    rig.wait_log("warm: it ended; starting another")
    assert client.echoes()
    os.kill(client.pid, signal.SIGKILL)
    assert rig.connect("echo").echoes()


def test_daemons_end_when_master_is_killed(start: Start) -> None:
    """kill -9 of master: daemons finish their sessions and exit; a new master can start."""
    rig = start(ECHO, SINGLE)
    client = rig.connect("echo")
    wait_until(lambda: rig.named("single"), "not there")
    others = [*rig.named("single"), *rig.named("warm")]
    rig.signal(signal.SIGKILL)
    rig.wait_end()
    wait_until(lambda: not [pid for pid in others if Path(f"/proc/{pid}").exists()], "processes are left")
    assert client.echoes()
    client.close()
    wait_until(lambda: not Path(f"/proc/{client.pid}").exists(), "the daemon stays")
    assert rig.start() == "ok"
    assert rig.connect("echo").echoes()


def test_a_socket_from_systemd_is_used() -> None:
    """With LISTEN_FDS the port that was passed is served, and master binds nothing there itself."""
    with socket.socket() as passed:
        passed.bind(("127.0.0.1", 0))
        passed.listen()
        port = passed.getsockname()[1]
        rig = Rig({**ECHO, "name": str(port), "port": port})
        code = (
            "import os,sys\n"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
            f"os.dup2({passed.fileno()}, 3); os.set_inheritable(3, True)\n"
            f"os.execv(sys.executable, [sys.executable, '-I', {str(FAKES / 'fake_master.py')!r},"
            f" '-c', {str(rig.directory)!r}])\n"
        )
        try:
            rig.process = subprocess.Popen(
                [sys.executable, "-I", "-c", code], pass_fds=[passed.fileno()], user=rig.uid, group=rig.uid
            )
            rig.wait_log("daemon started")
            assert rig.connect(str(port)).echoes()
        finally:
            rig.close()


def test_many_processes_come_and_go(start: Start) -> None:
    """A hundred kills in a row: each time there is a successor, and no zombie stays."""
    rig = start({**ECHO, "processes": 2})
    for _ in range(100):
        client = rig.connect("echo")
        assert client.pid
        os.kill(client.pid, signal.SIGKILL)
        client.close()
    began = time.monotonic()
    wait_until(lambda: not _zombies(rig.pid), "zombies stay", LIMIT_S)
    assert time.monotonic() - began < LIMIT_S


def _zombies(parent: int) -> list[str]:
    found = []
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with contextlib.suppress(OSError):
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                found.append(pid)
    return found
