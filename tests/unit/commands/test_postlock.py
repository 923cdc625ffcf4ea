"""postlock: a command runs while the mailbox is locked, and its status comes back; the same as Debian's postlock."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.commands import postlock
from tests.support.peers import find_peer, peer_environment

MAIN_CF = "compatibility_level = 3.6\ndeliver_lock_attempts = 2\ndeliver_lock_delay = 1\nmaillog_file = /dev/stdout\n"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A configuration that gives up after the second try."""
    directory = tmp_path / "etc"
    directory.mkdir()
    (directory / "main.cf").write_text(MAIN_CF)
    (directory / "master.cf").touch()
    return directory


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A mailbox that another process has locked."""
    path = tmp_path / "locked"
    path.touch(0o600)
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.write(writer, b"locked")
            signal.pause()
        os._exit(0)
    os.read(reader, 6)
    yield path
    os.kill(child, 9)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)


def status_of(etc: Path, *words: str) -> int:
    """Run ours."""
    return postlock.main(["postlock", "-c", str(etc), *words])


def test_the_file_is_locked_while_the_command_runs(etc: Path, tmp_path: Path) -> None:
    """Each style is there while it runs, and gone afterwards; a file that is not there is made."""
    mailbox = tmp_path / "box"
    look = (
        "import fcntl, os, sys; f = open(sys.argv[1], 'r+b'); held = 0\n"
        "for take in (fcntl.lockf, fcntl.flock):\n"
        "    try: take(f, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "    except OSError: held += 1\n"
        "sys.exit(40 + held + 10 * os.path.exists(sys.argv[1] + '.lock'))"
    )
    command = [str(mailbox), sys.executable, "-I", "-c", look, str(mailbox)]
    for style, status in (("fcntl", 41), ("flock", 41), ("fcntl,flock", 42), ("dotlock", 50), ("fcntl dotlock", 51)):
        assert (style, status_of(etc, "-l", style, *command)) == (style, status)
    assert status_of(etc, *command) == 51  # what mailbox_delivery_lock says by default
    assert sorted(path.name for path in tmp_path.iterdir()) == ["box", "etc"]


def test_a_locked_file_is_given_up(etc: Path, locked: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """75, and the command did not run."""
    assert status_of(etc, "-l", "fcntl", str(locked), "echo", "ran") == 75
    assert status_of(etc, str(locked), "echo", "ran") == 75
    written = capfd.readouterr()
    assert written.out == ""
    assert written.err.startswith(f"postlock: fatal: open file {locked}: unable to lock")
    assert not Path(f"{locked}.lock").exists()


def test_debian_s_postlock_ends_the_same(etc: Path, locked: Path, tmp_path: Path) -> None:
    """Statuses of commands, of signals, and of everything that goes wrong."""
    peer = find_peer("postlock")
    if not peer:
        pytest.skip("postlock is not here: make peers")
    box = str(tmp_path / "box")
    cases = [
        [box, "true"], [box, "sh", "-c", "exit 3"], [box, "sh", "-c", "kill -9 $$"], [box, "no-such-command"],
        [str(tmp_path / "nowhere" / "box"), "true"], ["-l", "none", box, "true"], [box], [], ["-x", box, "true"],
        ["-l", "dotlock", str(tmp_path / "nowhere" / "box"), "true"], ["-l", "fcntl", str(locked), "true"],
    ]  # fmt: skip
    for words in cases:
        theirs = subprocess.run(
            [peer, "-c", str(etc), *words], env=peer_environment(), check=False, capture_output=True
        ).returncode
        assert (words, status_of(etc, *words)) == (words, theirs)
