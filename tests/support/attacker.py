"""A user of the machine who means harm, the user he means to harm, and a system that both can reach.

What the attacker does runs in a process of its own that became him for good, as his login would be: no group but his,
no capability. What comes back is what he got.
"""

import os
import pickle
import re
import resource
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, ParamSpec, Self, TypeVar

from tests.support.instance import Instance
from tests.support.processes import Process, read_process
from tests.support.servers import OURS

P = ParamSpec("P")
T = TypeVar("T")
DESCRIPTORS: Final = 20_000  # as many as an attacker's process opens at most
ANSWER_LIMIT_S: Final = 60
_LINE: Final = r"^\w+ +\d+ [\d:]+ \S+ postfix/"  # where a line of one of our processes begins
DEATH: Final = re.compile(
    rf"{_LINE}(?:[\w-]+\[\d+\]: (?:panic|fatal): |master\[\d+\]: .*(?:killed by signal|exit status)).*$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Person:
    """An account of this machine."""

    name: str
    uid: int
    gid: int
    home: Path

    @property
    def address(self) -> str:
        """Where mail for him goes."""
        return f"{self.name}@example.test"

    def write(self, path: Path, data: bytes | str, mode: int = 0o644) -> Path:
        """Write a file as he would."""
        path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape"))
        os.chown(path, self.uid, self.gid)
        path.chmod(mode)
        return path

    def forward(self, text: bytes | str) -> None:
        """Write his .forward."""
        self.write(self.home / ".forward", text)


def act(person: Person, action: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Do something as somebody, and return what he got. Raises what it raised."""
    with Acting(person, lambda: action(*arguments, **options)) as acting:
        return acting.result


class Acting(Generic[T]):
    """Somebody at work. `with` waits for the `result` of his action; what it opened is held until the `with` ends."""

    def __init__(self, person: Person, action: Callable[[], T]) -> None:
        self._reader, writer = os.pipe()
        self._stay, leave = os.pipe()
        self._result: list[T] = []
        self.pid = os.fork()
        if self.pid == 0:
            _become_and_do(person, writer, self._stay, leave, action)
        os.close(writer)
        os.close(self._stay)
        self._leave = leave

    @property
    def result(self) -> T:
        """What the action returned."""
        return self._result[0]

    def __enter__(self) -> Self:
        """Wait for the result. Raises what the action raised."""
        with open(self._reader, "rb") as said:
            data = said.read()
        if not data:
            self.__exit__()
            raise AssertionError("the attacker's process died")
        done, value = pickle.loads(data)
        if not done:
            self.__exit__()
            raise value
        self._result.append(value)
        return self

    def __exit__(self, *_: object) -> None:
        """Let him go."""
        with suppress(OSError):
            os.close(self._leave)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _become_and_do(person: Person, writer: int, stay: int, leave: int, action: Callable[[], object]) -> None:
    try:
        os.close(leave)
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        os.setgroups([person.gid])
        os.setresgid(person.gid, person.gid, person.gid)
        os.setresuid(person.uid, person.uid, person.uid)
        os.chdir("/")
        signal.alarm(ANSWER_LIMIT_S)
        try:
            data = pickle.dumps((True, action()))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised in the test
            data = pickle.dumps((False, error))
        with open(writer, "wb") as said:
            said.write(data)
        os.read(stay, 1)  # what `action` left open in this process stays open until then
    finally:
        os._exit(0)


KEPT: Final[list[object]] = []  # what an action keeps open in the attacker's process


@dataclass(slots=True)
class Walls:
    """A running system with a victim and an attacker; everything that runs is remembered."""

    server: Instance
    mallory: Person
    alice: Person
    before: list[Process] = field(default_factory=list)

    def run(
        self,
        person: Person,
        name: str,
        *arguments: str,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        prepare: Callable[[], object] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command of the mail system as somebody."""
        where = ("-C" if name == "sendmail" else "-c", str(self.server.config_directory))
        words = [str(OURS / name), *where, *arguments]
        return execute(person, words, stdin=stdin, environment=environment, prepare=prepare)

    def send(self, person: Person, recipient: str, *options: str, body: str = "body", subject: str = "x") -> None:
        """Submit a message as somebody, who is told that it was taken."""
        content = f"From: {person.address}\nTo: {recipient}\nSubject: {subject}\n\n{body}\n".encode()
        done = self.run(person, "sendmail", "-i", *options, "--", recipient, stdin=content)
        assert done.returncode == 0, done.stderr

    def mailbox(self, person: Person) -> str:
        """What is in somebody's mailbox, or in his Maildir."""
        paths = [self.server.mail_directory / person.name, *sorted(person.home.glob("Maildir/new/*"))]
        return "".join(path.read_text(encoding="utf-8", errors="surrogateescape") for path in paths if path.is_file())

    def wait_mail(self, person: Person, text: str, limit_s: float = 15) -> str:
        """Wait for text in somebody's mailbox. Raises TimeoutError."""
        deadline = time.monotonic() + limit_s
        while text not in (found := self.mailbox(person)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {text!r} for {person.name}: {found[-1000:]}\n{self.server.log()[-3000:]}")
            time.sleep(0.02)
        return found

    def normal_mail(self) -> None:
        """A message of the victim's to herself arrives."""
        token = f"token{secrets.token_hex(8)}"
        self.send(self.alice, self.alice.address, body=token)
        self.wait_mail(self.alice, token)

    def remember(self) -> None:
        """Note who runs now, but not processes that are being forked."""
        master = self.server.master_pid()
        everybody = self.server.processes()  # a fork bears its parent's name until it has taken its own
        self.before = [one for one in everybody if one.name not in ("warm", "runas") or one.parent == master]

    def unharmed(self) -> None:
        """Nobody died or was replaced, nobody says that he had to end, and mail goes through."""
        self.normal_mail()
        gone = [old for old in self.before if (now := read_process(old.pid)) is None or now.name != old.name]
        assert not gone, f"{gone}\n{self.server.log()[-3000:]}"
        assert not (died := DEATH.findall(self.server.log())), died


def execute(
    person: Person,
    words: Sequence[str],
    *,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    prepare: Callable[[], object] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program as somebody. prepare: what the new process does before, already as him."""
    return subprocess.run(
        words,
        input=stdin,
        capture_output=True,
        timeout=ANSWER_LIMIT_S,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(person.home), **(environment or {})},
        cwd="/",
        user=person.uid,
        group=person.gid,
        extra_groups=[person.gid],
        preexec_fn=prepare,
    )


def connect(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """Connect to a UNIX socket, with a time limit for everything after. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.settimeout(10)
    sock.connect(str(path))
    return sock


def talk(path: Path, *said: bytes, ends: bool = True) -> bytes:
    """Connect, say this and that, return what is answered. ends: say no more, and hear all; else the first piece."""
    with connect(path) as sock:
        heard = b""
        with suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
            for piece in said:
                sock.sendall(piece)
            if not ends:
                return sock.recv(65536)
            sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(65536):
                heard += piece
        return heard
