"""Two accounts of this machine, for the time of the tests: an attacker and his victim."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from posthouse.ipc import showq
from posthouse.ipc.record import Hello
from posthouse.ipc.stream import encode_frame
from tests.conftest import Start
from tests.support.attacker import Person, Walls, talk
from tests.support.instance import Instance, kill_quietly

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")  # tests that run at the same time have accounts of their own
NAMES = (f"ph-mallory{WORKER}", f"ph-alice{WORKER}")
LIMIT_S = 20.0  # another program may hold the lock of the password file


@pytest.fixture(scope="session")
def people() -> Iterator[tuple[Person, Person]]:
    """Make the accounts, with homes of their own."""
    homes = Path(tempfile.mkdtemp(prefix="homes-"))
    homes.chmod(0o755)
    for name in NAMES:
        _account(name, homes / name)
    found = [pwd.getpwnam(name) for name in NAMES]
    mallory, alice = (Person(each.pw_name, each.pw_uid, each.pw_gid, homes / each.pw_name) for each in found)
    yield mallory, alice
    for name in NAMES:
        subprocess.run(["userdel", name], check=False, capture_output=True)
    shutil.rmtree(homes, ignore_errors=True)


def _account(name: str, home: Path) -> None:
    exists = subprocess.run(["getent", "passwd", name], check=False, capture_output=True).returncode == 0
    command = ["usermod"] if exists else ["useradd", "--user-group", "--no-create-home", "--shell", "/bin/sh"]
    words = [*command, "--home" if exists else "--home-dir", str(home), name]
    deadline = time.monotonic() + LIMIT_S
    while (done := subprocess.run(words, check=False, capture_output=True)).returncode:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.2)


@pytest.fixture
def walls(posthouse: Start, people: tuple[Person, Person]) -> Iterator[Callable[..., Walls]]:
    """Return a function that starts a system for the two; its arguments are parameters of main.cf."""
    started: list[Instance] = []

    def start(*, also: dict[str, object] | None = None, **main: str) -> Walls:
        for person in people:
            person.home.mkdir(mode=0o755)
            os.chown(person.home, person.uid, person.gid)
        own = {
            "mail_spool_directory": "{mail}",
            "recipient_delimiter": "+",
            "alias_maps": "inline:{{victim=" + people[1].name + "}}",
            "local_recipient_maps": "",
            "max_use": "1000000",
            "command_time_limit": "3s",
        }
        server = posthouse(main={**own, **main}, started=False, **(also or {}))
        server.mail_directory.chmod(0o1777)
        server.start_and_greet()
        system = Walls(server, *people)
        started.append(server)
        system.normal_mail()
        talk(server.queue_directory / "public/showq", encode_frame(Hello(showq.NAME, showq.VERSION)))  # it runs as well
        system.remember()
        return system

    yield start
    for server in started:
        for process in server.processes():
            kill_quietly(process.pid)  # what an orderly stop does is shown elsewhere, and takes a second
    for path in people[0].home.parent.iterdir():
        if path.is_symlink():
            path.unlink()
        shutil.rmtree(path, ignore_errors=True)
