"""The queue, file by file, opened by a user and by the daemons' other users; and what commands say to users."""

import os
import pwd
import smtplib
from collections.abc import Callable
from pathlib import Path

import pytest

from posthouse.config.parameters import MAIL_OWNER, NETWORK_OWNER, QUEUE_OWNER
from tests.support.attacker import Person, Walls, act
from tests.support.net import LOOPBACK

pytestmark = pytest.mark.root
Start = Callable[..., Walls]
BODY = b"Subject: private\r\n\r\nfor one person only\r\n"


def waiting(walls: Start) -> tuple[Walls, str]:
    """A system with mail that waits: a small message and a large one. Its first queue ID."""
    system = walls(relayhost=f"[{LOOPBACK}]:1", mydestination="example.test")
    with smtplib.SMTP(LOOPBACK, system.server.port, local_hostname="client.test", timeout=30) as client:
        for recipient, body in (("a@far.test", BODY), ("b@far.test", BODY)):
            client.sendmail("alice@client.test", [recipient], body)
    system.server.wait_log("status=deferred")
    return system, str(system.server.queue()[0]["queue_id"])


def system_user(name: str) -> Person:
    """One of the mail system's own users."""
    entry = pwd.getpwnam(name)
    return Person(name, entry.pw_uid, entry.pw_gid, Path("/"))


def reachable(roots: list[Path], paths: list[Path]) -> list[str]:
    """What can be listed, opened, made, linked or removed of these."""
    found = []
    for root in roots:
        for attempt in (os.listdir, os.scandir, os.chdir):
            try:
                attempt(root)
                found.append(f"{attempt.__name__} {root}")
            except OSError:
                continue
    for path in paths:
        for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_PATH, os.O_RDONLY | os.O_DIRECTORY):
            try:
                os.close(os.open(path, flags | os.O_NONBLOCK))
                found.append(f"open {path} {flags}")
            except OSError:
                continue
        for change in (
            os.unlink,
            os.rmdir,
            lambda name: os.rename(name, "/tmp/taken"),
            lambda name: os.chmod(name, 0o666),
        ):
            try:
                change(path)
                found.append(f"changed {path}")
            except OSError:
                continue
    return found


def test_nobody_but_its_owner_reaches_the_store(walls: Start) -> None:
    """Not a user, not the daemons' other users: every file below the store's directory, and the directory."""
    system, _ = waiting(walls)
    store = system.server.queue_directory / "posthouse"
    everything = [store, *sorted(store.rglob("*"))]
    assert len(everything) >= 4
    owner = pwd.getpwnam(QUEUE_OWNER.default).pw_uid
    for path in everything:
        status = path.lstat()
        assert (status.st_uid, status.st_mode & 0o077) == (owner, 0), path
    others = [system.mallory, system_user(MAIL_OWNER.default), system_user(NETWORK_OWNER.default)]
    for person in others:
        reached = [
            text
            for text in act(person, reachable, [store, store / "spool"], everything)
            if not text.endswith(f"{store} {os.O_PATH}")
        ]
        assert reached == [], person.name
    system.unharmed()


def test_what_a_user_reaches_of_all_directories(walls: Start) -> None:
    """Of everything below queue and data directory: names of sockets, and no file to read, write, move or remove."""
    system, _ = waiting(walls)
    roots = (system.server.queue_directory, system.server.data_directory)
    paths = [path for root in roots for path in sorted(root.rglob("*"))]
    files = [path for path in paths if path.is_file()]
    assert len(files) > 4
    opened = act(system.mallory, reachable, [], files)
    may_see = ("pid/master.pid", "data/master.lock")  # names in open directories: an O_PATH handle shows no content
    assert [text for text in opened if not text.endswith(tuple(f"{name} {os.O_PATH}" for name in may_see))] == []
    directories = [path for path in (*roots, *paths) if path.is_dir()]
    made = act(system.mallory, lambda: [path for path in directories if can_make(path / "new")])
    assert made == [system.server.queue_directory / "maildrop"]
    assert act(system.mallory, reachable, [], [system.server.maillog])[:1] in (
        [],
        [f"open {system.server.maillog} {os.O_PATH}"],
    )
    system.unharmed()


def can_make(path: Path) -> bool:
    """Whether a file can be made there; it is removed."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError:
        return False
    os.unlink(path)
    return True


def test_what_the_queue_commands_say_to_users(walls: Start) -> None:
    """Postfix's words: listing is for all, steering and reading for the superuser, and nothing is waited for."""
    system, queue_id = waiting(walls)
    superuser = b"postsuper: fatal: use of this command is reserved for the superuser\n"
    forbidden: list[tuple[str, ...]] = [("-d", "ALL"), ("-h", queue_id), ()]
    for steering in forbidden:
        done = system.run(system.mallory, "postsuper", *steering)
        assert (done.returncode, done.stdout, done.stderr) == (1, b"", superuser)
    for wanted in (queue_id, "4Nnnnn0nnnznn"):
        done = system.run(system.mallory, "postcat", "-q", wanted)
        denied = f"postcat: fatal: open queue file {wanted}: Permission denied\n".encode()
        assert (done.returncode, done.stdout, done.stderr) == (1, b"", denied)
    listing = system.run(system.mallory, "postqueue", "-p")
    assert queue_id in listing.stdout.decode()
    assert b"one person only" not in listing.stdout
    for arguments, status in (
        (("-i", "../../etc/passwd"), 77),
        (("-s", "x" * 300), 77),
        (("-i", queue_id), 0),
        (("-f",), 0),
    ):
        assert system.run(system.mallory, "postqueue", *arguments).returncode == status
    assert len(system.server.queue()) == 2
    system.unharmed()


def test_who_may_look_and_flush_is_the_administrator_s_word(walls: Start) -> None:
    """authorized_mailq_users and authorized_flush_users hold for every way to showq."""
    system = walls(
        authorized_mailq_users="root", authorized_flush_users="root", authorized_submit_users="!ph-x, static:all"
    )
    for option in ("-p", "-j", "-f"):
        done = system.run(system.mallory, "postqueue", option)
        assert done.returncode == 77
        assert b"you are not allowed to " in done.stderr
    system.unharmed()


def test_the_queue_while_nothing_runs(walls: Start) -> None:
    """Then root's commands open it themselves; a user's cannot."""
    system, queue_id = waiting(walls)
    system.server.stop()
    for command, arguments in (("postqueue", ("-p",)), ("postcat", ("-q", queue_id)), ("postsuper", ("-d", "ALL"))):
        done = system.run(system.mallory, command, *arguments)
        assert done.returncode != 0
        assert b"one person only" not in done.stdout + done.stderr
    assert b"one person only" in system.server.command("postcat", "-q", queue_id).stdout
    assert len(system.server.queue()) == 2
