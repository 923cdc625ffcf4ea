"""The server's half of SMTP, without any I/O: bytes in, events out, replies in, bytes out.

The daemon gives a ServerSession what the socket gave (`receive`), takes what the client said (`next_event`), decides,
and answers each event except Content and Notice with one `reply`. What may follow what is the table TRANSITIONS
alone; what a command refused by it is told is the table SEQUENCE_REPLIES. Refused commands are events as well, so that
the daemon counts and logs them; they bring their reply along.
Invariant (tests): no bytes make it raise, and the events do not depend on where the network cut the bytes (except
that improper pipelining is only seen when it arrives together). Sources: RFC 5321 3 and 4, RFC 2920; facts B04.*.
Elsewhere: arguments in grammar.py, the content in content.py, reply texts in replies.py.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.content import BareNewline, ContentReader
from posthouse.protocol.smtp.events import (
    Content,
    Data,
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
from posthouse.protocol.smtp.grammar import Syntax, parse_mail, parse_rcpt, parse_vrfy
from posthouse.protocol.smtp.replies import Reply


class State(Enum):
    """Where the conversation stands (RFC 5321 4.1.4)."""

    CONNECTED = "no greeting sent yet"
    NEW = "no HELO or EHLO yet"
    GREETED = "no mail transaction open"
    MAIL = "sender accepted, no recipient yet"
    RCPT = "at least one recipient accepted"
    DATA = "receiving message content"
    CLOSED = "nothing more will be read"

    __hash__ = object.__hash__  # TRANSITIONS is looked up for each command; Enum's own hash is written in Python


# A verb answered with 2xx or 3xx moves the session from the row's state to the one named. "." is the end of content;
# it ends the transaction whatever the reply (RFC 5321 4.1.1.4). HELO and EHLO drop an open transaction (4.1.4). What
# NEW is after a transaction without HELO, GREETED is with one: _home() says which.
_C, _N, _G, _M, _R, _D, _X = State
TRANSITIONS: Final[dict[State, dict[str, State]]] = {
    _C: {},
    _N: {"EHLO": _G, "HELO": _G, "RSET": _N, "NOOP": _N, "HELP": _N, "VRFY": _N, "QUIT": _X, "MAIL": _M},
    _G: {"EHLO": _G, "HELO": _G, "RSET": _G, "NOOP": _G, "HELP": _G, "VRFY": _G, "QUIT": _X, "MAIL": _M},
    _M: {"EHLO": _G, "HELO": _G, "RSET": _G, "NOOP": _M, "HELP": _M, "VRFY": _M, "QUIT": _X, "RCPT": _R},
    _R: {"EHLO": _G, "HELO": _G, "RSET": _G, "NOOP": _R, "HELP": _R, "VRFY": _R, "QUIT": _X, "RCPT": _R, "DATA": _D},
    _D: {".": _G},
    _X: {},
}
VERBS: Final = frozenset(verb for row in TRANSITIONS.values() for verb in row) - {"."}
SEQUENCE_REPLIES: Final[dict[tuple[State, str], Reply]] = {
    (_M, "MAIL"): replies.NESTED_MAIL,
    (_R, "MAIL"): replies.NESTED_MAIL,
    (_N, "RCPT"): replies.NEED_MAIL,
    (_G, "RCPT"): replies.NEED_MAIL,
    (_N, "DATA"): replies.NEED_RCPT,
    (_G, "DATA"): replies.NEED_RCPT,
    (_M, "DATA"): replies.NO_RECIPIENTS,
}
LAST_IN_GROUP: Final = frozenset({"EHLO", "HELO", "DATA", "VRFY", "NOOP"})  # RFC 2920 3.1
JUNK_COMMANDS: Final = frozenset({"HELO", "EHLO", "RSET", "NOOP", "VRFY", "ETRN"})  # B04.06
TRANSACTION: Final = frozenset({State.MAIL, State.RCPT, State.DATA})

LOGGED: Final = 200  # characters of a refused line that go on to the log
_BLANKS: Final = re.compile(r"[ \t\n\v\f\r]+")
_HEADER: Final = re.compile(r"[!-9;-~]+:", re.ASCII)
# Control characters, and what would mean something in a header
_UNSAFE_IN_NAME: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029<>()\\\";@]")
_NOT_LETTER: Final = re.compile(r"[^A-Za-z]")


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
    forbid_pipelining: bool = True  # postconf(5): smtpd_forbid_unauth_pipelining
    check_utf8: bool = True  # postconf(5): smtputf8_enable
    forbidden: Callable[[str], bool] = is_forbidden  # of an unknown verb; postconf(5): smtpd_forbidden_commands
    noop: frozenset[str] = frozenset()  # upper case; postconf(5): smtpd_noop_commands
    syntax: Syntax = field(default_factory=Syntax)


class ServerSession:
    """The protocol of one connection. The state moves in `reply` and `greet` and nowhere else."""

    __slots__ = ("_buffer", "_content", "_noticed", "_out", "_position", "_unanswered", "helo", "settings", "state")

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.state = State.CONNECTED
        self.helo: Helo | None = None  # the last one that was answered positively
        self._buffer = b""
        self._position = 0  # of the first octet of the buffer that is not used up
        self._content: ContentReader | None = None
        self._unanswered: Event | None = None  # the event that waits for its reply
        self._noticed = False
        self._out: list[bytes] = []

    # What the daemon calls, in this order.

    def greet(self, reply: Reply) -> Refused | Notice | None:
        """Send the greeting. One that refuses does not end the session unless it closes, as with Postfix.

        A client that has spoken already is refused: answer that event like any other. None: all is well.
        """
        assert self.state is State.CONNECTED, "greet() twice: caller's bug"
        self.state = State.NEW
        if self._position < len(self._buffer) and reply.code < 400:
            event = self._improper("CONNECT")
            if isinstance(event, Refused):
                self._unanswered = event
                return event
            self._send(reply)
            return event
        self._send(reply)
        if reply.closes:
            self.close()
        return None

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
        if self._content is not None:
            return self._read_content(self._content)
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
    def protocol(self) -> str:
        """The protocol as in Received: and the policy protocol: SMTP, or ESMTP after EHLO."""
        return "ESMTP" if self.helo is not None and self.helo.verb == "EHLO" else "SMTP"

    def close(self, reply: Reply | None = None) -> None:
        """End the session from our side (timeout, shutdown), maybe with a last reply."""
        if reply is not None and self.state is not State.CLOSED:
            self._out.append(reply.wire)
        self.state = State.CLOSED
        self._unanswered = None
        self._content = None
        self._buffer = b""

    # What happens inside.

    def _send(self, reply: Reply) -> None:
        self._out.append(reply.wire)

    def _home(self) -> State:
        return State.NEW if self.helo is None else State.GREETED

    def _move(self, event: Event) -> None:
        verb = _VERB_OF[type(event)]
        if isinstance(event, Helo):
            verb, self.helo = event.verb, event
        state = TRANSITIONS[self.state][verb]
        self.state = self._home() if state is State.GREETED else state
        if state is State.DATA:
            self._content = ContentReader(self.settings.bare_newline)
        elif state is State.CLOSED:
            self._buffer = b""

    def _read_content(self, reader: ContentReader) -> Event | None:
        if not reader.done:
            if self._position >= len(self._buffer):
                return None
            text = reader.feed(self._buffer[self._position :] if self._position else self._buffer)
            self._buffer, self._position = reader.rest, 0  # what is behind the dot is for the commands
            if text:
                return Content(text)
            if not reader.done:
                return None
        self._content = None
        self._unanswered = end = EndOfContent(reader.size_bytes, reader.bare_lf, reader.bare_cr)
        return end

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

    def _command(self, text: str) -> Event:
        word, _, argument = text.partition(" ")
        verb = word.upper()
        if verb not in _READERS:
            # Blanks in front, a tab behind the verb, an unknown verb: rare, so only now looked at.
            words = _BLANKS.sub(" ", text, count=0).strip(" ") if not text.isprintable() or text[:1] == " " else text
            word, _, argument = words.partition(" ")
            verb = word.upper()
            if verb in self.settings.noop:
                return Noop()
            if verb not in _READERS:
                return self._unknown(verb, text)
        if (
            self._position < len(self._buffer)
            and not self._noticed
            and (verb in LAST_IN_GROUP or self.protocol == "SMTP")
        ):
            return self._improper(verb)
        if verb not in TRANSITIONS[self.state]:
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
        return Refused(Reason.UNKNOWN, verb, text[:LOGGED], replies.NOT_RECOGNIZED)

    def _improper(self, verb: str) -> Refused | Notice:
        """Report what the client sent too early (RFC 2920 3.1)."""
        self._noticed = True
        data = self._buffer[self._position : self._position + LOGGED].decode("utf-8", "replace")
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
        return _UNSAFE_IN_NAME.sub("?", argument.strip(" \t\r\n\v\f"))

    def _mail(self, argument: str) -> Event | Reply:
        if self.helo is None and self.settings.helo_required:
            return replies.HELO_FIRST
        return parse_mail(argument, self.settings.syntax)

    def _rcpt(self, argument: str) -> Event | Reply:
        return parse_rcpt(argument, self.settings.syntax)

    def _data(self, argument: str) -> Event | Reply:
        return replies.DATA_SYNTAX if argument.strip(" \t") else Data()

    def _rset(self, argument: str) -> Event | Reply:
        return replies.RSET_SYNTAX if argument.strip(" \t") else Rset()

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


_READERS: Final[dict[str, Callable[[ServerSession, str], Event | Reply]]] = {
    "EHLO": ServerSession._ehlo,  # noqa: SLF001
    "HELO": ServerSession._helo,  # noqa: SLF001
    "MAIL": ServerSession._mail,  # noqa: SLF001
    "RCPT": ServerSession._rcpt,  # noqa: SLF001
    "DATA": ServerSession._data,  # noqa: SLF001
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
    Rset: "RSET",
    Noop: "NOOP",
    Vrfy: "VRFY",
    Help: "HELP",
    Quit: "QUIT",
    EndOfContent: ".",
}
