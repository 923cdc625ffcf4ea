"""Whole sessions of smtpd, with a cleanup that fails: what was promised is what cleanup has.

smtpd and trivial-rewrite are the real ones; each configuration has tables that give no answer about some addresses.
The client sends in pieces, says no more at the end, and reads; its replies and the slow reading of what it sent
(smtp_reference.py) say which messages it believes to be with the server.
"""

import asyncio
import random
import re
import socket
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

from posthouse.config.settings import Settings
from posthouse.daemons.smtpd.daemon import DAEMON as SMTPD
from posthouse.daemons.trivial_rewrite.daemon import DAEMON as REWRITE
from posthouse.ipc.cleanup import (
    SERVER,
    Abort,
    Committed,
    Content,
    Done,
    End,
    Lease,
    Leased,
    Open,
    ToCleanup,
    WasCommitted,
)
from posthouse.ipc.stream import Channel
from posthouse.skeleton.daemon import Context, Service
from tests.fuzz.smtp_inputs import SEED, cut
from tests.fuzz.smtp_reference import Message, Reading, Request, Rules
from tests.support.inprocess import MAIN, System

LIMIT_S: Final = 20.0  # for a session; it takes a millisecond or two
SAYS: Final = re.compile(rb"((?:[2-5][0-5][0-9]-[^\r\n]*\r\n)*)([2-5][0-5][0-9]) ([^\r\n]*)\r\n")
STATUS: Final = re.compile(rb"([245])\.[0-9]{1,3}\.[0-9]{1,3}( |$)")
NO_STATUS: Final = (b"220 ", b"250 mx", b"250 CHUNKING", b"250 SMTPUTF8", b"354 ", b"501 Syntax: ")
ADDRESS: Final = re.compile(
    rb"(?:MAIL FROM|RCPT TO):<([a-z]+(?:\.[a-z]+)*@(?:[a-z]+\.)*[a-z]+)>(?: .*)?", re.IGNORECASE
)
GOODBYE: Final = re.compile(rb"synchronization|command too long|bare <LF> received")
SKIPPED: Final = 102_400_000  # octets of a refused chunk that are read, by default
FAILS: Final = "pipemap:{inline:{fail@example.test=x, fail@ext.test=x}, fail:broken}"
NO_ANSWER: Final = frozenset({b"fail@example.test", b"fail@ext.test"})
GUARD: Final = "reject_unauth_destination"
USERS: Final = frozenset({b"alice", b"bob", b"a", b"postmaster"})
BASE: Final = {
    **MAIN, "mynetworks": "127.0.0.2/32", "smtpd_error_sleep_time": "0", "myorigin": "example.test",
    "local_recipient_maps": "inline:{alice=x, bob=x, a=x, postmaster=x}", "smtpd_relay_restrictions": GUARD,
    "smtpd_forbid_unauth_pipelining": "no", "smtpd_timeout": "10s", "smtpd_soft_error_limit": "5",
}  # fmt: skip


class Setup(NamedTuple):
    """A configuration, and whom its tables give no answer about."""

    main: Mapping[str, str]
    senders_fail: bool = False
    recipients_fail: bool = False
    rules: Rules = Rules(skip_limit=SKIPPED)


SETUPS: Final[Mapping[str, Setup]] = {
    "plain": Setup({}),
    "early": Setup({"smtpd_forbid_unauth_pipelining": "yes"}),
    "senders": Setup({"smtpd_sender_restrictions": f"check_sender_access {FAILS}"}, senders_fail=True),
    "at once": Setup(
        {"smtpd_delay_reject": "no", "smtpd_sender_restrictions": f"check_sender_access {FAILS}",
         "smtpd_helo_restrictions": "reject_invalid_helo_hostname"},
        senders_fail=True,
    ),
    "recipients": Setup({"smtpd_recipient_restrictions": f"check_recipient_access {FAILS}"}, recipients_fail=True),
    "users": Setup({"local_recipient_maps": f"inline:{{alice=x, bob=x, a=x}}, {FAILS}"}, recipients_fail=True),
    "aliases": Setup({"virtual_alias_maps": FAILS}, recipients_fail=True),
    "at data": Setup({"smtpd_data_restrictions": f"check_sender_access {FAILS}"}, senders_fail=True),
    "at the end": Setup({"smtpd_end_of_data_restrictions": f"check_sender_access {FAILS}"}, senders_fail=True),
    "limits": Setup(
        {"smtpd_recipient_limit": "2", "smtpd_recipient_overshoot_limit": "1", "smtpd_hard_error_limit": "3",
         "smtpd_junk_command_limit": "2", "message_size_limit": "1000"},
        rules=Rules(skip_limit=10_000),
    ),
    "no bare LF": Setup({"smtpd_forbid_bare_newline": "reject"}, rules=Rules("reject", skip_limit=SKIPPED)),
    "bare LF": Setup({"smtpd_forbid_bare_newline": "no"}, rules=Rules("no", skip_limit=SKIPPED)),
}  # fmt: skip


@dataclass
class Taken:
    """A transaction as cleanup has it."""

    opened: Open
    content: bytes = b""
    committed: bool = False
    said: Done | None = None


class FailingCleanup(Service):
    """Keeps what it is told; `source` decides what it answers, and when it dies."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.source = random.Random(0)
        self.faults = 0.0
        self.taken: list[Taken] = []
        self._open: dict[tuple[int, int], Taken] = {}
        self._known: set[str] = set()
        self._channels: list[Channel[ToCleanup]] = []
        self._next = 1

    def begin(self, source: random.Random) -> None:
        """Begin a session."""
        self.source, self.faults = source, source.choice((0.0, 0.0, 0.02, 0.3))
        self.taken = []
        self._known.clear()

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a connection."""
        self._channels.append(Channel(self._context.loop, sock, SERVER, self._on_record, self._channels.remove))

    def closing(self) -> None:
        """Close all of them."""
        for channel in list(self._channels):
            channel.abort()

    def _fails(self) -> bool:
        return self.source.random() < self.faults

    def _on_record(self, channel: Channel[ToCleanup], record: ToCleanup) -> None:
        if isinstance(record, Lease):
            if self._fails():
                channel.abort()
                return
            count = self.source.choice((1, 2, 64))
            channel.send(Leased(record.id, self._next, count))
            self._next += count
        elif isinstance(record, WasCommitted):
            if self._fails():
                channel.abort()
            else:
                channel.send(Committed(record.id, record.queue_id in self._known))
        else:
            self._on_message(channel, record)

    def _on_message(self, channel: Channel[ToCleanup], record: ToCleanup) -> None:
        key = id(channel), record.id
        if isinstance(record, Open):
            self._open[key] = Taken(record)
            self.taken.append(self._open[key])
        elif isinstance(record, Content):
            self._open[key].content += record.data
        elif isinstance(record, Abort):
            self._open.pop(key, None)
        elif isinstance(record, End):
            taken = self._open.pop(key)
            taken.content += record.data
            self._end(channel, record.id, taken)
        if not isinstance(record, End) and self._fails() and self.source.random() < 0.2:
            channel.abort()

    def _end(self, channel: Channel[ToCleanup], number: int, taken: Taken) -> None:
        queue_id = taken.opened.envelope.queue_id
        taken.committed = not self._fails()
        if taken.committed:
            self._known.add(queue_id)
            done = Done(number, 250, "2.0.0", f"Ok: queued as {queue_id}", queue_id)
        else:
            done = self.source.choice((
                Done(number, 451, "4.3.0", "Error: queue file write error", queue_id),
                Done(number, 552, "5.3.4", "Error: message file too big", queue_id),
                Done(number, 550, "5.7.1", "message content rejected", queue_id),
            ))  # fmt: skip
        if self._fails():
            channel.abort()  # it was committed, or not: only WasCommitted tells
            return
        taken.said = done
        if self.source.random() < 0.1:
            self._context.loop.call_soon(channel.send, done)
        else:
            channel.send(done)


@dataclass
class Place:
    """All servers of a process of the run."""

    base: ClassVar[str | None] = None  # where directories are made
    only: ClassVar["Place | None"] = None

    system: System = field(init=False)
    services: dict[str, Service] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(dir=self.base, prefix="smtp")
        self.system = System(Path(self._directory.name), BASE)
        self.system.start(REWRITE, "private/rewrite")
        cleanup = self.system.start(FailingCleanup, "public/cleanup")
        assert isinstance(cleanup, FailingCleanup)
        self.cleanup = cleanup
        for name, setup in SETUPS.items():
            self.services[name] = SMTPD.start(self._context(setup.main))

    def _context(self, main: Mapping[str, str]) -> Context:
        context = self.system.context()
        values = {**BASE, "queue_directory": str(self.system.directory), **main}
        context.settings = Settings.from_mapping(values, service_name="smtpd", process_name="smtpd")
        return context

    @classmethod
    def get(cls) -> "Place":
        """Give that of this process."""
        if cls.only is None:
            cls.only = Place()
        return cls.only

    @classmethod
    def close(cls) -> None:
        """Stop the servers, if there are any."""
        place, cls.only = cls.only, None
        if place is not None:
            for service in place.services.values():
                service.closing()
            place.system.close()
            place._directory.cleanup()

    def talk(self, name: str, pieces: list[bytes], turns: list[int]) -> bytes:
        """Let a client say the pieces; give what it hears to the end."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.system.log.lines.clear()
        self.services[name].accept(theirs, 0)
        heard = self.system.run(self._client(ours, pieces, turns), limit_s=LIMIT_S)
        ours.close()
        return heard

    async def _client(self, sock: socket.socket, pieces: list[bytes], turns: list[int]) -> bytes:
        loop = self.system.loop
        writing = loop.create_task(self._write(sock, pieces, turns))
        heard = b""
        try:
            while data := await loop.sock_recv(sock, 65536):
                heard += data
        except ConnectionResetError:
            pass
        await writing
        return heard

    async def _write(self, sock: socket.socket, pieces: list[bytes], turns: list[int]) -> None:
        loop = self.system.loop
        try:
            for piece, count in zip(pieces, turns, strict=True):
                for _ in range(count):
                    await asyncio.sleep(0)
                await loop.sock_sendall(sock, piece)
            sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass


def replies_of(heard: bytes) -> Iterator[tuple[int, bytes]]:
    """Read what the client heard: code and last line of each reply; anything else is a finding."""
    at = 0
    while at < len(heard):
        match = SAYS.match(heard, at)
        assert match is not None, f"no reply: {heard[at : at + 100]!r}"
        at = match.end()
        last = match[2] + b" " + match[3]
        status = STATUS.match(match[3])
        assert status is not None or last.startswith(NO_STATUS), f"no enhanced status: {last!r}"
        assert status is None or status[1] == last[:1], last
        yield int(match[2]), last


class Sent(NamedTuple):
    """A message that the client knows to be with the server."""

    sender: bytes  # the command
    recipients: list[bytes]
    message: Message


def check_conversation(data: bytes) -> None:
    """What the module's docstring says."""
    source = random.Random(data[:SEED])
    octets = data[SEED:]
    name = source.choice(list(SETUPS))
    place = Place.get()
    place.cleanup.begin(source)
    pieces = cut(source, octets) if source.random() < 0.7 else [octets] * bool(octets)
    heard = place.talk(name, pieces, [source.choice((0, 1, 1, 3)) for _ in pieces])
    sent = promised(SETUPS[name], octets, heard)
    check_taken(sent, place.cleanup.taken)
    assert not [line for line in place.system.log.lines if "panic" in line]


def promised(setup: Setup, octets: bytes, heard: bytes) -> list[Sent]:
    """Go through what was said and heard; give the messages that were answered 250."""
    replies = deque(replies_of(heard))
    assert replies, "no greeting"
    greeting, _ = replies.popleft()
    assert greeting in (220, 554)
    reading = Reading(setup.rules, octets, closed=greeting == 554)
    sent: list[Sent] = []
    recipients: list[bytes] = []
    sender, errors = b"", 0
    while (request := reading.next()) is not None:
        command = request.kind == "BDAT" and not request.skipped
        early = replies and b"synchronization" in replies[0][1]
        if command and not early and reading.begin_chunk(request) and not reading.is_too_much:
            continue
        assert replies, f"no answer to {request}"
        code, last = replies.popleft()
        closes = (
            command
            or code in (221, 421, 521)
            or (request.kind not in ("+", "LAST") and GOODBYE.search(last) is not None)
        )
        if code < 300 and request.kind in (".", "LAST"):
            errors = 0
        errors += code >= 400 and code != 421 and b" 4.5.3 " not in last
        assert errors <= int(setup.main.get("smtpd_hard_error_limit", 20)), "the session does not end"
        if code < 300:
            check_permitted(setup, request, sender)
            if request.kind == "MAIL":
                sender, recipients = request.line, []
            elif request.kind == "RCPT":
                recipients.append(request.line)
            elif request.kind in (".", "LAST"):
                assert request.message is not None
                sent.append(Sent(sender, recipients, request.message))
        reading.answer(code, closes=closes)
    assert [code for code, _ in replies] in ([], [421]), f"nobody asked for {replies}"
    return sent


def check_permitted(setup: Setup, request: Request, sender: bytes) -> None:
    """Nobody gets through about whom a table did not answer, or for whom we are not there."""
    limits = "smtpd_recipient_limit" in setup.main
    if request.kind in (".", "LAST") and request.message is not None:
        assert not (setup.rules.mode == "reject" and request.message.bare_lf)
        assert not limits or request.message.size <= 2000, "too large"
    address = ADDRESS.fullmatch(sender)
    if address is not None and setup.senders_fail and address[1].lower() in NO_ANSWER:
        at_rcpt = "smtpd_sender_restrictions" in setup.main
        refused = request.kind == "RCPT" if at_rcpt else request.kind in (".", "LAST")
        assert not refused or b"postmaster" in request.line.lower(), "a sender about whom a table has failed"
    if request.kind != "RCPT" or (address := ADDRESS.fullmatch(request.line)) is None:
        return
    user, _, domain = address[1].lower().rpartition(b"@")
    assert domain == b"example.test", f"relays to {request.line!r}"
    assert user in USERS, f"accepts {request.line!r}"


def check_taken(sent: list[Sent], taken: list[Taken]) -> None:
    """What cleanup has committed is what was answered 250, one for one."""
    committed = [each for each in taken if each.committed]
    assert len(committed) == len(sent), f"{len(sent)} answered 250, {len(committed)} taken"
    for promise, message in zip(sent, committed, strict=True):
        envelope, recipients = message.opened.envelope, message.opened.recipients
        assert len(recipients) == len(promise.recipients)
        lines = [promise.sender, *promise.recipients]
        addresses = [envelope.sender, *(recipient.address for recipient in recipients)]
        for line, address in zip(lines, addresses, strict=True):
            plain = ADDRESS.fullmatch(line)
            assert plain is None or plain[1].decode() == address, (line, address)
        head, body = after_received(message.content)
        assert head.startswith(b"Received: from "), head
        assert body == as_content(promise.message.text), (body[:300], promise.message.text[:300])


def after_received(content: bytes) -> tuple[bytes, bytes]:
    """Take the first field of a header away."""
    match = re.match(rb"[^\n]*\n(?:[ \t][^\n]*\n)*", content)
    assert match is not None
    return match[0], content[match.end() :]


def as_content(text: bytes) -> bytes:
    """Do with lines of mailboxes at the top, and with a blank as the first octet, what smtpd does."""
    top = b""
    while (match := re.match(rb">*From [^\n]*\n?", text)) is not None:
        top += b"X-Mailbox-Line: " + match[0]
        text = text[match.end() :]
    return top + (b"\n" if text[:1] in (b" ", b"\t") else b"") + text
