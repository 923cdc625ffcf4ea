"""A system with every way in and out, a load on all of them, and the books: what was promised, what arrived where.

In: SMTP clients, and sendmail(1), which leaves its message in maildrop when nobody listens. Out: Maildirs and mbox
files by virtual(8) and by local(8), a relay host, a relay host that has no time at first, and a recipient whom the
relay host refuses, so that the sender has to get a notice. The books lie outside of what is killed.
"""

import contextlib
import os
import pwd
import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support import net
from tests.support.instance import Instance
from tests.support.letters import SMALL, Letter, any_size, name, read_letter, read_mbox, write_letter
from tests.support.mailboxes import NOBODY, Boxes, owner
from tests.support.recording_sink import RecordingSink
from tests.support.sender import Clients, Ledger

USER: Final = pwd.getpwuid(owner()).pw_name
LOCAL: Final = "example.test"
RETURN: Final = "return@box.test"  # who sends everything, and gets the notices
LATE, GONE = "late@relay.test", "gone@relay.test"
PROBES: Final = ("probe@box.test", f"probe@{LOCAL}", "probe@relay.test")
# Recipient and the file or Maildir where its mail is found, below the mail directory.
MAILDIRS: Final = {
    "alice@box.test": "alice",
    "bob@box.test": "bob",
    f"folder@{LOCAL}": "folder",
    "probe@box.test": "probe",
}
MBOXES: Final = {
    "carol@box.test": "carol",
    f"{USER}@{LOCAL}": USER,
    f"file@{LOCAL}": "file",
    f"probe@{LOCAL}": "probe-file",
}
RECIPIENTS: Final = tuple(each for each in (*MAILDIRS, *MBOXES, "far@relay.test", LATE, GONE) if each not in PROBES)
BOXES: Final = Boxes(["alice", "bob", "return", "probe"])
_ALIASES: Final = {"folder": "{mail}/folder/", "file": "{mail}/file", "probe": "{mail}/probe-file"}
_RETRY: Final = {"minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s"}
_LIMITS: Final = {"message_size_limit": "6000000", "mailbox_size_limit": "0", "virtual_mailbox_limit": "0"}
_FAILED: Final = re.compile(rb"^Final-Recipient: rfc822; *(\S+)$", re.MULTILINE | re.IGNORECASE)
_TOKEN: Final = re.compile(rb"^X-Token: (\S+)$", re.MULTILINE)
DRAIN_S: Final = 120.0  # generous
PROBE_S: Final = 60.0
LOCKED_S: Final = 1.0  # longer than a delivery to one of these mailboxes takes


def options(sink: RecordingSink, mail: str = "{mail}", **main: str) -> dict[str, object]:
    """Return what `posthouse(...)` takes; mail: where the mailboxes are."""
    made = BOXES.options()
    own = {
        **made["main"],
        **_RETRY,
        **_LIMITS,
        "relayhost": f"[127.0.0.1]:{sink.port}",
        "virtual_mailbox_base": mail,
        "mail_spool_directory": mail,
        "alias_maps": "texthash:{directory}/etc/aliases.text",
        "forward_path": "",
        "max_use": "1000000",
        **main,
    }
    aliases = {"postmaster": "/dev/null", **_ALIASES}
    text = "".join(f"{alias} {target.replace('{mail}', mail)}\n" for alias, target in aliases.items())
    return {"main": own, "files": {"boxes": made["files"]["boxes"] + "carol@box.test carol\n", "aliases.text": text}}


def give_away(mail: Path) -> None:
    """Let whom the mailboxes belong to write below a directory, and nobody else: their locks are files there."""
    if os.geteuid() == 0:
        os.chown(mail, NOBODY, NOBODY)


class Host:
    """The relay host's manners: far away all is well; LATE is put off the first time; GONE is refused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = 0
        self.takes_nothing = False

    def answer(self, verb: str, address: str) -> str:
        """Answer a command (see RecordingSink)."""
        if verb != "RCPT":
            return ""
        if self.takes_nothing:
            return "451 4.3.2 not now"
        if address == GONE:
            return "550 5.1.1 no such user here"
        with self._lock:
            self._asked += address == LATE
            return "451 4.3.2 come again" if address == LATE and self._asked % 2 else ""


@dataclass
class Books:
    """What was promised to whom, and what is known to have arrived, since the beginning."""

    server: Instance
    host: Host
    sink: RecordingSink
    mail: Path
    ledger: Ledger = field(default_factory=Ledger)
    arrived: Counter[str] = field(default_factory=Counter)
    torn: int = 0  # parts of messages in mbox files; each must be there as a whole as well

    def collect(self) -> None:
        """Take everything that has arrived out of the mailboxes; nothing may be under way."""
        for recipient, place in MAILDIRS.items():
            self.arrived.update(name(read_letter(content), recipient) for content in _taken(self.mail / place / "new"))
        for content in _taken(self.mail / "return" / "new"):
            self.arrived.update(_returned(content))
        for recipient, place in MBOXES.items():
            with contextlib.suppress(FileNotFoundError):
                tokens, torn = read_mbox((self.mail / place).read_bytes())
                (self.mail / place).unlink()
                self.arrived.update(name(token, recipient) for token in tokens)
                self.torn += torn
        for message in self.sink.take():
            self.arrived.update(name(read_letter(message.content), each) for each in message.recipients)

    @property
    def promises(self) -> str:
        """Say how much was answered 250."""
        kept = self.ledger.acknowledged
        return f"{len({each.partition(':')[0] for each in kept})} messages to {len(kept)} recipients acknowledged"

    @property
    def doubles(self) -> Counter[str]:
        """Return how many came too often, by recipient."""
        found: Counter[str] = Counter()
        for each, count in self.arrived.items():
            if count > 1:
                found[each.partition(":")[2]] += count - 1
        return found


def _taken(directory: Path) -> Iterator[bytes]:
    """Yield the contents of a Maildir's new/, and remove them."""
    with contextlib.suppress(FileNotFoundError):
        for entry in sorted(directory.iterdir()):
            yield entry.read_bytes()
            entry.unlink()


def _returned(notice: bytes) -> list[str]:
    recipients = [each.decode() for each in _FAILED.findall(notice.replace(b"\r\n", b"\n"))]
    token = _TOKEN.search(notice.replace(b"\r\n", b"\n"))
    assert token is not None, f"a notice about no message of ours: {notice[:3000]!r}"
    assert recipients == [GONE], f"returned, but nothing is wrong with its recipients: {notice[:3000]!r}"
    return [name(token[1].decode(), each) for each in recipients]


def drain(server: Instance, *, idle: Callable[[], None] = lambda: None) -> float:
    """Let everything that is queued go out; return how long it took. idle: called again and again meanwhile."""
    begin = time.monotonic()
    while left := _left(server):
        assert time.monotonic() - begin < DRAIN_S, f"{left} messages stay:\n{server.log()[-3000:]}"
        server.command("postqueue", "-f")
        idle()
        time.sleep(0.2)
    return time.monotonic() - begin


def _left(server: Instance) -> int:
    """Count what is in the queue and in maildrop."""
    try:
        queued = len(server.queue())
    except RuntimeError:  # showq or qmgr comes back just now
        queued = 1
    return queued + sum(1 for _ in (server.queue_directory / "maildrop").iterdir())


class Load(Clients):
    """SMTP clients, and one that calls sendmail(1), with messages of all sizes to one to three of the recipients."""

    def __init__(self, books: Books, chance: random.Random, connections: int = 4) -> None:
        super().__init__(books.server.port, books.ledger, (), connections)
        self._server = books.server
        self._chance = chance
        self._programs = threading.Thread(target=self._submit, name="sendmail", daemon=True)

    def start(self) -> None:
        """Start all of them."""
        self._programs.start()
        super().start()

    def finish(self, limit_s: float = 80.0) -> None:
        """Let each end its message, then stop."""
        super().finish(limit_s)
        self._programs.join(limit_s)
        assert not self._programs.is_alive(), "sendmail hangs"

    def letter(self) -> Letter:
        """Write the next one."""
        recipients = self._chance.sample(RECIPIENTS, self._chance.choice((1, 1, 2, 3)))
        return write_letter(RETURN, tuple(recipients), any_size(self._chance))

    def _message(self, sock: socket.socket) -> bool:
        return self.send(sock, self.letter())

    def send(self, sock: socket.socket, letter: Letter) -> bool:
        """Send one over a session that has begun; whether it was answered 250."""
        commands = [f"MAIL FROM:<{RETURN}>\r\n", *(f"RCPT TO:<{each}>\r\n" for each in letter.recipients), "DATA\r\n"]
        for command in commands:
            if not self._say(sock, command.encode(), b"354" if command == "DATA\r\n" else b"250"):
                return False
        for each in letter.names():
            self.ledger.try_(each)
        if not self._say(sock, letter.content.replace(b"\n", b"\r\n") + b".\r\n", b"250"):
            return False
        for each in letter.names():
            self.ledger.acknowledge(each)
        return True

    def send_alone(self, letter: Letter) -> bool:
        """Send one over a session of its own; whether it was answered 250."""
        try:
            with socket.create_connection((net.LOOPBACK, self._port), timeout=PROBE_S) as sock:
                if not net.read_reply(sock).startswith(b"220"):
                    return False
                return self._say(sock, b"EHLO client.test\r\n", b"250") and self.send(sock, letter)
        except OSError:
            return False

    def _submit(self) -> None:
        while not self._ending.wait(0.2):
            self.submit(self.letter())

    def submit(self, letter: Letter, configuration: str = "") -> None:
        """Hand one to sendmail(1), perhaps with another configuration."""
        for each in letter.names():
            self.ledger.try_(each)
        words = [*(("-C", configuration) if configuration else ()), "-i", "-f", RETURN, "--", *letter.recipients]
        done = self._server.command("sendmail", *words, stdin=letter.content)
        if done.returncode:
            self.ledger.refuse(b"sendmail: " + done.stderr)
            return
        for each in letter.names():
            self.ledger.acknowledge(each)


class Probe:
    """Asks whether the service is back: a message to each kind of mailbox, tried until it is taken."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._client = Load(books, random.Random())

    def back(self, begin: float) -> tuple[float, float]:
        """Return the seconds since `begin` until a new message is answered 250, and until it is everywhere."""
        letter = self._letter()
        while not self._client.send_alone(letter):
            assert time.monotonic() - begin < PROBE_S, f"no service:\n{self._books.server.log()[-4000:]}"
            time.sleep(0.01)
            letter = self._letter()
        taken = time.monotonic() - begin
        while not self._is_everywhere(letter.token):
            assert time.monotonic() - begin < PROBE_S, f"{letter.token} waits:\n{self._books.server.log()[-4000:]}"
            age_locks(self._books.mail)
            time.sleep(0.01)
        return taken, time.monotonic() - begin

    def _letter(self) -> Letter:
        return write_letter(RETURN, PROBES, SMALL)

    def _is_everywhere(self, token: str) -> bool:
        mark = f"X-Token: {token}".encode()
        mail = self._books.mail
        with contextlib.suppress(FileNotFoundError):
            in_file = mark in (mail / "probe-file").read_bytes()
            in_folder = any(mark in entry.read_bytes() for entry in (mail / "probe" / "new").iterdir())
            return in_file and in_folder and any(mark in each.content[:2000] for each in self._books.sink.received)
        return False


def age_locks(mail: Path) -> None:
    """Let ten minutes pass for lock files that nobody living holds: a dead process's lock is stale after 500 s."""
    now = time.time()
    for lock in mail.glob("*.lock"):
        with contextlib.suppress(FileNotFoundError):
            if now - lock.stat().st_mtime > LOCKED_S:
                os.utime(lock, (now - 600, now - 600))


@contextlib.contextmanager
def under_load(books: Books, chance: random.Random, connections: int = 4) -> Iterator[Load]:
    """Send all the while; at the end each client finishes its message."""
    load = Load(books, chance, connections)
    load.start()
    try:
        yield load
    finally:
        load.finish()


def start_plainly(server: Instance) -> int:
    """Start as an init system would: again until it succeeds. Returns how often it was tried."""
    for attempt in range(1, 200):
        if server.command("postfix", "start").returncode == 0:
            return attempt
        time.sleep(0.1)
    raise AssertionError(f"it does not start:\n{server.log()[-4000:]}")
