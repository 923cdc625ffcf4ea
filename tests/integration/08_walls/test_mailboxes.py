"""Mailboxes that lead elsewhere: planted links, FIFOs, directories and files of others where mail is delivered to."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.attacker import Acting, Person, Walls, act

pytestmark = pytest.mark.root
Start = Callable[..., Walls]
MARK = "mark of the message"


def deliver(system: Walls, person: Person, to: str = "") -> str:
    """Send the attacker's message to somebody; what became of it, as the log says."""
    seen = system.server.log().count(" status=")
    system.send(system.mallory, to or person.address, "-f", "", body=MARK)  # from nobody: nothing is returned
    deadline = time.monotonic() + 15
    while True:
        found = [line for line in system.server.log().splitlines() if " status=" in line]
        if len(found) > seen:
            return found[seen].partition(" status=")[2]
        assert time.monotonic() < deadline, system.server.log()[-2000:]
        time.sleep(0.02)


def state(*paths: Path) -> list[tuple[int, ...]]:
    """What must not change: identity, owner, mode, links, size, time of writing."""
    found = [path.lstat() for path in paths]
    return [(s.st_dev, s.st_ino, s.st_uid, s.st_gid, s.st_mode, s.st_nlink, s.st_size, s.st_mtime_ns) for s in found]


def test_mailbox_files_that_lead_elsewhere(walls: Start) -> None:
    """Links to files of root and of another user, FIFOs, directories, programs: returned or deferred, not touched."""
    system = walls()
    secret = system.server.directory / "roots"
    secret.write_text("root's\n")
    secret.chmod(0o666)  # even when everybody may write to it
    alices = system.alice.write(system.alice.home / "notes", "alice's\n", 0o666)
    spool = system.server.mail_directory / system.mallory.name
    tried = {
        "symlink to root's": lambda: spool.symlink_to(secret),
        "symlink to alice's mail": lambda: spool.symlink_to(system.server.mail_directory / system.alice.name),
        "symlink to what is not there": lambda: spool.symlink_to(system.alice.home / "new"),
        "symlink to a device": lambda: spool.symlink_to("/dev/full"),
        "fifo": lambda: os.mkfifo(spool, 0o600),
        "directory": lambda: spool.mkdir(0o700),
        "program": lambda: act_write(spool, 0o755),
    }
    before = state(secret, alices)
    for name, plant in tried.items():
        remove(spool)
        act(system.mallory, plant)
        planted = state(spool)
        assert not deliver(system, system.mallory).startswith("sent"), name
        assert state(spool) == planted, name
    assert state(secret, alices) == before
    remove(spool)
    # fs.protected_hardlinks does not let the attacker do this; kernels without it would, so root does it for him.
    os.link(alices, spool)
    assert not deliver(system, system.mallory).startswith("sent")
    assert alices.read_text() == "alice's\n"
    remove(spool)
    system.unharmed()
    assert MARK not in system.mailbox(system.alice)
    assert not (system.alice.home / "new").exists()


def act_write(path: Path, mode: int) -> None:
    """Write a file with a mode."""
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)


def remove(path: Path) -> None:
    """Take away whatever it is."""
    with suppress(FileNotFoundError):
        path.unlink() if path.is_symlink() or not path.is_dir() else path.rmdir()


def test_a_mailbox_planted_before_the_first_delivery(walls: Start) -> None:
    """One that belongs to somebody else gets nothing: its owner would read the mail. It waits until that is mended."""
    system = walls()
    spool = system.server.mail_directory / system.alice.name
    spool.unlink()
    act(system.mallory, lambda: act_write(spool, 0o666))
    assert "deferred (" in (said := deliver(system, system.alice))
    assert "not owned by the recipient" in said
    assert spool.read_text() == "#!/bin/sh\n"
    spool.unlink()
    assert system.server.command("postqueue", "-f").returncode == 0
    system.wait_mail(system.alice, MARK)
    assert (spool.stat().st_uid, spool.stat().st_mode & 0o777) == (system.alice.uid, 0o600)
    system.unharmed()


def test_locks_that_are_held_or_planted(walls: Start) -> None:
    """A dot lock or an fcntl lock on one's own mailbox holds up nobody else; links in their place are not followed."""
    system = walls()
    spool = system.server.mail_directory / system.mallory.name
    lock = spool.with_name(f"{spool.name}.lock")
    secret = system.alice.write(system.alice.home / "notes", "alice's\n", 0o666)
    before = state(secret)
    act(system.mallory, lambda: lock.symlink_to(secret))
    for _ in range(5):
        system.send(system.mallory, system.mallory.address)
    system.normal_mail()
    act(system.mallory, lock.unlink)
    system.unharmed()
    assert state(secret) == before


def test_maildirs_that_lead_elsewhere(walls: Start) -> None:
    """tmp or new of another user, of root, nowhere: the message is not there, and what is there was not touched."""
    system = walls(home_mailbox="Maildir/")
    assert "sent" in deliver(system, system.alice)
    alices = system.alice.home / "Maildir"
    kept = len(list((alices / "new").iterdir()))
    roots = system.server.directory / "roots"
    for part in ("tmp", "new", "cur"):
        (roots / part).mkdir(parents=True, mode=0o755)
    before = state(roots, roots / "new", alices / "new", alices / "tmp")
    box = system.mallory.home / "Maildir"

    def plant(part: str, target: Path) -> None:
        if box.exists():
            box.rename(box.with_name(f"old{time.monotonic_ns()}"))
        box.mkdir()
        (box / part).symlink_to(target)

    for part in ("tmp", "new"):
        for target in (alices / "new", alices / "tmp", roots / part, Path("/proc/1/cwd"), Path("/nonexistent")):
            act(system.mallory, plant, part, target)
            assert not deliver(system, system.mallory).startswith("sent"), (part, target)
    assert state(roots, roots / "new", alices / "new", alices / "tmp") == before
    assert len(list((alices / "new").iterdir())) == kept


def test_a_home_that_is_replaced_between_deliveries(walls: Start) -> None:
    """By a link to another's home, there and back as fast as it goes: nothing ever appears there."""
    system = walls(home_mailbox="Maildir/")
    home, away = system.mallory.home, system.mallory.home.with_name("away")
    home.parent.chmod(0o1777)  # his home stands where he can rename it
    kept = len(list((system.alice.home / "Maildir/new").iterdir()))
    before = state(system.alice.home)

    def replace() -> int:
        rounds, end = 0, time.monotonic() + 2
        while time.monotonic() < end:
            rounds += 1
            home.rename(away)
            home.symlink_to(system.alice.home)
            time.sleep(0.001)
            home.unlink()
            away.rename(home)
        return rounds

    replacing = Acting(system.mallory, replace)
    for _ in range(10):
        system.send(system.mallory, system.mallory.address, body=MARK)
    with replacing:
        assert replacing.result > 100
    home.parent.chmod(0o755)
    assert state(system.alice.home) == before
    assert len(list((system.alice.home / "Maildir/new").iterdir())) == kept
    for directory, _, files in os.walk(home):
        assert {(Path(directory) / name).lstat().st_uid for name in files} <= {system.mallory.uid}
