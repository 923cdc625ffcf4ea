"""A load of every kind of mail at once, so that every daemon has work; and an account of what arrived, byte for byte.

One *set* is: a small and a large message for a new mailbox of virtual(8), one for an mbox file and one for a new
Maildir by way of local(8), a small and a large one for the relay host, one that the relay host refuses (its sender
gets a notice), one for discard(8), one by the submit socket, and one in maildrop. Each message goes over a connection
of its own and carries the sum of its body. A notice accounts for the message it is about.
"""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from posthouse.ipc import submit as records
from tests.conftest import Start
from tests.support.instance import Instance
from tests.support.mailboxes import Boxes, give_away
from tests.support.net import LOOPBACK, read_reply
from tests.support.recording_sink import RecordingSink
from tests.support.sender import TOKEN_PREFIX, Ledger

NUMBERS: Final = 4000  # rounds that get mailboxes of their own
SENDER: Final = "author@box.test"
DROPPED: Final = "drop@relay.test"
LARGE: Final = 150_000  # bytes: above what is kept in the store
SMALL: Final = 600
CONNECTIONS: Final = 6
LOCK_S: Final = 5.0  # nobody holds the mbox file's lock longer
_TOKEN: Final = re.compile(rb"^X-Token: (\S+)\r?$", re.MULTILINE)
_SUM: Final = re.compile(rb"^X-Sum: (\S+)\r?$", re.MULTILINE)
_REASON: Final = re.compile(rb"^Diagnostic-Code: ((?:.*\n)(?:[ \t].*\n)*)", re.MULTILINE)
_FAST: Final = {"minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s"}


def refuse_gone(verb: str, address: str) -> str:
    """Answer as a relay host that does not know "gone"."""
    return "550 5.1.1 no such user here" if verb == "RCPT" and address.startswith("gone") else ""


def start(posthouse: Start, sink: RecordingSink, **main: str) -> Instance:
    """Run Posthouse with all the destinations."""
    own = {
        "alias_maps": "proxy:texthash:{directory}/etc/aliases",
        "local_recipient_maps": "$alias_maps",
        "virtual_mailbox_maps": "proxy:texthash:{directory}/etc/boxes",
        "transport_maps": "texthash:{directory}/etc/transport",
    }
    options = Boxes(["author", *(f"v{n}" for n in range(NUMBERS))]).options(
        relayhost=f"[127.0.0.1]:{sink.port}", **own, **_FAST, **main
    )
    aliases = "".join(f"a{n} {{mail}}/a{n}/\n" for n in range(NUMBERS))
    options["files"]["aliases"] = "mbox {mail}/mbox\npostmaster /dev/null\n" + aliases
    options["files"]["transport"] = f"{DROPPED} discard:\n"
    server = posthouse(**options, started=False)
    give_away(server)
    server.start_and_greet()
    return server


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to one recipient. way: smtp, submit or maildrop."""

    token: str
    recipient: str
    size: int
    way: str = "smtp"

    def content(self) -> bytes:
        """Header and body with LF line ends."""
        line = f"{self.token} is what this message says, again and again\n".encode()
        body = (line * (self.size // len(line) + 1))[: self.size] + b"\n"
        header = f"From: {SENDER}\nTo: {self.recipient}\nSubject: {self.token}\nX-Token: {self.token}\n"
        header += f"Message-Id: <{self.token}@client.test>\n"
        return f"{header}X-Sum: {_sum(body)}\n\n".encode() + body

    def submission(self) -> bytes:
        """Its records for pickup(8)."""
        content = self.content()
        pieces = [content[at : at + records.MAX_CONTENT_RECORD] for at in range(0, len(content), 60_000)]
        parts = [(records.VERSION, records.FORMAT), (records.SENDER, SENDER.encode())]
        parts += [(records.RECIPIENT, self.recipient.encode())]
        parts += [(records.CONTENT, piece[:60_000]) for piece in pieces]
        return b"".join(records.format_record(kind, data) for kind, data in [*parts, (records.END, b"")])


def _sum(body: bytes) -> str:
    return hashlib.sha256(body.replace(b"\r\n", b"\n").strip(b"\n")).hexdigest()[:32]


def make_set(number: int) -> list[Mail]:
    """One set for a round of this number."""
    to = [(f"v{number}@box.test", SMALL), (f"v{number}@box.test", LARGE), ("mbox@example.test", SMALL)]
    to += [(f"a{number}@example.test", SMALL), ("near@relay.test", SMALL), ("far@relay.test", LARGE)]
    to += [("gone@relay.test", SMALL), (DROPPED, SMALL)]
    mails = [Mail(_token(), recipient, size) for recipient, size in to]
    return [*mails, Mail(_token(), f"v{number}@box.test", SMALL, "submit"), Mail(_token(), SENDER, SMALL, "maildrop")]


def _token() -> str:
    return TOKEN_PREFIX + secrets.token_hex(8)


@dataclass(slots=True)
class Assorted:
    """The clients, and the account."""

    server: Instance
    sink: RecordingSink
    ledger: Ledger = field(default_factory=Ledger)
    arrived: Counter[str] = field(default_factory=Counter)
    refused: set[str] = field(default_factory=set)  # the relay host will not take them
    returned: dict[str, str] = field(default_factory=dict)  # of these a notice came: why, in its own words
    short: list[str] = field(default_factory=list)  # arrived with another body
    taken: int = 0  # of what the sink received

    def send(self, mails: Sequence[Mail], limit_s: float) -> Counter[str]:
        """Send all; return what was answered: a code, "lost" (the connection), or "silent" (longer than the limit)."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return Counter(pool.map(lambda mail: self._send(mail, limit_s), mails))

    def _send(self, mail: Mail, limit_s: float) -> str:
        self.ledger.try_(mail.token)
        if mail.recipient.startswith("gone"):
            self.refused.add(mail.token)
        answer = {"smtp": self._by_smtp, "submit": self._by_socket, "maildrop": self._by_file}[mail.way](mail, limit_s)
        if answer == "250" and mail.recipient != DROPPED:
            self.ledger.acknowledge(mail.token)
        return answer

    def _by_smtp(self, mail: Mail, limit_s: float) -> str:
        text = mail.content().replace(b"\n", b"\r\n") + b".\r\n"
        steps = [b"EHLO client.test\r\n", f"MAIL FROM:<{SENDER}>\r\n".encode()]
        steps += [f"RCPT TO:<{mail.recipient}>\r\n".encode(), b"DATA\r\n", text]
        try:
            with socket.create_connection((LOOPBACK, self.server.port), timeout=limit_s) as sock:
                said = read_reply(sock)
                for step in steps:
                    if said[:1] not in (b"2", b"3") or not said.endswith(b"\r\n"):
                        break
                    sock.sendall(step)
                    said = read_reply(sock)
        except TimeoutError:
            return "silent"
        except OSError:
            return "lost"
        return said[:3].decode() if said.endswith(b"\r\n") else "lost"

    def _by_socket(self, mail: Mail, limit_s: float) -> str:
        said = b""
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(limit_s)
                sock.connect(str(self.server.queue_directory / "submit" / "submit"))
                sock.sendall(mail.submission())
                while not said.endswith(b"\n") and (piece := sock.recv(4096)):
                    said += piece
        except TimeoutError:
            return "silent"
        except OSError:
            return "lost"
        return said[:3].decode() if said.endswith(b"\n") else "lost"

    def _by_file(self, mail: Mail, limit_s: float) -> str:
        """Leave it where sendmail(1) does when nobody listens, and wake pickup."""
        del limit_s
        path = self.server.queue_directory / "maildrop" / secrets.token_hex(16)
        path.write_bytes(mail.submission())
        path.chmod(0o444)
        self.wake_pickup()
        return "250"

    def wake_pickup(self) -> None:
        """Have it look into maildrop; it also does so by itself, each minute."""
        with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
            sock.settimeout(1)
            sock.connect(str(self.server.queue_directory / "public" / "pickup"))
            sock.sendall(b"W")

    def settle(self, mails: Sequence[Mail], limit_s: float) -> bool:
        """Wait until everything of these that was promised has arrived; False: the limit came first."""
        wanted = {mail.token for mail in mails} & self.ledger.acknowledged
        deadline = time.monotonic() + limit_s
        while not wanted <= set(self.arrived) | self._in_mbox():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
            self.take()
        return True

    def take(self) -> None:
        """Note what arrived, and remove it where that is a file of its own."""
        for box in self._boxes():
            for path in sorted(box.iterdir()):
                self._note(path.read_bytes(), str(path))
                path.unlink()
        received = self.sink.received
        for message in received[self.taken :]:
            self._note(message.content, f"the relay host, for {message.recipients}")
        self.taken = len(received)

    @property
    def _mbox(self) -> Path:
        return self.server.mail_directory / "mbox"

    def unlock_mbox(self) -> None:
        """Remove the lock of a recipient that was ended, or could not; local(8) itself waits 500 s before it does."""
        lock = self._mbox.with_suffix(".lock")
        with contextlib.suppress(FileNotFoundError):
            if time.time() - lock.stat().st_mtime > LOCK_S:
                lock.unlink()

    def _in_mbox(self) -> set[str]:
        found = _TOKEN.findall(self._mbox.read_bytes()) if self._mbox.exists() else []
        return {token.decode() for token in found}

    def clear(self) -> None:
        """Note everything, and remove the mailboxes; for a moment when nothing is under way."""
        self.take()
        if self._mbox.exists():
            for text in re.split(rb"^From .*\n", self._mbox.read_bytes(), flags=re.MULTILINE)[1:]:
                self._note(text, str(self._mbox))
            self._mbox.unlink()
        for box in self._boxes():
            shutil.rmtree(box.parent)

    def _boxes(self) -> Iterator[Path]:
        with os.scandir(self.server.mail_directory) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
        for name in names:
            box = self.server.mail_directory / name / "new"
            if box.is_dir():
                yield box

    def _note(self, content: bytes, where: str) -> None:
        """Take one delivered message into the account; a notice counts for what it is about."""
        content = content.replace(b"\r\n", b"\n")
        header, _, body = content.partition(b"\n\n")
        found = _TOKEN.search(content)
        assert found is not None, f"{where}: a message without a token: {content[:300]!r}"
        token = found[1].decode()
        self.arrived[token] += 1
        told = _SUM.search(header)
        if _TOKEN.search(header) is None:
            said = _REASON.search(content)
            self.returned[token] = (
                " ".join(said[1].decode(errors="replace").split()) if said else content[:900].decode()
            )
        elif told is None or told[1].decode() != _sum(body):
            self.short.append(f"{token} in {where}")
