"""The client's half of SMTP and LMTP against servers that say anything, at any time.

A Driver is the delivery agent and the server in one, and keeps a Book of what went over the wire in which order, by
which each result is judged. The server is clean as long as it says no more than it owes, however hostile the replies
are; then every result is foretold. The slow reading of replies shares nothing with client_replies.py.
"""

import random
import re
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from posthouse.protocol.smtp.client import (
    ClientEvent,
    ClientSession,
    ClientSettings,
    Closed,
    Failed,
    Greeting,
    HelloDone,
    Idle,
    RecipientDone,
    Refused,
    SendContent,
    Stage,
    TlsReady,
)
from posthouse.protocol.smtp.client_replies import MAX_LINE, MAX_LINES, MAX_REPLY, ReplyReader, ServerReply
from posthouse.protocol.smtp.envelope import Envelope, Recipient
from posthouse.protocol.smtp.features import MAX_KEYWORDS, MAX_PARAMETERS
from posthouse.protocol.smtp.stuffing import stuff_content
from tests.fuzz.smtp_inputs import SEED, cut, reply

LINE: Final = re.compile(rb"[2-5][0-5][0-9](?:[ -][^\n]*)?")
STATUS: Final = re.compile(r"([245])\.[0-9]{1,3}\.[0-9]{1,3}( +|$)")
CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
ADDRESSES: Final = (
    "a@x.test",
    "b@x.test",
    '"a b"@x.test',
    "jürgen@x.test",
    "c@x.test\r\nRSET",
    "d@x.test",
    "",
    "e@x.test",
)
CONTENTS: Final = (b"", b"x: y\n\nz\n", b".\n", b"..\n.\n", b"a\n.\nQUIT\n", b"no end", b"a\r\n.\r\nb\rc")


NOTIFY: Final = frozenset({"SUCCESS", "DELAY"})
GOOD: Final = (250, 250, 250, 250, 250, 250, 250, 250, 251, 450, 550)
TURNS: Final = 200
MOST_TRANSACTIONS: Final = 4
MOST_KEPT: Final = 200_000  # octets of replies: what came at once
ONE_BY_ONE: Final = 1500


class Heard(NamedTuple):
    """A reply, as the slow reading has it."""

    code: int
    status: str
    lines: tuple[str, ...]


def replies_of(octets: bytes) -> tuple[list[Heard], bool]:
    """Read replies; the truth value says whether something broke the protocol behind them."""
    out: list[Heard] = []
    lines: list[str] = []  # of one that has begun
    code, status, size = b"", "", 0
    for line in octets.split(b"\n")[:-1]:
        text = line.removesuffix(b"\r")[:MAX_LINE]
        if len(line) > MAX_REPLY or LINE.fullmatch(text) is None or (lines and text[:3] != code):
            return out, True
        code, more = text[:3], text[3:4] == b"-"
        words = CONTROLS.sub("?", text[4:].decode("utf-8", "replace").rstrip(" ").replace("\ufffd", "?"))
        found = STATUS.match(words)
        if found is not None and found[1] == code.decode()[0]:
            status, words = status or found[0].rstrip(" "), words[found.end() :]
        lines.append(words)
        size += len(text) + 2
        if (more or len(lines) > 1) and (size > MAX_REPLY or len(lines) > MAX_LINES):
            return out, True
        if not more:
            out.append(Heard(int(code), status, tuple(lines)))
            lines, status, size = [], "", 0
    return out, len(octets.rpartition(b"\n")[2]) > MAX_REPLY


def check_reader(data: bytes) -> None:
    """The reader finds the same replies however they are cut, and keeps little."""
    source, octets = random.Random(data[:SEED]), data[SEED:]
    expected, broken = replies_of(octets)
    ways = [[octets], cut(source, octets)]
    if len(octets) < ONE_BY_ONE:
        ways.append([octets[at : at + 1] for at in range(len(octets))])
    for pieces in ways:
        reader, found = ReplyReader(), []
        for piece in pieces:
            reader.feed(piece)
            while (reply := reader.take()) is not None:
                found.append(reply)
                assert CONTROLS.search(str(reply) + reply.text) is None, reply
            kept = len(reader._buffer) - reader._position
            assert kept <= MAX_REPLY or reader.error, "more is kept than a line may have"
            assert sum(map(len, reader._lines)) <= MAX_REPLY + MAX_LINE
        assert [same(reply) for reply in found] == expected
        assert bool(reader.error) == broken


def same(reply: ServerReply) -> Heard:
    """Make it comparable."""
    return Heard(reply.code, reply.status, reply.lines)


class Book:
    """What went over the wire, since the greeting."""

    def __init__(self, *, lmtp: bool) -> None:
        self.lmtp = lmtp
        self.clean = True  # the server has said what it owed, and no more; else nothing is foretold
        self.owed: deque[tuple[str, int]] = deque([("GREETING", 0)])  # what for, and the recipient
        self.envelope: Envelope | None = None
        self.begin(None)

    def begin(self, envelope: Envelope | None) -> None:
        """Begin a transaction."""
        self.envelope = envelope
        self.mail: Heard | None = None
        self.accepted: list[int] = []
        self.fates: dict[int, tuple[Stage, Heard | None]] = {}
        self.go = self.dotted = self.leaving = False
        recipients = () if envelope is None else envelope.recipients
        bad = envelope is not None and "\n" in envelope.sender
        self.sendable = [] if bad else [at for at, each in enumerate(recipients) if "\n" not in each.address]
        self._rcpt = iter(self.sendable)

    def commands(self, wire: bytes) -> None:
        """Take commands that the client sends."""
        assert wire == b"" or wire.endswith(b"\r\n")
        for line in wire.split(b"\r\n")[:-1]:
            verb = line.split(b" ")[0].decode()
            assert verb in (".", "EHLO", "HELO", "LHLO", "MAIL", "RCPT", "DATA", "RSET", "QUIT", "STARTTLS"), line
            assert CONTROLS.search(line.decode("latin-1")[:80].rstrip("\x80\x9f")) is None or not line.isascii()
            if verb == ".":
                assert not (self.clean and self.accepted), "an empty message for somebody"
                self.dot()
            else:
                self.owed.append((verb, next(self._rcpt) if verb == "RCPT" else 0))

    def dot(self) -> None:
        """The client ends content."""
        assert self.go or not self.clean, "content before 354"
        assert not self.dotted, "content sent twice"
        self.dotted = True
        self.owed.extend((".", at) for at in (self.accepted if self.lmtp else [0]))

    def answer(self, reply: Heard) -> bool:
        """The server answers the oldest command; returns whether that is the end, whatever follows."""
        what, at = self.owed.popleft()
        good = reply.code < 300
        if what == "MAIL":
            self.mail = reply
            if not good:
                self._decide(self.sendable, Stage.MAIL, reply)
        elif what == "RCPT":
            if good and at not in self.fates:
                self.accepted.append(at)
            else:
                self._decide([at], Stage.RCPT, reply)
        elif what == "DATA":
            self.go = reply.code // 100 == 3
            if not self.go:
                self._decide(self.accepted, Stage.DATA, reply)
        elif what == ".":
            self._decide([at] if self.lmtp else self.accepted, Stage.END, reply)
        odd = reply.code < 400 and self.envelope is not None and (reply.code >= 300) != (what == "DATA")
        self.leaving = self.leaving or odd or reply.code == 421
        over = what in ("MAIL", ".") or (what == "DATA" and not self.go) or self.envelope is None
        if what == "." and not odd:
            over = not self.owed
        return (what == "RSET" and not good) or (self.leaving and over)

    def _decide(self, recipients: Sequence[int], stage: Stage, reply: Heard) -> None:
        for at in recipients:
            self.fates.setdefault(at, (stage, reply))


class Driver:
    """See the module's docstring."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        lmtp = source.random() < 0.4
        discard = frozenset({"PIPELINING", "DSN"}) if source.random() < 0.2 else frozenset[str]()
        self.session = ClientSession(ClientSettings("c.test", lmtp, discard, send_ehlo=source.random() < 0.9))
        self.book = Book(lmtp=lmtp)
        self.results: dict[int, RecipientDone] = {}
        self.transactions = 0
        self.over = False
        self.hostility = source.choice((0.0, 0.02, 0.2))

    def run(self) -> None:
        """Hold a conversation to its end."""
        for _ in range(TURNS):
            self.flush()
            if self.over or self.session.failed:
                break
            self.serve()
        self.session.lost("lost connection")
        self.pump()
        self.check_results()
        assert self.session.failed
        assert self.session.bytes_to_send() == b"" or not self.book.clean or self.over

    def flush(self) -> None:
        """Put on the wire what is to be sent."""
        self.book.commands(self.session.bytes_to_send())

    def serve(self) -> None:
        """Let the server say something."""
        source, owed = self.source, self.book.owed
        said = b""
        if not owed or source.random() < self.hostility * 0.2:
            if source.random() < 0.3:
                self.session.lost("timed out")
            else:
                said, self.book.clean = source.choice((reply(source), b"2", b"\r\n", source.randbytes(9))), False
        else:
            codes = [self.code(what) for what, _ in list(owed)[: source.randrange(1, len(owed) + 1)]]
            said = b"".join(reply(source, code) for code in codes)
            heard, broken = replies_of(said)
            self.book.clean = self.book.clean and not broken and len(heard) == len(codes)
            for each in heard if self.book.clean else ():
                if self.book.answer(each):  # what follows is not listened to
                    break
        pieces = cut(source, said) if source.random() < 0.6 else [said] * bool(said)
        for piece in pieces:
            self.session.receive(piece)
            self.pump()
        self.pump()

    def code(self, what: str) -> int | None:
        """Choose the code of a reply: what is awaited, or any."""
        if self.source.random() < self.hostility:
            return None
        return 220 if what == "GREETING" else 354 if what == "DATA" else self.source.choice(GOOD)

    def pump(self) -> None:
        """Do what the delivery agent does with events."""
        while (event := self.session.next_event()) is not None:
            self.take(event)
        assert len(self.session._reader._buffer) < MOST_KEPT

    def take(self, event: ClientEvent) -> None:
        """Take one event."""
        session = self.session
        if isinstance(event, RecipientDone):
            self.done(event)
        elif isinstance(event, SendContent):
            self.send_content()
        elif isinstance(event, Greeting):
            session.hello()
        elif isinstance(event, HelloDone):
            check_features(event)
            if "STARTTLS" in event.features and self.source.random() < 0.3:
                session.start_tls()
            else:
                self.transact()
        elif isinstance(event, Idle):
            self.check_results()
            self.go_on()
        elif isinstance(event, Refused):
            session.quit()
        elif isinstance(event, Failed):
            assert session.failed
        else:
            assert isinstance(event, TlsReady | Closed)
            self.over = True

    def go_on(self) -> None:
        """Use the session again, or not."""
        if not self.session.usable or self.transactions > MOST_TRANSACTIONS:
            self.session.quit()
        elif self.source.random() < 0.2:
            self.session.reset()
        else:
            self.transact()

    def transact(self) -> None:
        """Begin a transaction."""
        source = self.source
        recipients = tuple(
            Recipient(source.choice(ADDRESSES), NOTIFY if source.random() < 0.2 else frozenset(), "rfc822;a+b")
            for _ in range(source.choice((1, 1, 2, 3, 6)))
        )
        sender = source.choice(("", "s@c.test", "s@c.test", "s\n@c.test"))
        envelope = Envelope(sender, recipients, 100, "8BITMIME", source.random() < 0.1, "FULL", "e", 5)
        self.flush()
        self.transactions += 1
        self.book.begin(envelope)
        self.results = {}
        self.session.send_envelope(envelope)

    def send_content(self) -> None:
        """Send content, in one piece or two."""
        self.flush()
        if self.book.clean:
            assert self.book.accepted, "content for nobody"
        content = stuff_content(self.source.choice(CONTENTS))
        at = self.source.randrange(len(content) + 1)
        if self.source.random() < 0.5:
            self.session.send_content(content[:at], last=False)
            self.session.send_content(content[at:])
        else:
            self.session.send_content(content)
        assert self.session.bytes_to_send() == content + b".\r\n"
        self.book.dot()

    def done(self, event: RecipientDone) -> None:
        """Judge a result."""
        assert event.index not in self.results, "two results for one recipient"
        self.results[event.index] = event
        if event.sent:
            assert event.reply is not None
            assert 200 <= event.reply.code < 300
            assert not self.book.clean or self.book.dotted
        if self.book.clean and (fate := self.book.fates.get(event.index)) is not None:
            assert event.stage is fate[0], (event, fate)
            assert (None if event.reply is None else same(event.reply)) == fate[1]
        elif self.book.clean and event.reply is not None:  # no RCPT was sent, since MAIL was refused
            assert event.index not in self.book.sendable
            assert same(event.reply) == self.book.mail, f"nobody has said {event.reply}"
        elif self.book.clean:
            assert event.error or self.session.failed

    def check_results(self) -> None:
        """A transaction is over: everybody has a result."""
        envelope = self.book.envelope
        assert self.results.keys() == set(range(0 if envelope is None else len(envelope.recipients)))


def check_features(event: HelloDone) -> None:
    """Bounded, and nothing that was not offered."""
    keywords = event.features.keywords
    assert len(keywords) <= MAX_KEYWORDS
    assert all(len(value) <= MAX_PARAMETERS for value in keywords.values())
    offered = {line.strip(" ").partition(" ")[0].encode().upper() for line in event.reply.lines[1:]}
    assert {keyword.encode() for keyword in keywords} <= offered


def check_client(data: bytes) -> None:
    """What the module's docstring says."""
    Driver(random.Random(data)).run()
