r"""Dialogs: what a client sends and what the server must say, as files that an administrator can read.

    # comment                     what the dialog shows, and against which attack
    O: helo_required              a setting of the session (only where the dialog runs against the session object)
    C: EHLO client.example        the client sends a line; several in a row leave in one write, as with pipelining
    c: partial line               the client sends this as it is, without a line end
    S: 250                        the next reply begins like this (its last line, when it has several)
    S: closed                     the server has closed
    M: Subject: x\n\nbody\n        the next message that was accepted, in LF form (only against the session object)

Escapes in C:, c: and M:: \r \n \t \0 \\ \xHH, and {text*number} for repetition.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from posthouse.protocol.address import split_address
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.content import BareNewline
from posthouse.protocol.smtp.events import (
    Bdat,
    Content,
    Data,
    EndOfChunk,
    EndOfChunks,
    EndOfContent,
    Event,
    Helo,
    Help,
    Mail,
    Noop,
    Notice,
    Quit,
    Rcpt,
    Refused,
    Rset,
    Vrfy,
)
from posthouse.protocol.smtp.grammar import Syntax
from posthouse.protocol.smtp.replies import Reply
from posthouse.protocol.smtp.server import ServerSession, ServerSettings
from posthouse.protocol.smtp.states import State

SIZE_LIMIT = 1_000_000
RECIPIENT_LIMIT = 5
USERS = frozenset({"alice", "bob", "postmaster"})
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))")
_REPEAT = re.compile(rb"\{(.+?)\*([0-9]+)\}", re.DOTALL)
_NAMED = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


@dataclass(frozen=True)
class Step:
    """One line of a dialog."""

    number: int
    kind: str
    text: str


@dataclass(frozen=True)
class Dialog:
    """A dialog file."""

    name: str
    options: frozenset[str]
    steps: tuple[Step, ...]


class Server(Protocol):
    """What a dialog runs against: the session object, or a server behind a socket."""

    def send(self, data: bytes) -> None:
        """Give the server bytes, all at once."""

    def reply(self) -> bytes | None:
        """Return the next reply without its last line end; None: there is none, the connection is closed."""

    def messages(self) -> list[bytes] | None:
        """Return the messages accepted so far, in LF form; None: they cannot be seen from here."""


def read_dialog(path: Path) -> Dialog:
    """Read a dialog file."""
    options: set[str] = set()
    steps: list[Step] = []
    for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
        if not line or line.startswith("#"):
            continue
        kind, colon, text = line.partition(":")
        assert colon, f"{path}:{number}: no colon"
        assert kind in {"C", "c", "S", "M", "O"}, f"{path}:{number}: unknown kind {kind}"
        text = text.removeprefix(" ")
        if kind == "O":
            options.add(text)
        else:
            steps.append(Step(number, kind, text))
    return Dialog(path.name, frozenset(options), tuple(steps))


def octets(text: str) -> bytes:
    """Resolve escapes and repetitions."""
    data = _ESCAPE.sub(
        lambda match: bytes([int(match[1], 16)]) if match[1] else _NAMED.get(match[2], match[2]), text.encode("utf-8")
    )
    return _REPEAT.sub(lambda match: match[1] * int(match[2]), data)


def run_dialog(dialog: Dialog, server: Server) -> None:
    """Run a dialog; an AssertionError names the line that the server did not keep to."""
    to_send: list[bytes] = []
    seen = 0
    for step in dialog.steps:
        where = f"{dialog.name}:{step.number}: {step.kind}: {step.text}"
        if step.kind in {"C", "c"}:
            to_send.append(octets(step.text) + (b"\r\n" if step.kind == "C" else b""))
            continue
        if to_send:
            server.send(b"".join(to_send))
            to_send.clear()
        if step.kind == "S":
            reply = server.reply()
            if step.text == "closed":
                assert reply is None, f"{where}: got {reply!r}"
            else:
                assert reply is not None, f"{where}: the server has nothing to say"
                last = reply.rsplit(b"\r\n", 1)[-1]
                assert last.startswith(step.text.encode()), f"{where}: got {reply!r}"
        else:
            messages = server.messages()
            if messages is not None:
                assert len(messages) > seen, f"{where}: no further message"
                assert messages[seen] == octets(step.text), f"{where}: got {messages[seen]!r}"
                seen += 1
    if to_send:
        server.send(b"".join(to_send))
    messages = server.messages()
    assert messages is None or len(messages) == seen, f"{dialog.name}: messages not named by M: {messages!r}"


@dataclass
class SessionServer:
    """The session object with a small policy: example.test is ours, with alice, bob and postmaster."""

    options: frozenset[str]
    step: int = 0  # octets given to the session at once; 0: all
    accepted: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        mode = next((o.partition("=")[2] for o in self.options if o.startswith("bare_newline=")), "normalize")
        self.session = ServerSession(
            ServerSettings(
                hostname="mx.example.test",
                helo_required="helo_required" in self.options,
                vrfy="disable_vrfy" not in self.options,
                chunking="no_chunking" not in self.options,
                skip_limit=SIZE_LIMIT * 10,
                bare_newline=BareNewline(mode),
                forbid_pipelining="allow_pipelining" not in self.options,
                noop=frozenset({"XNOP"}),
                syntax=Syntax(
                    strict_envelopes="strict" in self.options,
                    smtputf8="no_smtputf8" not in self.options,
                    dsn="no_dsn" not in self.options,
                ),
            )
        )
        self._recipients = 0
        self._too_large = False  # the chunk under way
        self._pipelined = False
        self._content: list[bytes] = []
        self._lines: list[bytes] = []
        self._greet = "early" not in self.options
        if self._greet:
            self._hello()

    def _hello(self) -> None:
        refuses = "refused" in self.options
        greeting = Reply(554, "5.7.1", "No") if refuses else Reply(220, "", "mx.example.test ESMTP Postfix")
        refused = self.session.greet(greeting)
        if isinstance(refused, Refused):
            self.session.reply(refused.reply)
        self._take()

    def send(self, data: bytes) -> None:
        """Give the session the bytes in pieces of `step`, and answer what comes of them."""
        step = self.step or max(len(data), 1)
        for start in range(0, len(data), step):
            self.session.receive(data[start : start + step])
            if not self._greet:
                self._greet = True
                self._hello()
            self._take()

    def reply(self) -> bytes | None:
        """Return the next reply."""
        reply: list[bytes] = []
        while self._lines:
            line = self._lines.pop(0)
            reply.append(line)
            if line[3:4] == b" ":
                return b"\r\n".join(reply)
        assert not reply
        assert self.session.state is State.CLOSED
        return None

    def messages(self) -> list[bytes]:
        """Return what was accepted."""
        return self.accepted

    def _take(self) -> None:
        while (event := self.session.next_event()) is not None:
            if isinstance(event, Content):
                self._content.append(event.data)
            elif isinstance(event, Notice):
                self._pipelined = True
            else:
                self.session.reply(self._decide(event))
        data = self.session.bytes_to_send()
        assert not data or data.endswith(b"\r\n")
        self._lines += data.split(b"\r\n")[:-1]

    def _decide(self, event: Event) -> Reply:
        if isinstance(event, Refused):
            return event.reply
        if isinstance(event, Rcpt):
            return self._decide_rcpt(event)
        if isinstance(event, Data) and self._pipelined and "reject_pipelining" in self.options:
            return Reply(503, "5.5.0", "<DATA>: Data command rejected: Improper use of SMTP command pipelining")
        if isinstance(event, Bdat | EndOfChunk):
            return self._decide_chunk(event)
        if isinstance(event, EndOfContent):
            return self._decide_message(event)
        if isinstance(event, Mail):
            self._recipients = 0
            self._content = []
            if event.size is not None and event.size > SIZE_LIMIT:
                return Reply(552, "5.3.4", "Message size exceeds fixed limit")
        if isinstance(event, Helo) and event.verb == "EHLO":
            return Reply.of_lines(
                250, ("mx.example.test", "PIPELINING", f"SIZE {SIZE_LIMIT}", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING")
            )
        if isinstance(event, Vrfy):
            return Reply(252, "2.0.0", event.argument)
        return _PLAIN[type(event)]

    def _decide_rcpt(self, event: Rcpt) -> Reply:
        if self._recipients == RECIPIENT_LIMIT:
            return Reply(452, "4.5.3", "Error: too many recipients")
        user, domain = split_address(event.recipient.lower())
        if domain not in {None, "example.test", "[127.0.0.1]"}:
            return Reply(554, "5.7.1", f"<{event.recipient}>: Relay access denied")
        if user not in USERS:
            return Reply(550, "5.1.1", f"<{event.recipient}>: Recipient address rejected: User unknown")
        self._recipients += 1
        return replies.RECIPIENT_OK

    def _decide_chunk(self, event: Bdat | EndOfChunk) -> Reply:
        if isinstance(event, Bdat):
            self._too_large = event.before + event.size > SIZE_LIMIT
            return replies.START_CHUNK
        if self._too_large:
            return replies.CHUNK_TOO_LARGE
        return Reply(550, "5.5.2", "bare <LF> received") if event.bare_lf else replies.chunk_accepted(event.size)

    def _decide_message(self, event: EndOfContent) -> Reply:
        chunked = isinstance(event, EndOfChunks)
        if chunked and self._too_large:
            return replies.CHUNK_TOO_LARGE
        if event.bare_lf and self.session.settings.bare_newline is BareNewline.REJECT:
            return Reply(550, "5.5.2", "mx.example.test Error: bare <LF> received", closes=not chunked)
        if event.size_bytes > SIZE_LIMIT:
            return Reply(552, "5.3.4", "Error: message file too big")
        content = b"".join(self._content)
        assert len(content) + content.count(b"\n") == event.size_bytes
        self.accepted.append(content)
        size = f"{event.size_bytes} bytes " if chunked else ""
        return Reply(250, "2.0.0", f"Ok: {size}queued as {len(self.accepted)}")


_PLAIN = {
    Helo: Reply(250, "", "mx.example.test"),
    Mail: replies.SENDER_OK,
    Data: replies.START_CONTENT,
    Rset: replies.OK,
    Noop: replies.OK,
    Quit: replies.BYE,
    Help: Reply(214, "2.0.0", "Commands: BDAT DATA EHLO HELO HELP MAIL NOOP QUIT RCPT RSET VRFY"),
}
