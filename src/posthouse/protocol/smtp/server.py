"""The server's half of SMTP, without any I/O: bytes in, events out, replies in, bytes out.

The daemon gives a ServerSession what the socket gave (`receive`), takes what the client said (`next_event`), decides,
and answers each event except Content and Notice with one `reply`. What may follow what is the table TRANSITIONS alone;
what a command refused by it is told is the table SEQUENCE_REPLIES (both in states.py). Refused commands are events as
well, so that the daemon counts and logs them; they bring their reply along.
Invariant (tests): no bytes make it raise, and the events do not depend on where the network cut the bytes (except
that improper pipelining is only seen when it arrives together). The octets behind a BDAT command are read whatever is
said to it, or the session ends: never are they commands (but for a client that was refused when it connected: whatever
it sends is refused, QUIT apart). Sources: RFC 5321 3 and 4, RFC 2920, RFC 3030; facts B04.*.
Elsewhere: arguments in grammar.py, the content in content.py and chunking.py, reply texts in replies.py.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.chunking import Chunks
from posthouse.protocol.smtp.content import BareNewline, ContentReader
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
    Reason,
    Refused,
    Rset,
    Vrfy,
)
from posthouse.protocol.smtp.grammar import Syntax, parse_bdat, parse_mail, parse_rcpt, parse_vrfy, upper
from posthouse.protocol.smtp.replies import Reply
from posthouse.protocol.smtp.states import SEQUENCE_REPLIES, TRANSACTION, TRANSITIONS, State

LAST_IN_GROUP: Final = frozenset({"EHLO", "HELO", "DATA", "VRFY", "NOOP"})  # RFC 2920 3.1
JUNK_COMMANDS: Final = frozenset({"HELO", "EHLO", "RSET", "NOOP", "VRFY", "ETRN"})  # B04.06
LOGGED: Final = 200  # characters of a refused line that go on to the log
AHEAD_LOGGED: Final = 100  # octets of what was sent too early that do
BLANKS: Final = " \t\n\v\f\r"
_BLANKS: Final = re.compile(f"[{BLANKS}]+")
_HEADER: Final = re.compile(r"[!-9;-~]+:", re.ASCII)
# Blanks (several are one), control characters, and what would mean something in a header
_UNSAFE_IN_NAME: Final = re.compile(r"[ \t\n\v\f\r]++|[\x00-\x1f\x7f-\x9f\u2028\u2029<>()\\\";@]")
_ESCAPES: Final = {octet: f"\\{octet:03o}" for octet in (*range(32), *range(127, 256))} | {
    7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 92: "\\\\",
}  # fmt: skip
_NOT_LETTER: Final = re.compile(r"[^A-Za-z]")


def escaped(data: bytes) -> str:
    """Write what a client sent as Postfix does in its log: what is no ASCII text as in C, by letter or number."""
    return "".join(_ESCAPES.get(octet) or chr(octet) for octet in data)


def is_forbidden(verb: str) -> bool:
    """Say what the default of smtpd_forbidden_commands says: CONNECT GET POST, and what begins with no letter."""
    return verb in {"CONNECT", "GET", "POST"} or _NOT_LETTER.match(verb) is not None


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What a session must know of main.cf; one object serves all sessions of a service."""

    hostname: str = "localhost"  # myhostname, for replies that name us
    line_limit: int = 2048  # octets of a command line without its end; postconf(5): line_length_limit
    helo_required: bool = False  # postconf(5): smtpd_helo_required
    vrfy: bool = True  # postconf(5): disable_vrfy_command = no
    bare_newline: BareNewline = BareNewline.NORMALIZE  # postconf(5): smtpd_forbid_bare_newline
    bare_newline_code: int = 550  # postconf(5): smtpd_forbid_bare_newline_reject_code
    chunking: bool = True  # "chunking" not in smtpd_discard_ehlo_keywords
    skip_limit: int = 0  # octets of a refused chunk that are read; a larger one ends the session; 0: no limit
    forbid_pipelining: bool = True  # postconf(5): smtpd_forbid_unauth_pipelining
    check_utf8: bool = True  # postconf(5): smtputf8_enable
    forbidden: Callable[[str], bool] = is_forbidden  # of an unknown verb; postconf(5): smtpd_forbidden_commands
    noop: frozenset[str] = frozenset()  # upper case; postconf(5): smtpd_noop_commands
    syntax: Syntax = field(default_factory=Syntax)


class ServerSession:
    """The protocol of one connection. The state moves in `reply` and `greet` and nowhere else."""

    __slots__ = (
        "_buffer", "_chunks", "_content", "_noticed", "_out", "_position", "_read", "_refused", "_unanswered", "helo",
        "protocol", "settings", "state",
    )  # fmt: skip

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.state = State.CONNECTED
        self.helo: Helo | None = None  # the last one that was answered positively
        self.protocol = "SMTP"  # as in Received: and the policy protocol; ESMTP after an EHLO, whatever comes then
        self._buffer = b""
        self._position = 0  # of the first octet of the buffer that is not used up
        self._read: Callable[[ServerSession], Event | None] | None = None  # what reads content; None: commands come
        self._content: ContentReader | None = None
        self._chunks: Chunks | None = None  # of the message under way, or the last one
        self._refused: tuple[Refused, State] | None = None  # a chunk that is only skipped, and what comes after it
        self._unanswered: Event | None = None  # the event that waits for its reply
        self._noticed = False
        self._out: list[bytes] = []

    # What the daemon calls, in this order.

    def greet(self, reply: Reply) -> Refused | Notice | None:
        """Send the greeting. One that refuses ends the session if it closes; else the client can only say QUIT.

        A client that has spoken already is refused: answer that event like any other. None: all is well.
        """
        assert self.state is State.CONNECTED, "greet() twice: caller's bug"
        self.state = State.NEW if reply.code < 400 else State.DENIED
        if reply.closes:
            self._send(reply)
            self.close()
            return None
        event = self._improper("CONNECT") if self._position < len(self._buffer) else None
        if isinstance(event, Refused):
            self._unanswered = event
        else:
            self._send(reply)
        return event

    def receive(self, data: bytes | memoryview) -> None:
        """Take bytes from the client: part of a line, or many lines (RFC 2920)."""
        if self.state is not State.CLOSED:
            if self._position < len(self._buffer):
                self._buffer = b"".join((self._buffer[self._position :], data))
            else:
                self._buffer = bytes(data)
            self._position = 0

    def next_event(self) -> Event | None:
        """Return what the client said next. None: feed more bytes, or reply first."""
        if self._unanswered is not None:
            return None
        if self._read is not None:
            return self._read(self)
        if self._position >= len(self._buffer) or self.state is State.CLOSED or self.state is State.CONNECTED:
            return None
        event = self._read_command()
        if event is not None and not isinstance(event, Notice):
            self._unanswered = event
        return event

    def reply(self, reply: Reply) -> None:
        """Answer the last event: 2xx and 3xx move the state; 421 and 521 close, and so do replies that say so."""
        event = self._unanswered
        assert event is not None, "reply() with nothing to answer: caller's bug"
        self._unanswered = None
        self._out.append(reply.wire)
        if reply.closes:
            self.close()
        elif not isinstance(event, Refused) and (reply.code < 400 or isinstance(event, EndOfContent)):
            self._move(event)
        elif type(event) is EndOfChunk:
            self.state = State.FAILED
        else:
            assert type(event) is not Bdat, "a chunk is refused at its end: caller's bug"

    def bytes_to_send(self) -> bytes:
        """Hand over, once, the bytes that should go to the client now."""
        out = self._out
        if len(out) == 1:
            return out.pop()
        data = b"".join(out)
        out.clear()
        return data

    # What the daemon may ask.

    @property
    def in_transaction(self) -> bool:
        """Whether MAIL was accepted and the transaction is still open."""
        return self.state in TRANSACTION

    @property
    def buffered_bytes(self) -> int:
        """How much was received and not used yet; do not read on while much waits for replies."""
        return len(self._buffer) - self._position

    @property
    def content_bytes(self) -> int | None:
        """How much of the content after DATA has come, with CRLF line ends; None: none is awaited."""
        return None if self._content is None else self._content.taken_bytes

    @property
    def chunked_bytes(self) -> int:
        """How much of the content of a message under way came by BDAT; 0: none did, or it was refused."""
        chunks, under_way = self._chunks, self._refused is None and self.state in {State.CHUNK, State.CHUNKS}
        return chunks.octets if chunks is not None and under_way else 0

    @property
    def skips_chunk(self) -> bool:
        """Whether a refused chunk is under way, or was when the session ended."""
        return self._refused is not None

    def close(self, reply: Reply | None = None) -> None:
        """End the session from our side (timeout, shutdown), maybe with a last reply."""
        if reply is not None and self.state is not State.CLOSED:
            self._out.append(reply.wire)
        self.state = State.CLOSED
        self._unanswered = self._read = None
        self._buffer, self._position = b"", 0

    # What happens inside.

    def _send(self, reply: Reply) -> None:
        self._out.append(reply.wire)

    def _home(self) -> State:
        return State.NEW if self.helo is None else State.GREETED

    def _move(self, event: Event) -> None:
        verb = _VERB_OF[type(event)]
        if isinstance(event, Helo):
            verb, self.helo = event.verb, event
            if verb == "EHLO":
                self.protocol = "ESMTP"
        state = TRANSITIONS[self.state][verb]
        self.state = self._home() if state is State.GREETED else state
        if state is State.DATA:
            self._content = ContentReader(self.settings.bare_newline)
            self._read = ServerSession._read_content
        elif state is State.CLOSED:
            self._buffer, self._position = b"", 0
        elif state is State.CHUNK:
            assert type(event) is Bdat
            if event.first or self._chunks is None:
                self._chunks = Chunks(eager=self.settings.bare_newline is BareNewline.REJECT)
            self._chunks.begin(event.size, last=event.last)
            self._read = ServerSession._read_chunk

    def _read_content(self) -> Event | None:
        reader = self._content
        assert reader is not None
        if not reader.done:
            if self._position >= len(self._buffer):
                return None
            text = reader.feed(self._buffer[self._position :] if self._position else self._buffer)
            self._buffer, self._position = reader.rest, 0  # what is behind the dot is for the commands
            if text:
                return Content(text)
            if not reader.done:
                return None
        self._read = self._content = None
        self._unanswered = end = EndOfContent(reader.size_bytes, reader.bare_lf, reader.bare_cr)
        return end

    def _read_chunk(self) -> Event | None:
        """Read the octets of a chunk as content."""
        chunks = self._chunks
        assert chunks is not None
        if chunks.left:
            data = self._octets(chunks.left)
            if data and (text := chunks.take(data)):
                return Content(text)
            if chunks.left:
                return None
        if text := chunks.finish():
            return Content(text)
        self._read = None
        end: EndOfChunk | EndOfChunks
        if chunks.last:
            end = EndOfChunks(chunks.size_bytes, chunks.bare_lf, chunks.bare_cr)
        else:
            end = EndOfChunk(chunks.size, chunks.bare_lf and chunks.eager)
        self._unanswered = end
        return end

    def _skip_chunk(self) -> Event | None:
        """Read the octets of a chunk that is refused; only then is it said."""
        chunks = self._chunks
        assert chunks is not None
        assert self._refused is not None
        chunks.left -= len(self._octets(chunks.left))
        if chunks.left:
            return None
        self._unanswered, self.state = self._refused
        self._read = self._refused = None
        return self._unanswered

    def _octets(self, most: int) -> bytes:
        """Take octets out of the buffer."""
        start, buffer = self._position, self._buffer
        whole = not start and len(buffer) <= most
        data = buffer if whole else buffer[start : start + most]
        self._position = start + len(data)
        return data

    def _read_command(self) -> Event | None:
        start, buffer = self._position, self._buffer
        limit = self.settings.line_limit
        end = buffer.find(b"\n", start, start + limit + 2)
        if end < 0:
            if len(buffer) - start < limit + 2:
                return None
            return self._cannot_read(Reason.TOO_LONG, buffer[start : start + limit])
        self._position = end + 1
        bare = end == start or buffer[end - 1] != 13
        line = buffer[start : end if bare else end - 1]
        if len(line) > limit:
            return self._cannot_read(Reason.TOO_LONG, line)
        if bare and self.settings.bare_newline is BareNewline.REJECT:
            return self._cannot_read(Reason.BARE_LF, line)
        try:
            text = line.decode("utf-8", "strict" if self.settings.check_utf8 else "surrogateescape")
        except UnicodeDecodeError:
            return self._cannot_read(Reason.BAD_UTF8, line)
        event = self._command(text)
        if isinstance(event, Notice):
            self._position = start  # the command itself comes next
        return event

    def _command(self, text: str) -> Event | None:
        word, _, argument = text.partition(" ")
        verb = upper(word)
        if verb not in _READERS:
            # Blanks in front, a tab behind the verb, an unknown verb: rare, so only now looked at.
            words = text.strip(BLANKS)
            blanks = _BLANKS.search(words)
            word, argument = (words, "") if blanks is None else (words[: blanks.start()], words[blanks.end() :])
            verb = upper(word)
            if verb in self.settings.noop:
                return Refused(Reason.IGNORED, verb, text[:LOGGED], replies.OK)
            if verb not in _READERS:
                return self._unknown(verb, text)
        if (
            self._position < len(self._buffer)
            and not self._noticed
            and (verb in LAST_IN_GROUP or self.protocol == "SMTP")
            and self.state is not State.DENIED
        ):
            return self._improper(verb)
        if verb not in TRANSITIONS[self.state]:
            if self.state is State.DENIED:
                return Refused(Reason.DENIED, verb, text[:LOGGED], replies.ACCESS_DENIED)
            if verb == "BDAT":
                return self._bdat(argument)
            return Refused(Reason.SEQUENCE, verb, text[:LOGGED], SEQUENCE_REPLIES[self.state, verb])
        event = _READERS[verb](self, argument)
        if isinstance(event, Reply):
            reason = Reason.SEQUENCE if event is replies.HELO_FIRST else Reason.SYNTAX
            return Refused(reason, verb, text[:LOGGED], event)
        return event

    def _unknown(self, verb: str, text: str) -> Refused:
        if not verb:
            return Refused(Reason.SYNTAX, "", text[:LOGGED], replies.BAD_SYNTAX)
        if _HEADER.match(verb) is not None or self.settings.forbidden(verb):
            return Refused(Reason.FORBIDDEN, verb, text[:LOGGED], replies.NOT_SMTP)
        if self.state is State.DENIED:
            return Refused(Reason.DENIED, verb, text[:LOGGED], replies.ACCESS_DENIED)
        return Refused(Reason.UNKNOWN, verb, text[:LOGGED], replies.NOT_RECOGNIZED)

    def _improper(self, verb: str) -> Refused | Notice:
        """Report what the client sent too early (RFC 2920 3.1)."""
        self._noticed = True
        data = escaped(self._buffer[self._position : self._position + AHEAD_LOGGED])
        if self.settings.forbid_pipelining:
            return Refused(Reason.PIPELINING, verb, data, replies.SYNCHRONIZATION)
        return Notice(verb, data)

    def _cannot_read(self, reason: Reason, line: bytes) -> Refused:
        return Refused(reason, "", line[:LOGGED].decode("utf-8", "replace"), self._cannot_read_reply(reason))

    def _cannot_read_reply(self, reason: Reason) -> Reply:
        name = self.settings.hostname
        if reason is Reason.TOO_LONG:  # the rest of the line must not be taken for commands, so this is the end
            return Reply(500, "5.5.2", f"{name} Error: command too long", closes=True)
        if reason is Reason.BARE_LF:
            return Reply(self.settings.bare_newline_code, "5.5.2", f"{name} Error: bare <LF> received", closes=True)
        return replies.BAD_UTF8

    def _helo(self, argument: str) -> Event | Reply:
        name = self._helo_name(argument)
        return Helo("HELO", name) if name else replies.HELO_SYNTAX

    def _ehlo(self, argument: str) -> Event | Reply:
        name = self._helo_name(argument)
        return Helo("EHLO", name) if name else replies.EHLO_SYNTAX

    def _helo_name(self, argument: str) -> str:
        """Clean the name: it goes into the log, into Received: and to policy servers."""
        return _UNSAFE_IN_NAME.sub("?", argument.strip(BLANKS))

    def _mail(self, argument: str) -> Event | Reply:
        if self.helo is None and self.settings.helo_required:
            return replies.HELO_FIRST
        return parse_mail(argument, self.settings.syntax)

    def _rcpt(self, argument: str) -> Event | Reply:
        return parse_rcpt(argument, self.settings.syntax)

    def _data(self, argument: str) -> Event | Reply:
        return replies.DATA_SYNTAX if argument.strip(BLANKS) else Data()

    def _bdat(self, argument: str) -> Event | None:
        """BDAT, in any state."""
        line = f"BDAT {argument}"[:LOGGED].rstrip()
        if not self.settings.chunking:
            return Refused(Reason.UNKNOWN, "BDAT", line, replies.NO_CHUNKING)
        chunk = parse_bdat(argument)
        if chunk is None:
            return Refused(Reason.SYNTAX, "BDAT", line, replies.BDAT_SYNTAX)
        size, last = chunk
        refusal = replies.NULL_CHUNK if not size and not last else SEQUENCE_REPLIES.get((self.state, "BDAT"))
        if refusal is None and self.state in {State.FAILED, State.STRAY}:
            refusal = replies.chunk_discarded(size)
        if refusal is not None:
            return self._skip(size, Refused(Reason.SEQUENCE, "BDAT", line, refusal), last=last)
        first = self.state is State.RCPT
        before = 0 if first or self._chunks is None else self._chunks.octets
        return Bdat(size, last, first, before)

    def _skip(self, size: int, refused: Refused, *, last: bool) -> Event | None:
        """Refuse a chunk; the last one ends what it belongs to, another one spoils those that follow."""
        if 0 < self.settings.skip_limit < size:
            refused.reply = replies.closing(refused.reply)
            return refused
        after = State.FAILED if self.in_transaction else State.STRAY
        self._refused = (refused, self._home() if last else after)
        self._chunks = Chunks()
        self._chunks.begin(size, last=last)
        self.state = State.CHUNK
        self._read = ServerSession._skip_chunk
        return self._skip_chunk()

    def _rset(self, argument: str) -> Event | Reply:
        return replies.RSET_SYNTAX if argument.strip(BLANKS) else Rset()

    def _vrfy(self, argument: str) -> Event | Reply:
        if not self.settings.vrfy:
            return replies.VRFY_DISABLED
        if self.helo is None and self.settings.helo_required:
            return replies.HELO_FIRST
        return parse_vrfy(argument, self.settings.syntax)

    def _noop(self, argument: str) -> Event | Reply:
        return Noop()

    def _help(self, argument: str) -> Event | Reply:
        return Help()

    def _quit(self, argument: str) -> Event | Reply:
        return Quit()


_READERS: Final[dict[str, Callable[[ServerSession, str], Event | Reply | None]]] = {
    "EHLO": ServerSession._ehlo,  # noqa: SLF001
    "HELO": ServerSession._helo,  # noqa: SLF001
    "MAIL": ServerSession._mail,  # noqa: SLF001
    "RCPT": ServerSession._rcpt,  # noqa: SLF001
    "DATA": ServerSession._data,  # noqa: SLF001
    "BDAT": ServerSession._bdat,  # noqa: SLF001
    "RSET": ServerSession._rset,  # noqa: SLF001
    "NOOP": ServerSession._noop,  # noqa: SLF001
    "VRFY": ServerSession._vrfy,  # noqa: SLF001
    "HELP": ServerSession._help,  # noqa: SLF001
    "QUIT": ServerSession._quit,  # noqa: SLF001
}
_VERB_OF: Final[dict[type, str]] = {
    Helo: "EHLO",
    Mail: "MAIL",
    Rcpt: "RCPT",
    Data: "DATA",
    Bdat: "BDAT",
    EndOfChunk: "+",
    Rset: "RSET",
    Noop: "NOOP",
    Vrfy: "VRFY",
    Help: "HELP",
    Quit: "QUIT",
    EndOfContent: ".",
    EndOfChunks: ".",
}
