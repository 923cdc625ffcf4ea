"""postfix(1) on whole servers: one instance at a time, ours or Debian's; what it says, and what it exits with."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.support import net


@pytest.mark.root
def test_start_is_refused_beside_a_running_postfix(posthouse: Start, postfix_peer: Start) -> None:
    """Debian's Postfix serves this queue: we do not, and say so; and the other way round."""
    theirs = postfix_peer()
    ours = posthouse(
        main={"queue_directory": str(theirs.queue_directory), "data_directory": str(theirs.data_directory)},
        started=False,
    )
    done = ours.command("postfix", "start")
    assert done.returncode == 1
    assert b"the Postfix mail system is already running" in done.stderr
    assert net.greeting(theirs.port).startswith(b"220")


@pytest.mark.root
def test_postfix_is_refused_beside_us(posthouse: Start, postfix_peer: Start) -> None:
    """Debian's master finds our locks."""
    ours = posthouse()
    theirs = postfix_peer(
        main={"queue_directory": str(ours.queue_directory), "data_directory": str(ours.data_directory)}, started=False
    )
    assert theirs.command("postfix", "start").returncode != 0
    assert net.greeting(ours.port).startswith(b"220")


def test_status_start_stop_say_what_postfix_says(posthouse: Start) -> None:
    """Texts and exit status of Postfix's script."""
    server = posthouse()
    running = server.command("postfix", "status")
    assert running.returncode == 0
    assert f"the Postfix mail system is running: PID: {server.master_pid()}\n".encode() in running.stderr
    again = server.command("postfix", "start")
    assert (again.returncode, b"fatal: the Postfix mail system is already running" in again.stderr) == (1, True)
    assert server.command("postfix", "reload").returncode == 0
    assert server.command("postfix", "stop").returncode == 0
    for command in ("stop", "reload", "abort", "flush"):
        done = server.command("postfix", command)
        assert (done.returncode, b"the Postfix mail system is not running" in done.stderr) == (1, True)
    assert server.command("postfix", "status").returncode == 1
    assert server.command("postfix", "dance").returncode == 1


def test_start_fg_stays_until_it_is_told_to_stop(posthouse: Start) -> None:
    """In the foreground: serves, ends on SIGTERM with status 0, and nothing is left."""
    server = posthouse(started=False)
    if os.geteuid() == 0:
        assert server.command("postfix", "set-permissions").returncode == 0
    argv = [server.program("postfix"), "-c", str(server.config_directory), "start-fg"]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL, env=server.environment()) as process:
        try:
            net.wait_greeting(server.port, 30)
            assert server.master_pid() == process.pid
            others = [one.pid for one in server.processes()]
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert not [pid for pid in others if Path(f"/proc/{pid}").exists()]


@pytest.mark.root
def test_start_names_the_command_that_makes_what_is_missing(posthouse: Start) -> None:
    """Without directories, or with wrong owners: set-permissions is the answer, and it works."""
    server = posthouse(started=False)
    server.queue_directory.rmdir()
    done = server.command("postfix", "start")
    advice = f"postfix -c {server.config_directory} set-permissions".encode()
    assert (done.returncode, advice in done.stderr) == (1, True)
    assert server.command("postfix", "set-permissions").returncode == 0
    os.chown(server.queue_directory / "posthouse", 65534, 65534)
    done = server.command("postfix", "start")
    assert (done.returncode, advice in done.stderr, b"owned by nobody" in done.stderr) == (1, True, True)
    server.start_and_greet()


@pytest.mark.root
def test_directories_keep_daemons_apart(posthouse: Start) -> None:
    """Owners and modes after set-permissions; nobody but root can put a socket into private/."""
    server = posthouse()
    found = {}
    for name in (".", "pid", "private", "public", "submit", "maildrop", "posthouse"):
        status = (server.queue_directory / name).stat()
        found[name] = (status.st_uid == 0, oct(status.st_mode & 0o7777))
    assert found == {
        ".": (True, "0o755"),
        "pid": (True, "0o755"),
        "private": (True, "0o710"),
        "public": (True, "0o755"),
        "submit": (True, "0o755"),
        "maildrop": (False, "0o1733"),
        "posthouse": (False, "0o700"),
    }


def test_check_names_mistakes_and_changes_nothing(posthouse: Start) -> None:
    """A running system goes on with what it has; check and reload refuse the new file."""
    server = posthouse()
    with (server.config_directory / "master.cf").open("a") as file:
        file.write("smtp inet\n")
    for command in ("check", "reload"):
        done = server.command("postfix", command)
        assert done.returncode == 1
        assert b"master.cf:" in done.stderr
    assert net.greeting(server.port).startswith(b"220")
