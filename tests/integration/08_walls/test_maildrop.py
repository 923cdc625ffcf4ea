"""maildrop/, where anybody may leave a file: what pickup makes of what was not left by sendmail(1)."""

import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from posthouse.commands.submission import Message, format_submission
from tests.support.attacker import Acting, Walls, act, connect

pytestmark = pytest.mark.root
Start = Callable[..., Walls]
SECRET = "only root may read this"


def submission(recipient: str, body: str = "x", sender: str | None = None) -> bytes:
    """What sendmail would leave."""
    message = Message()
    message.recipients, message.sender = [recipient], sender
    message.content = f"Subject: dropped\n\n{body}\n".encode()
    return format_submission(message)


def drop(path: Path, content: bytes, mode: int = 0o444) -> None:
    """Leave a file."""
    path.write_bytes(content)
    path.chmod(mode)


def trigger(system: Walls) -> None:
    """Have pickup look."""
    connect(system.server.queue_directory / "public/pickup").close()


def wait_gone(system: Walls, *paths: Path) -> None:
    """Have pickup look until files are not there any more."""
    deadline = time.monotonic() + 15
    while left := [path.name for path in paths if os.path.lexists(path)]:
        assert time.monotonic() < deadline, left
        trigger(system)
        time.sleep(0.1)


def test_what_is_no_plain_file(walls: Start) -> None:
    """Links, FIFOs, sockets, directories, names of devices: removed, and what they lead to is not touched or read."""
    system = walls()
    maildrop = system.server.queue_directory / "maildrop"
    secret = system.server.directory / "secret"
    secret.write_bytes(submission(system.mallory.address, SECRET))
    secret.chmod(0o444)
    os.chmod(system.server.directory, 0o755)
    system.alice.write(system.alice.home / "mail", submission(system.mallory.address, "alice's"), 0o444)
    private = system.alice.write(
        system.alice.home / "private", submission(system.mallory.address, "alice's own"), 0o400
    )
    targets: dict[str, str | Path] = {
        "root": secret,
        "alice": system.alice.home / "mail",
        "own": private,
        "zero": "/dev/zero",
        "loop": "loop",
    }

    def litter() -> None:
        for name, target in targets.items():
            (maildrop / name).symlink_to(target)
        os.mkfifo(maildrop / "fifo", 0o444)
        (maildrop / "directory").mkdir(0o755)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(maildrop / "socket"))
            (maildrop / "socket").chmod(0o444)

    act(system.mallory, litter)
    # fs.protected_hardlinks does not let the attacker do this; kernels without it would, so root does it for him.
    os.link(secret, maildrop / "hard")
    os.link(private, maildrop / "hard-alice")
    before = {path: path.stat().st_mtime_ns for path in (secret, system.alice.home / "mail", private)}
    names = (*targets, "fifo", "directory", "socket", "hard", "hard-alice")
    wait_gone(system, *(maildrop / name for name in names))
    system.unharmed()
    for path, changed in before.items():
        assert (path.stat().st_mtime_ns, path.stat().st_nlink) == (changed, 1)
    assert "dropped" not in system.mailbox(system.mallory)


def test_names_and_contents_that_are_none(walls: Start) -> None:
    """Garbage, half submissions, giants without blocks, names that would drive a terminal: logged, and gone."""
    system = walls(message_size_limit="100000")
    maildrop = system.server.queue_directory / "maildrop"
    good = submission(system.mallory.address)
    contents = {b"empty": b"", b"half": good[:-6], b"more": good + b"x", b"garbage": os.urandom(100_000)}
    names = (b"\xff\xfe", b"a\nJan  1 00:00:00 mail qmgr[1]: panic: forged", b"\x1b[2J\r", b"-rf *", b"x" * 255)

    def litter() -> list[Path]:
        root = os.fsencode(maildrop) + b"/"
        for name, content in {**contents, **dict.fromkeys(names, b"x")}.items():
            drop(Path(os.fsdecode(root + name)), content)
        giant = maildrop / "giant"
        drop(giant, good[:-5], 0o600)
        os.truncate(giant, 1 << 40)
        giant.chmod(0o444)
        (maildrop / "full").mkdir()
        (maildrop / "full/of/directories").mkdir(parents=True)
        return [Path(os.fsdecode(root + name)) for name in (*contents, *names)] + [giant]

    left = act(system.mallory, litter)
    wait_gone(system, *left)
    system.unharmed()
    assert not [line for line in system.server.log().splitlines() if line.startswith("Jan  1 00:00:00 mail")]
    assert set(system.server.maillog.read_bytes()) & set(range(32)) == {10}
    assert "dropped" not in system.mailbox(system.mallory)


def test_a_file_that_changes_under_the_reader(walls: Start) -> None:
    """Complete, then written to, cut, exchanged, grown for ever: refused or sent as it was, and others come through."""
    system = walls(message_size_limit="1000000")
    maildrop = system.server.queue_directory / "maildrop"
    good = submission(system.mallory.address)

    def play() -> int:
        rounds = 0
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            rounds += 1
            path, other = maildrop / f"m{rounds}", maildrop / "other"
            with suppress(OSError), path.open("wb", buffering=0) as file:
                file.write(good[:-5])
                path.chmod(0o444)
                connect(maildrop.parent / "public/pickup").close()
                if rounds % 3 == 0:
                    for _ in range(300):
                        file.write(b"M\0\0\0\x01x" * 1000)
                elif rounds % 3 == 1:
                    os.truncate(file.fileno(), 3)
                    os.mkfifo(other)
                    os.rename(other, path)
                else:
                    file.write(good[-5:])
                    path.unlink()
                    path.symlink_to("/etc/passwd")
        return rounds

    playing = Acting(system.mallory, play)
    for _ in range(3):
        system.normal_mail()
    with playing:
        assert playing.result > 5
    system.unharmed()
    assert "root:x:0:0" not in system.mailbox(system.mallory)


def test_thousands_of_files_hold_up_nobody(walls: Start) -> None:
    """One user's files are taken in bounded number and size at a time; another user's go through between them."""
    system = walls(submit_files_per_user="20", submit_bytes_per_user="30000")
    maildrop = system.server.queue_directory / "maildrop"

    def fill() -> None:
        for number in range(3000):
            drop(maildrop / f"0{number:05}", b"junk")
        for number in range(50):
            drop(maildrop / f"1{number:05}", submission(system.mallory.name, "x" * 10_000))

    act(system.mallory, fill)
    act(system.alice, drop, maildrop / "z", submission(system.alice.address, "alice's drop"))
    trigger(system)
    system.wait_mail(system.alice, "alice's drop")
    assert len(list(maildrop.iterdir())) > 2900
    system.unharmed()


def test_a_file_that_cannot_be_taken_now_holds_up_its_owner_only(walls: Start) -> None:
    """Whatever makes cleanup say "later" to it, those behind it are not its owner's."""
    system = walls(
        virtual_alias_maps="inline:{{loop@example.test=loop+x@example.test}}", propagate_unmatched_extensions="virtual"
    )
    maildrop = system.server.queue_directory / "maildrop"
    stuck = maildrop / "0"
    act(system.mallory, drop, stuck, submission("loop@example.test"))
    act(system.alice, drop, maildrop / "1", submission(system.alice.address, "behind it"))
    trigger(system)
    system.wait_mail(system.alice, "behind it")
    system.server.wait_log(r"maildrop/0: 4\d\d .*will try again")
    system.unharmed()


def test_the_owner_is_who_submits(walls: Start) -> None:
    """A file says nothing about its owner; another user's cannot be completed, removed or exchanged, nor found."""
    system = walls()
    maildrop = system.server.queue_directory / "maildrop"
    act(system.alice, drop, maildrop / "alices", submission("root"), 0o600)

    def meddle() -> list[str]:
        errors = []
        for attempt in (
            partial(os.listdir, maildrop),
            lambda: os.unlink(maildrop / "alices"),
            lambda: os.chmod(maildrop / "alices", 0o444),
            lambda: os.rename(maildrop / "alices", maildrop / "mine"),
            lambda: os.chown(maildrop / "own", 0, 0),
            (maildrop / "alices").read_bytes,
        ):
            try:
                attempt()
            except OSError as error:
                errors.append(type(error).__name__)
        return errors

    act(system.mallory, drop, maildrop / "own", submission(system.alice.address, "mine", sender="root@example.test"))
    assert act(system.mallory, meddle) == ["PermissionError"] * 6
    trigger(system)
    assert f"(Postfix, from userid {system.mallory.uid})" in system.wait_mail(system.alice, "mine")
    assert (maildrop / "alices").exists()
    system.unharmed()


def test_sendmail_that_is_killed_leaves_nothing_that_is_sent(walls: Start) -> None:
    """While the system is down: killed or out of room in the middle, it leaves no complete file."""
    system = walls()
    system.server.stop()
    maildrop = system.server.queue_directory / "maildrop"
    content = b"Subject: dropped\n\n" + b"x\n" * 25_000

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

    done = system.run(system.mallory, "sendmail", system.mallory.name, stdin=content, prepare=small_files)
    assert done.returncode == 75, done.stderr
    assert [path for path in maildrop.iterdir() if path.stat().st_mode & 0o777 == 0o444] == []
    assert (
        system.run(
            system.mallory, "sendmail", system.mallory.name, stdin=content, prepare=lambda: os.umask(0o777)
        ).returncode
        == 0
    )
    assert [path.stat().st_mode & 0o777 for path in maildrop.iterdir()] == [0o444]
    system.server.start_and_greet()
    system.wait_mail(system.mallory, "Subject: dropped")
