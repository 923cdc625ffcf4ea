"""The whole system as one user without any right, where one directory can be written to."""

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import maildir, net
from tests.support.recording_sink import RecordingSink
from tests.support.sandbox import Sandbox, need_sandbox
from tests.support.unprivileged import System, kernel_status, send

CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
# What systemd does for a service with a socket unit: descriptors from 3 on, and LISTEN_PID is who they are for.
ACTIVATE = """\
import os, sys
passed = [int(word) for word in sys.argv[1].split(",")]
high = [os.dup2(descriptor, 100 + number) for number, descriptor in enumerate(passed)]
for number, descriptor in enumerate(high):
    os.dup2(descriptor, 3 + number)
    os.close(descriptor)
names = ":".join(["smtp.socket"] * len(passed))
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(passed)), LISTEN_FDNAMES=names)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def place() -> Iterator[Sandbox]:
    """Make one."""
    need_sandbox()
    with Sandbox() as made:
        yield made


@pytest.fixture
def sink() -> Iterator[RecordingSink]:
    """Run the server that mail is relayed to."""
    with RecordingSink() as made:
        yield made


@pytest.fixture
def system(place: Sandbox, sink: RecordingSink, installed: Path) -> System:
    """Write a configuration."""
    made = System(place, installed)
    made.configure(sink.port)
    return made


def all_files(directory: Path) -> dict[str, tuple[int, int]]:
    """Give size and time of change of everything below a directory."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found


def test_it_starts_delivers_relays_reloads_and_stops(
    system: System, place: Sandbox, sink: RecordingSink, installed: Path, tmp_path: Path
) -> None:
    """Everything a system does; what it writes is below the one directory, and its log is on standard output too."""
    assert place.writable_mounts() == [str(place.state)]
    before = all_files(installed)
    with system.started(tmp_path / "stdout"):
        system.wait_greeting()
        send(system.port, "alice@box.test", "bob@relay.test", subject="by SMTP")
        done = system.command("sendmail", "-f", "x@box.test", "alice@box.test", stdin="Subject: by sendmail\n\nText.\n")
        assert done.returncode == 0, done.stderr
        delivered = maildir.wait_messages(place.path(place.state / "mail"), 2)
        assert {maildir.field(each, "subject") for each in delivered} == {b"by SMTP", b"by sendmail"}
        assert sink.wait(1)[0].recipients == ("bob@relay.test",)
        seen = set()
        for process in system.processes():
            found = kernel_status(process.pid)
            seen.add(process.name)
            assert set(found["Uid"].split()) == {str(place.who.uid)}, process
            assert set(found["Gid"].split()) == {str(place.who.gid)}, process
            assert {found[name] for name in CAPABILITIES} == {"0" * 16}, process
            assert found["NoNewPrivs"] == "1", process
        assert {"master", "warm", "smtpd", "cleanup", "qmgr", "virtual", "smtp", "postlogd"} <= seen
        assert "runas" not in seen

        system.write("main.cf", place.path(f"{system.config_directory}/main.cf").read_text() + "smtpd_banner = new\n")
        assert system.command("postfix", "reload").returncode == 0
        system.wait_log("reload -- version")
        system.wait_greeting(b"220 new\r\n")
        send(system.port, "alice@box.test", subject="after the reload")
        maildir.wait_messages(place.path(place.state / "mail"), 3)
        assert system.command("postfix", "status").returncode == 0
        assert system.stop() == 0
        assert system.command("postfix", "status").returncode == 1
    assert sorted(os.listdir(place.path(place.state))) == ["data", "etc", "log", "mail", "queue"]
    assert all_files(installed) == before
    printed = system.printed().splitlines()
    logged = [line for line in system.log().splitlines() if "postfix-script" not in line]
    assert len(logged) > 20
    assert [line for line in logged if line not in printed] == []


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "full"])
def test_a_standard_output_that_takes_nothing_holds_nobody_up(system: System, tmp_path: Path, is_closed: bool) -> None:
    """Its reader is gone, or does not read: mail flows, the log file has it all and says so, and the system stops."""
    reader, writer = os.pipe()
    if is_closed:
        os.close(reader)
    else:
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, bytes(4096))
        os.set_blocking(writer, True)
    with system.started(tmp_path / "stderr", standard_output=writer):
        system.wait_greeting()
        for number in range(5):
            send(system.port, "alice@box.test", subject=str(number))
        maildir.wait_messages(system.place.path(system.place.state / "mail"), 5)
        if is_closed:
            system.wait_log("warning: standard output does not take the log: Broken pipe")
        assert system.stop() == 0
    assert len(re.findall("status=sent", system.log())) == 5
    assert len(re.findall("disconnect from", system.log())) >= 6
    for descriptor in (writer, *(() if is_closed else (reader,))):
        os.close(descriptor)


def activated(system: System, *listeners: socket.socket) -> tuple[list[str], list[int]]:
    """Give what starts a system with these sockets: the words before its own, and the descriptors."""
    descriptors = [listener.fileno() for listener in listeners]
    words = [str(system.installed / "bin" / "python"), "-c", ACTIVATE, ",".join(map(str, descriptors))]
    return words, descriptors


def test_a_socket_that_systemd_passes_serves_a_port_that_is_not_ours_to_open(
    system: System, place: Sandbox, tmp_path: Path
) -> None:
    """Port and descriptor come from outside; the socket outlives a reload and a restart, and no client is refused."""
    with privileged_socket() as listener:
        system.port = listener.getsockname()[1]
        assert system.port < int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
        system.configure(net.free_port())
        for name in ("first", "second"):
            with system.started(tmp_path / "stdout", *activated(system, listener)):
                system.wait_greeting()
                send(system.port, "alice@box.test", subject=name)
                assert system.command("postfix", "reload").returncode == 0
                system.wait_log("reload -- version")
                send(system.port, "alice@box.test", subject=f"{name}, reloaded")
                maildir.wait_messages(place.path(place.state / "mail"), 2 if name == "first" else 4)
                assert system.stop() == 0


def test_the_sockets_of_docs_containers_are_those_that_a_plain_service_opens(system: System, tmp_path: Path) -> None:
    """Wildcards of both protocols, IPv6 without IPv4 in it: what "25 inet" with inet_interfaces = all asks for."""
    with privileged_socket("0.0.0.0") as four, socket.socket(socket.AF_INET6) as six:
        system.port = four.getsockname()[1]
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        six.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        six.bind(("::", system.port))
        six.listen(100)
        system.configure(net.free_port(), "inet_interfaces = all\ninet_protocols = all\n")
        master = system.place.path(f"{system.config_directory}/master.cf").read_text()
        system.write("master.cf", master.replace(f"127.0.0.1:{system.port} inet", f"{system.port} inet"))
        with system.started(tmp_path / "stdout", *activated(system, four, six)):
            system.wait_greeting()
            with socket.create_connection(("::1", system.port), timeout=60) as client:
                assert net.read_reply(client).startswith(b"220")
            assert system.stop() == 0


def privileged_socket(host: str = net.LOOPBACK) -> socket.socket:
    """Listen on a port below 1024, which only root can."""
    for port in range(1023, 600, -1):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            sock.close()
            continue
        sock.listen(100)
        return sock
    raise AssertionError("no port below 1024 is free")


def test_without_the_socket_such_a_port_is_refused_with_its_reason(system: System, tmp_path: Path) -> None:
    """It does not start, and says which address it was."""
    with privileged_socket() as listener:
        port = listener.getsockname()[1]
    system.port = port
    system.configure(net.free_port())
    with system.started(tmp_path / "stdout") as process:
        assert process.wait(30) == 1
    assert f"fatal: bind 127.0.0.1 port {port}: Permission denied" in system.printed()
